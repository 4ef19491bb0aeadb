"""What 8 bits would cost a network, mended: small dense layers stay in floating point, and biases are corrected.

In `dynamic` mode TFLite stores a kernel in 8 bits, one scale per output channel, and at run time rounds the whole input
of a layer to 8 bits, one scale for all of it. In the tutorial's network, trained, that costs most where the 512 means
of the picture branch enter a dense layer of 16,384 weights, 0.1 % of the network: it stays in floating point.
Elsewhere the rounding shifts the mean of each channel, layer after layer; here each bias takes that shift back, as
measured on made-up pictures. It is the bias correction, in its empirical form, of Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction" (ICCV 2019). Their equalisation of channels made this
network worse and is not done.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST_QUANTISED = 1024
"""Weights; TFLite leaves smaller kernels as they are."""
_LARGEST_FLOAT_DENSE = 2**16
"""Weights; 256 kB in floating point, 64 kB in 8 bits."""


def keep_small_dense_float(model: Any) -> None:
    """Let small dense layers be traced to operators that TFLite does not quantise.

    Args:
        model: a Keras model; it computes the same as before, and its weights are the same.
    """
    import tensorflow as tf
    import tf_keras

    for layer in _layers(model):
        if type(layer) is not tf_keras.layers.Dense or not _quantised(layer.kernel):
            continue
        if np.prod(layer.kernel.shape) > _LARGEST_FLOAT_DENSE:
            continue

        def call(inputs: Any, layer: Any = layer, original: Any = layer.call) -> Any:
            if inputs.shape.rank != 2:
                return original(inputs)
            outputs = tf.reduce_sum(inputs[:, None, :] * tf.transpose(layer.kernel), axis=-1)  # not one FULLY_CONNECTED
            return layer.activation(outputs + layer.bias if layer.use_bias else outputs)

        layer.call = call


def correct_biases(model: Any, images: NDArray[np.float32], features: NDArray[np.int32]) -> None:
    """Change the biases of the convolutions so that, once quantised, each channel has the mean that it had before.

    Each layer is corrected with its input as the layers before it, quantised and corrected, give it. Convolutions that
    are grouped, depthwise, without a bias, or used more than once are left alone.

    Args:
        model: the trained Keras model, taking [images, features] in any batch; changed in place.
        images: pictures to measure on, shape (pictures, height, width, 3), float32, 0 to 1.
        features: ids to go with them, shape (pictures, sequence_length), int32.
    """
    import tensorflow as tf
    import tf_keras

    layers = [
        layer
        for layer in _layers(model)
        if type(layer) is tf_keras.layers.Conv2D
        and layer.use_bias
        and layer.groups == 1
        and layer.data_format == "channels_last"
    ]
    means: dict[int, list[Any]] = {id(layer): [] for layer in layers}

    def measured(inputs: Any, kernel: Any, layer: Any) -> Any:
        outputs = type(layer).convolution_op(layer, inputs, kernel)
        means[id(layer)].append(tf.reduce_mean(outputs, axis=[0, 1, 2]))
        return outputs

    def corrected(inputs: Any, kernel: Any, layer: Any) -> Any:
        if _quantised(kernel):
            inputs, kernel = _rounded_inputs(inputs), _rounded_kernel(kernel)
        outputs = type(layer).convolution_op(layer, inputs, kernel)
        if len(means[id(layer)]) == 1:
            shift = tf.reduce_mean(outputs, axis=[0, 1, 2]) - means[id(layer)][0]
            layer.bias.assign_sub(shift)  # the layer adds its bias after this returns
        return outputs

    for operation in (measured, corrected):
        for layer in layers:
            layer.convolution_op = lambda inputs, kernel, layer=layer, run=operation: run(inputs, kernel, layer)
        try:
            model([images, features], training=False)
        finally:
            for layer in layers:
                del layer.convolution_op


def _layers(model: Any) -> Iterator[Any]:
    """The layers, those of nested models included; a layer that occurs twice comes once."""
    seen: dict[int, Any] = {}
    for layer in model.layers:
        for inner in _layers(layer) if hasattr(layer, "layers") else (layer,):
            seen.setdefault(id(inner), inner)
    yield from seen.values()


def _quantised(kernel: Any) -> bool:
    return bool(np.prod(kernel.shape) >= _SMALLEST_QUANTISED)


def _rounded_inputs(inputs: Any) -> Any:
    """To 8 bits, per picture, from its lowest to its highest value and with an exact zero."""
    import tensorflow as tf

    axes = list(range(1, inputs.shape.rank))
    lowest = tf.minimum(tf.reduce_min(inputs, axes, keepdims=True), 0)
    highest = tf.maximum(tf.reduce_max(inputs, axes, keepdims=True), 0)
    step = tf.maximum((highest - lowest) / 255, np.finfo(np.float32).tiny)
    zero = tf.round(-lowest / step)
    return (tf.clip_by_value(tf.round(inputs / step) + zero, 0, 255) - zero) * step


def _rounded_kernel(kernel: Any) -> Any:
    """To -127 to 127 steps, per output channel."""
    import tensorflow as tf

    step = tf.maximum(tf.reduce_max(tf.abs(kernel), [0, 1, 2], keepdims=True) / 127, np.finfo(np.float32).tiny)
    return tf.round(kernel / step) * step
