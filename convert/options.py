"""What a user may say about a conversion, and whether it goes together. Knows no network and no file's content."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from convert.companions.companions import Given
from convert.recipes import DEFAULT_MODE, RECIPES, Recipe
from convert.tflite_model.operators import PROBED
from device.errors import ConversionError


@dataclass(frozen=True)
class Choices:
    """What a user may say about a conversion."""

    mode: str = DEFAULT_MODE
    """A name in `convert.recipes.RECIPES`."""
    given: Given = field(default_factory=Given)
    """What the model file does not carry, or shall not."""
    calibrate: Path | None = None
    """Table or folder of recordings to measure and compare on; made-up samples if None."""
    audio_root: Path | None = None
    """Folder that relative audio paths in the table start from; the table's own if None."""
    tolerance: float | None = None
    """Largest difference from Keras in any probability; the recipe's if None."""
    requires: str | None = None
    """The one runtime that the bundle may need, by the name of its package; None: it must run in all."""

    def recipe(self) -> Recipe:
        """The recipe of the mode, with the tolerance that is chosen.

        Raises:
            ConversionError: there is no such mode, or the choices do not go together.
        """
        if self.mode not in RECIPES:
            raise ConversionError(f"no mode is called {self.mode!r}; choose one of {', '.join(RECIPES)}")
        recipe = RECIPES[self.mode]
        if recipe.activations == "int8" and self.calibrate is None:
            raise ConversionError(
                f"mode {self.mode} measures the network on recordings beforehand and none are given; give "
                "--calibrate TABLE.csv or --calibrate FOLDER, or take --mode dynamic"
            )
        if self.requires not in (None, *PROBED):
            raise ConversionError(f"--requires is {self.requires!r}, expected {' or '.join(PROBED)}")
        if self.tolerance is None:
            return recipe
        if not 0 < self.tolerance <= 1:
            raise ConversionError(f"--tolerance is {self.tolerance:g}, expected more than 0 and at most 1")
        return replace(recipe, tolerance=self.tolerance)

    def advice(self) -> str:
        """What to do about answers that are too far from Keras's."""
        if RECIPES[self.mode].weights == "float32":
            return "allow more with --tolerance, if that is what you expect"
        more = "" if self.calibrate else "measure it on recordings with --calibrate, "
        return f"{more}try --mode float32, or allow more with --tolerance"
