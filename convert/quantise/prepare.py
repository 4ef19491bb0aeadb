"""Prepares a network for 8 bits, so that quantisation changes its predictions as little as possible.

The result is still a Keras network. TFLite stores a kernel in 8 bits with one scale per output channel, and rounds the
inputs of a layer to 8 bits with one scale for all. That changes 7 to 13 of 500 predictions of the tutorial's trained
network. Most of these are avoided here:

- channels get similar ranges (`convert.quantise.equalisation`),
- weights are rounded jointly, not one by one (`convert.quantise.gptq`),
- small dense layers, 0.1 % of the network, stay in floating point: the 512 means of the image branch do not tolerate
  8 bits,
- so does the first convolution, 0.4 % of the work: its error is the same for all pixels of a colour, and the next
  layers add it up.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.quantise.equalisation import equalise, is_plain_convolution
from convert.quantise.gptq import SMALLEST_QUANTISED, round_convolutions
from convert.recipes import Recipe
from convert.source.keras_loading import layer_at
from convert.source.layer_graph import LayerGraph

_LARGEST_FLOAT_DENSE = 2**16
"""Number of weights; 256 kB in floating point, 64 kB in 8 bits."""
_SHARE = {"float32": 0.5, "int8": 0.8}
"""Exponents for `equalise` by the dtype of the activations. With one range for all images instead of one for each,
activations tolerate less, and more has to be moved into the weights: for int8 the mean difference from Keras was
measured as 0.0033 with 0.5, 0.0028 with 0.65, 0.0025 with 0.8, and 0.0033 with 1."""
_ENOUGH_IMAGES = 32
"""Number of images for `equalise` where each image has its own range. With one range for all images the largest values
of all matter: for int8 the mean difference from Keras was measured as 0.0026 with 32, and 0.0014 with 96."""
_MOST_PIXELS = 3 * 2**17
"""Number of pixels of all images, 96 of the tutorial's size, for which the outputs of VGG19's first layer occupy 100
MB. With 160 images the tutorial's network agrees with Keras no better, and takes a quarter longer."""


def prepare_weights(
    model: Any,
    configuration: Mapping[str, Any],
    recipe: Recipe,
    images: NDArray[np.float32],
    features: NDArray[np.int32],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Change the weights so that the network predicts the same after TFLite has rounded them.

    Args:
        model: a tf_keras model with the inputs [images, features] and any batch size; changed in place.
        configuration: its configuration.
        recipe: how it will be converted.
        images: images to measure on, shape (images, height, width, 3), float32, 0 to 1.
        features: word ids for these images, shape (images, sequence_length), int32.
        progress: called with the number of convolutions done, and of all.
    """
    count = max(1, _MOST_PIXELS // (images.shape[1] * images.shape[2]))
    images, features = images[:count], features[:count]
    graph = LayerGraph(configuration)
    enough = len(images) if recipe.activations == "int8" else _ENOUGH_IMAGES
    equalise(model, graph, _SHARE[recipe.activations], images[:enough], features[:enough])
    paths = [path for path, layer in graph.layers.items() if is_plain_convolution(layer) and graph.uses(path) == 1]
    layers = [layer_at(model, path) for path in paths]
    layers = [
        layer
        for layer in layers
        if np.prod(layer.kernel.shape) >= SMALLEST_QUANTISED
        and not (_has_image_input(layer) and recipe.weights == "int8")
    ]
    static_ranges = recipe.activations == "int8"
    round_convolutions(
        layers, model, images, features, lambda done: progress(done, len(layers)), static_ranges=static_ranges
    )


def keep_float(model: Any, recipe: Recipe) -> None:
    """Make small dense layers and the first convolution use operations that TFLite does not quantise.

    Args:
        model: a tf_keras model; it computes the same as before, with the same weights.
        recipe: how it will be converted.
    """
    import tf_keras

    for layer in _layers(model):
        if type(layer) is tf_keras.layers.Dense:
            _keep_dense_float(layer)
        elif type(layer) is tf_keras.layers.Conv2D and _has_image_input(layer) and recipe.activations == "float32":
            _keep_convolution_float(layer)  # for 8-bit activations `convert.quantise.tflite` excludes it by name


def _has_image_input(layer: Any) -> bool:
    """Whether a convolution has as many input channels as an image has colours."""
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
        outputs = tf.reduce_sum(
            inputs[:, None, :] * tf.transpose(layer.kernel), axis=-1
        )  # instead of a FULLY_CONNECTED
        return layer.activation(outputs + layer.bias if layer.use_bias else outputs)

    layer.call = call


def _layers(model: Any) -> Iterator[Any]:
    """Yield the layers, including those of nested models; a layer that occurs twice is yielded once."""
    seen: dict[int, Any] = {}
    for layer in model.layers:
        for inner in _layers(layer) if hasattr(layer, "layers") else (layer,):
            seen.setdefault(id(inner), inner)
    yield from seen.values()
