"""A network prepared for 8 bits, so that they cost it as little as they can; it stays a Keras network.

TFLite stores a kernel in 8 bits, one scale per output channel, and rounds what goes into a layer to 8 bits with one
scale for all of it. In the tutorial's network, trained, that costs 7 to 13 of 500 answers. Most of it is mended here:

- channels get about the same range (`convert.quantise.equalisation`),
- weights are rounded together, not each by itself (`convert.quantise.gptq`),
- small dense layers, 0.1 % of the network, stay in floating point: the 512 means of the picture branch do not bear it,
- so does the first convolution, 0.4 % of the work: its error is the same wherever a colour is, and the next layers
  add it up.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.quantise.equalisation import equalise, is_plain_convolution
from convert.quantise.gptq import SMALLEST_QUANTISED, round_convolutions
from convert.recipes import Recipe
from convert.source.keras_loading import layer_at
from convert.source.layer_graph import Graph

_LARGEST_FLOAT_DENSE = 2**16
"""Weights; 256 kB in floating point, 64 kB in 8 bits."""
_SHARE = {"float32": 0.5, "int8": 0.8}
"""See `equalise`. With one range for all pictures, and not one for each, activations bear less and weights have to take
more; measured, the mean difference from Keras is 0.0033 with 0.5, 0.0028 with 0.65, 0.0025 with 0.8, 0.0033 with 1."""
_MOST_PIXELS = 5 * 2**17
"""In all pictures, 160 of the tutorial's: VGG19's first layer makes 340 MB of them, once exact and once rounded."""


def mend(
    model: Any,
    configuration: Mapping[str, Any],
    recipe: Recipe,
    images: NDArray[np.float32],
    features: NDArray[np.int32],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Change the weights so that, rounded by TFLite, the network answers as it did before.

    Args:
        model: a tf_keras model taking [images, features] in any batch; changed in place.
        configuration: of it.
        recipe: how it will be converted.
        images: pictures to measure on, shape (pictures, height, width, 3), float32, 0 to 1.
        features: ids to go with them, shape (pictures, sequence_length), int32.
        progress: called with the convolutions done and their number.
    """
    count = max(1, _MOST_PIXELS // (images.shape[1] * images.shape[2]))
    images, features = images[:count], features[:count]
    graph = Graph(configuration)
    equalise(model, graph, _SHARE[recipe.activations], images, features)
    paths = [path for path, layer in graph.layers.items() if is_plain_convolution(layer) and graph.uses(path) == 1]
    layers = [layer_at(model, path) for path in paths]
    layers = [
        layer
        for layer in layers
        if np.prod(layer.kernel.shape) >= SMALLEST_QUANTISED and not (_sees_picture(layer) and recipe.weights == "int8")
    ]
    rounded_as_one = recipe.activations == "int8"
    round_convolutions(
        layers, model, images, features, lambda done: progress(done, len(layers)), rounded_as_one=rounded_as_one
    )


def keep_float(model: Any, recipe: Recipe) -> None:
    """Let small dense layers, and the first convolution, be traced to operators that TFLite does not quantise.

    Args:
        model: a Keras model; it computes the same as before, and its weights are the same.
        recipe: how it will be converted.
    """
    import tf_keras

    for layer in _layers(model):
        if type(layer) is tf_keras.layers.Dense:
            _keep_dense_float(layer)
        elif type(layer) is tf_keras.layers.Conv2D and _sees_picture(layer) and recipe.activations == "float32":
            _keep_convolution_float(layer)  # with activations in 8 bits, `convert.quantise.tflite` says it by name


def _sees_picture(layer: Any) -> bool:
    """Whether a convolution has as few inputs as a picture has colours."""
    return bool(layer.kernel.shape[-2] == 3 and layer.groups == 1)


def _keep_convolution_float(layer: Any) -> None:
    import tensorflow as tf

    each = int(np.prod(layer.kernel.shape[:-1]))
    step = max(1, (SMALLEST_QUANTISED - 1) // each)
    pieces = [range(start, min(start + step, layer.filters)) for start in range(0, layer.filters, step)]

    def operation(inputs: Any, kernel: Any, layer: Any = layer) -> Any:
        convolution = type(layer).convolution_op
        parts = [convolution(layer, inputs, kernel[..., piece.start : piece.stop]) for piece in pieces]
        return tf.concat(parts, axis=-1)

    layer.convolution_op = operation


def _keep_dense_float(layer: Any) -> None:
    import tensorflow as tf

    if not SMALLEST_QUANTISED <= np.prod(layer.kernel.shape) <= _LARGEST_FLOAT_DENSE:
        return

    def call(inputs: Any, layer: Any = layer, original: Any = layer.call) -> Any:
        if inputs.shape.rank != 2:
            return original(inputs)
        outputs = tf.reduce_sum(inputs[:, None, :] * tf.transpose(layer.kernel), axis=-1)  # not one FULLY_CONNECTED
        return layer.activation(outputs + layer.bias if layer.use_bias else outputs)

    layer.call = call


def _layers(model: Any) -> Iterator[Any]:
    """The layers, those of nested models included; a layer that occurs twice comes once."""
    seen: dict[int, Any] = {}
    for layer in model.layers:
        for inner in _layers(layer) if hasattr(layer, "layers") else (layer,):
            seen.setdefault(id(inner), inner)
    yield from seen.values()
