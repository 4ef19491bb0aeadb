"""The options of a conversion, and which of them can be combined; independent of any network and any file's content."""

from dataclasses import dataclass, field, replace

from convert.companions.companions import UserCompanions
from convert.recipes import DEFAULT_MODE, Recipe, find_recipe
from convert.tflite_model.operators import MEASURED_VERSIONS
from device.errors import ConversionError


@dataclass(frozen=True)
class ConversionOptions:
    """What a user can choose about a conversion."""

    mode: str = DEFAULT_MODE
    """Name or alias of a recipe in `convert.recipes.RECIPES`."""
    companions: UserCompanions = field(default_factory=UserCompanions)
    """Labels, vocabulary and front end that the model file lacks, or that shall replace those in it."""
    tolerance: float | None = None
    """Largest difference from Keras in any probability; None for the recipe's."""
    requires: str | None = None
    """Package name of the only runtime that has to run the bundle; None if all of them have to."""

    def recipe(self, *, has_recordings: bool) -> Recipe:
        """The recipe of the mode, with the chosen tolerance.

        Args:
            has_recordings: whether representative samples come from recordings; synthetic ones have no realistic
                ranges.

        Raises:
            ConversionError: there is no such mode, or the options contradict each other.
        """
        recipe = find_recipe(self.mode)
        if recipe.activations == "int8" and not has_recordings:
            raise ConversionError(
                f"mode {recipe.name} measures the network on recordings beforehand, and there are none",
                fix="give --calibrate TABLE.csv or --calibrate FOLDER, or choose --mode dynamic",
            )
        if self.requires not in (None, *MEASURED_VERSIONS):
            raise ConversionError(
                f"--requires is {self.requires!r}, expected {' or '.join(MEASURED_VERSIONS)}",
                fix="name one of these runtimes",
            )
        if self.tolerance is None:
            return recipe
        if not 0 < self.tolerance <= 1:
            raise ConversionError(
                f"--tolerance is {self.tolerance:g}, expected more than 0 and at most 1",
                fix="give a difference between probabilities, such as 0.1",
            )
        return replace(recipe, tolerance=self.tolerance)

    def fix_for_disagreement(self, *, has_recordings: bool) -> str:
        """What a user can do about a converted model whose probabilities are too far from Keras's."""
        if find_recipe(self.mode).weights == "float32":
            return "allow more with --tolerance, if that is what you expect"
        more = "" if has_recordings else "measure it on recordings with --calibrate, "
        return f"{more}try --mode float32, or allow more with --tolerance"
