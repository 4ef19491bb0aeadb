"""The modes of conversion, as a table: what TFLite is asked for in each. No tensorflow is needed to read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_MODE = "dynamic"


@dataclass(frozen=True)
class Recipe:
    """One way to store the weights."""

    summary: str
    """One line for people who choose a mode."""
    largest_difference: float
    """From Keras, in any probability of any sample (`convert.agreement`); a network beyond it is not written."""
    mean_difference: float
    """The same, as the mean over the samples."""
    optimizations: tuple[str, ...] = ()
    """Names of members of `tf.lite.Optimize`."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Further attributes to set on the `tf.lite.TFLiteConverter`."""
    mended: bool = False
    """Whether the network is prepared for 8 bits by `convert.quantisation`."""


RECIPES: Mapping[str, Recipe] = {
    # Between trained networks and faults, measured on the samples of `convert.samples`, three draws of 32: two trained
    # networks of the tutorial differ by at most 0.12, mean at most 0.010, in `dynamic`, and by less than 1e-5 in
    # `float32`. With an input ignored, flipped, or 10 % too dark, or ids off by one, the mean is 0.058 or more.
    "float32": Recipe("weights as they were trained", largest_difference=0.01, mean_difference=0.001),
    "dynamic": Recipe(
        "weights in 8 bits, a quarter of the size",
        largest_difference=0.25,
        mean_difference=0.025,
        optimizations=("DEFAULT",),
        # Per-channel dense layers are FULLY_CONNECTED version 12, which tflite-runtime 2.14 refuses.
        attributes={"_experimental_disable_per_channel_quantization_for_dense_layers": True},
        mended=True,
    ),
}
