"""Channels of about the same range: an 8-bit activation has one scale for all channels of a layer.

In VGG19 the loudest channel of a layer is ten times as loud as the quietest, which is then stored in a tenth of the
steps. Where a convolution is followed, through nothing but ReLU and pooling, by one other layer, a channel can be made
quieter there and its weights in the next layer larger, and the network computes the same. Each is divided by a power of
its largest value: all of it would move the trouble into the weights. This is the smoothing of Xiao et al.,
"SmoothQuant" (ICML 2023), folded into the layer before.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.source.keras_loading import layer_at
from convert.source.layer_graph import Graph, Path

_PASSING = frozenset({"InputLayer", "Dropout", "SpatialDropout2D", "ZeroPadding2D", "MaxPooling2D", "AveragePooling2D"})
"""Layers through which a factor per channel passes unchanged."""
_FLATTENING = frozenset({"GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"})
"""Likewise; a dense layer may follow."""
_SHARE_BEFORE_DENSE = 0.75
"""Of the differences in range before a dense layer, as a power, that moves into its weights. It is mostly kept in
floating point and bears that; not all, since a channel that is louder on the device than it was here still has to fit.
"""
_QUIETEST = 0.01
"""Of the loudest channel: one that is quieter still, or silent, is not made louder than this one would be."""


def equalise(model: Any, graph: Graph, share: float, images: NDArray[np.float32], features: NDArray[np.int32]) -> int:
    """Change the weights of neighbouring layers so that the activations between them need fewer steps.

    Args:
        model: a tf_keras model taking [images, features]; changed in place, and computes the same as before.
        graph: of its configuration.
        share: of the differences in range between convolutions, as a power, what moves into the weights of the next.
        images: pictures to measure on, shape (pictures, height, width, 3), float32, 0 to 1.
        features: ids to go with them, shape (pictures, sequence_length), int32.

    Returns:
        How many pairs of layers were changed.
    """
    pairs = [(layer_at(model, first), layer_at(model, second)) for first, second in _pairs(graph)]
    loudest = _loudest([first for first, _ in pairs], model, images, features)
    for (first, second), loud in zip(pairs, loudest, strict=True):
        power = share if second.kernel.shape.rank == 4 else _SHARE_BEFORE_DENSE
        factors = np.maximum(loud, _QUIETEST * loud.max()) ** power
        if not np.all(factors > 0):
            continue
        factors /= np.exp(np.log(factors).mean())
        first.kernel.assign(first.kernel / factors)
        if first.use_bias:
            first.bias.assign(first.bias / factors)
        # After Flatten there is a row for each pixel and channel, the channels side by side.
        rows = np.tile(factors, second.kernel.shape[-2] // len(factors))
        second.kernel.assign(second.kernel * rows[:, None])
    return len(pairs)


def is_plain_convolution(layer: Mapping[str, Any]) -> bool:
    """Whether each output channel of a layer, as `Graph` tells of it, sees all of its input channels."""
    settings = layer["config"]
    return bool(
        layer["class_name"] == "Conv2D"
        and settings.get("groups", 1) == 1
        and settings.get("data_format") in ("channels_last", None)
    )


def _pairs(graph: Graph) -> list[tuple[Path, Path]]:
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
            if kind not in _PASSING | _FLATTENING and not _is_relu_or_linear(following):
                break
    return pairs


def _is_relu_or_linear(layer: Mapping[str, Any]) -> bool:
    settings = layer["config"]
    if layer["class_name"] == "Activation":
        return settings["activation"] in ("relu", "linear")
    return layer["class_name"] == "ReLU" and not any(
        settings.get(name) for name in ("max_value", "negative_slope", "threshold")
    )


def _loudest(
    layers: list[Any], model: Any, images: NDArray[np.float32], features: NDArray[np.int32]
) -> list[NDArray[np.float32]]:
    """The largest absolute output of each channel of each layer, after its activation, over all pictures."""
    import tensorflow as tf

    found: dict[int, NDArray[np.float32]] = {}

    def measured(inputs: Any, kernel: Any, layer: Any) -> Any:
        outputs = type(layer).convolution_op(layer, inputs, kernel)
        shown = layer.activation(outputs + layer.bias if layer.use_bias else outputs)
        largest = tf.reduce_max(tf.abs(shown), axis=[0, 1, 2]).numpy()
        found[id(layer)] = np.maximum(found.get(id(layer), 0), largest)
        return outputs

    for layer in layers:
        layer.convolution_op = lambda inputs, kernel, layer=layer: measured(inputs, kernel, layer)
    try:
        for start in range(0, len(images), 32):
            model([images[start : start + 32], features[start : start + 32]], training=False)
    finally:
        for layer in layers:
            del layer.convolution_op
    return [found[id(layer)] for layer in layers]
