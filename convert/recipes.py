"""The modes of conversion, as a table: what TFLite is asked for in each. No tensorflow is needed to read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DEFAULT_MODE = "dynamic"


@dataclass(frozen=True)
class Recipe:
    """One way to store the weights, and to compute with them."""

    summary: str
    """One line for people who choose a mode."""
    tolerance: float
    """Largest difference from Keras in any probability of any sample; a network beyond it is not written."""
    weights: Literal["float32", "float16", "int8"] = "float32"
    """How the weights of convolutions and large dense layers are stored."""
    activations: Literal["float32", "int8"] = "float32"
    """What passes between convolutions; as float32 it is rounded anew for each picture where weights are int8."""


RECIPES: Mapping[str, Recipe] = {
    # Between trained networks and faults, measured on made-up samples, three draws of 32: two trained networks of the
    # tutorial differ by at most 0.12, mean at most 0.010, in 8 bits, and by less than 1e-5 in `float32`. With an input
    # ignored, flipped, or 10 % too dark, or ids off by one, the mean is 0.058 or more.
    "float32": Recipe("weights as they were trained", tolerance=0.01),
    "float16": Recipe("weights in 16 bits, half the size", tolerance=0.02, weights="float16"),
    "dynamic": Recipe(
        "weights in 8 bits, a quarter of the size; sound rounded as it comes",
        tolerance=0.25,
        weights="int8",
    ),
    "int8": Recipe(
        "the picture branch in 8 bits throughout, measured beforehand on recordings that --calibrate gives",
        tolerance=0.25,
        weights="int8",
        activations="int8",
    ),
}
MEAN_SHARE = 0.1
"""Of the tolerance: how much the mean over the samples of their largest differences may be."""
