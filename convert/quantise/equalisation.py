"""Equalises the ranges of channels, because an 8-bit activation has one scale for all channels of a layer.

In VGG19 the largest channel of a layer is ten times as large as the smallest, for which only a tenth of the steps is
then left. Where a convolution is followed, through nothing but ReLU and pooling, by one other layer, its channels can
be scaled down and their weights in the next layer scaled up, and the network computes the same. Each channel is divided
by a power of its largest value: the full value would move the problem into the weights. This is the smoothing of Xiao
et al., "SmoothQuant" (ICML 2023), folded into the previous layer.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.source.keras_loading import layer_at
from convert.source.layer_graph import LayerGraph, LayerPath

_TRANSPARENT = frozenset(
    {"InputLayer", "Dropout", "SpatialDropout2D", "ZeroPadding2D", "MaxPooling2D", "AveragePooling2D"}
)
"""Layers that commute with a factor per channel."""
_FLATTENING = frozenset({"GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"})
"""Layers that commute with a factor per channel, and may be followed by a dense layer."""
_SHARE_BEFORE_DENSE = 0.75
"""Exponent of the differences in range that are moved into the weights of a dense layer. It can be high, because dense
layers mostly stay in floating point; but not 1, because channels with larger values on the device still have to fit.
"""
_BATCH = 32
_SMALLEST = 0.01
"""Share of the largest channel below which all channels, also those that are always zero, are scaled alike."""


def equalise(
    model: Any, graph: LayerGraph, share: float, images: NDArray[np.float32], features: NDArray[np.int32]
) -> int:
    """Scale the weights of consecutive layers so that the channels between them have similar ranges.

    Args:
        model: a tf_keras model with the inputs [images, features]; changed in place, and computes the same as before.
        graph: the layers of its configuration.
        share: exponent of the differences in range between convolutions that are moved into the weights of the second.
        images: images to measure on, shape (images, height, width, 3), float32, 0 to 1.
        features: word ids for these images, shape (images, sequence_length), int32.

    Returns:
        Number of pairs of layers that were changed.
    """
    pairs = [(layer_at(model, first), layer_at(model, second)) for first, second in _pairs(graph)]
    largest_values = _largest_values([first for first, _ in pairs], model, images, features)
    for (first, second), largest in zip(pairs, largest_values, strict=True):
        power = share if second.kernel.shape.rank == 4 else _SHARE_BEFORE_DENSE
        factors = np.maximum(largest, _SMALLEST * largest.max()) ** power
        if not np.all(factors > 0):
            continue
        factors /= np.exp(np.log(factors).mean())
        first.kernel.assign(first.kernel / factors)
        if first.use_bias:
            first.bias.assign(first.bias / factors)
        # After Flatten there is a row for each pixel and channel, with the channels of a pixel side by side.
        rows = np.tile(factors, second.kernel.shape[-2] // len(factors))
        second.kernel.assign(second.kernel * rows[:, None])
    return len(pairs)


def is_plain_convolution(layer: Mapping[str, Any]) -> bool:
    """Whether a layer of a `LayerGraph` is a convolution whose output channels each depend on all input channels."""
    settings = layer["config"]
    return bool(
        layer["class_name"] == "Conv2D"
        and settings.get("groups", 1) == 1
        and settings.get("data_format") in ("channels_last", None)
    )


def _pairs(graph: LayerGraph) -> list[tuple[LayerPath, LayerPath]]:
    pairs = []
    for path, layer in graph.layers.items():
        if (
            not is_plain_convolution(layer)
            or layer["config"]["activation"] not in ("relu", "linear")
            or graph.uses(path) > 1
        ):
            continue
        here = path
        flat = False
        while len(graph.followers(here)) == 1:
            [here] = graph.followers(here)
            following = graph.layers[here]
            if graph.uses(here) > 1:
                break
            kind = following["class_name"]
            if (kind == "Dense" and flat) or (is_plain_convolution(following) and not flat):
                pairs.append((path, here))
                break
            flat = flat or kind in _FLATTENING
            if kind not in _TRANSPARENT | _FLATTENING and not _is_relu_or_linear(following):
                break
    return pairs


def _is_relu_or_linear(layer: Mapping[str, Any]) -> bool:
    settings = layer["config"]
    if layer["class_name"] == "Activation":
        return settings["activation"] in ("relu", "linear")
    return layer["class_name"] == "ReLU" and not any(
        settings.get(name) for name in ("max_value", "negative_slope", "threshold")
    )


def _largest_values(
    layers: list[Any], model: Any, images: NDArray[np.float32], features: NDArray[np.int32]
) -> list[NDArray[np.float32]]:
    """The largest absolute output of each channel of each layer, after its activation, over all images."""
    import tensorflow as tf

    found: list[NDArray[np.float32]] = []
    traced: dict[int, Any] = {}

    def measured(inputs: Any, kernel: Any, layer: Any) -> Any:
        outputs = type(layer).convolution_op(layer, inputs, kernel)
        activations = layer.activation(outputs + layer.bias if layer.use_bias else outputs)
        traced[id(layer)] = tf.reduce_max(tf.abs(activations), axis=[0, 1, 2])
        return outputs

    # As a graph, because eager execution would also run the text branch, whose LSTM is then a slow Python loop.
    @tf.function  # type: ignore[untyped-decorator]  # tensorflow ships no types
    def run(images: Any, features: Any) -> list[Any]:
        model([images, features], training=False)
        return [traced[id(layer)] for layer in layers]

    for layer in layers:
        layer.convolution_op = lambda inputs, kernel, layer=layer: measured(inputs, kernel, layer)
    try:
        for start in range(0, len(images), _BATCH):
            values = [value.numpy() for value in run(images[start : start + _BATCH], features[start : start + _BATCH])]
            found = [np.maximum(*pair) for pair in zip(found, values, strict=True)] if found else values
    finally:
        for layer in layers:
            del layer.convolution_op
    return found
