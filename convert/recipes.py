"""The conversion modes as a table: how weights and activations are stored in each. Reading it needs no tensorflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from device.errors import ConversionError

DEFAULT_MODE = "dynamic"


@dataclass(frozen=True)
class Recipe:
    """One way to store the weights, and to compute with them."""

    name: str
    """Canonical name of the mode, the one that is printed and stored in the model card."""
    summary: str
    """One line for people who choose a mode."""
    tolerance: float
    """Largest difference from Keras in any probability of any sample; a model beyond it is not written."""
    weights: Literal["float32", "float16", "int8"] = "float32"
    """How the weights of convolutions and large dense layers are stored."""
    activations: Literal["float32", "int8"] = "float32"
    """What passes between convolutions. If it is float32 and weights are int8, the runtime quantises the input of each
    layer dynamically, with a new scale for each image."""
    alias: str | None = None
    """The name that LiteRT's quantisation recipes give to this combination, accepted wherever the mode is; None if they
    have none."""


# The tolerances lie between the errors of trained networks and those of faults, measured on synthetic samples, three
# draws of 32: two trained networks of the tutorial differ by at most 0.12, mean at most 0.010, in 8 bits, and by less
# than 1e-5 in `float32`. With an input ignored, flipped, or 10 % too dark, or ids off by one, the mean is 0.058 or
# more.
RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "weights as they were trained", tolerance=0.01),
        Recipe("float16", "weights in 16 bits, half the size", tolerance=0.02, weights="float16"),
        Recipe(
            "dynamic",
            "weights in 8 bits, a quarter of the size; activations quantised while the model runs",
            tolerance=0.25,
            weights="int8",
            alias="dynamic_wi8_afp32",
        ),
        Recipe(
            "int8",
            "weights and activations of the image branch in 8 bits, with ranges measured on the recordings of "
            "--calibrate",
            tolerance=0.25,
            weights="int8",
            activations="int8",
            alias="static_wi8_ai8",
        ),
    )
}
"""The recipes by the canonical name of their mode."""
MEAN_SHARE = 0.1
"""Share of the tolerance that the mean difference may reach, taken over the largest difference of each sample."""


def find_recipe(mode: str) -> Recipe:
    """The recipe of a mode, by its canonical name or its alias.

    Raises:
        ConversionError: no mode has this name.
    """
    for recipe in RECIPES.values():
        if mode in (recipe.name, recipe.alias):
            return recipe
    raise ConversionError(f"no mode is called {mode!r}", fix=f"choose one of {', '.join(RECIPES)}")
