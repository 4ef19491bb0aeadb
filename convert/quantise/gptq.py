"""Rounds the kernels of convolutions to 8 bits so that the outputs of a layer, not its single weights, change least.

TFLite would round each weight to the nearest step. Here the weights of an output channel are rounded one after the
other, and the remaining ones compensate for the rounding error, as far as their inputs are correlated: Frantar et al.,
"GPTQ" (ICLR 2023). Then the bias compensates for the remaining shift of the mean: the bias correction of Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction" (ICCV 2019). Each layer is rounded with the
inputs that it gets from the rounded layers before it. The results are multiples of TFLite's own step size, so that
TFLite's rounding changes nothing afterwards.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST_QUANTISED = 1024
"""Number of weights; TFLite does not quantise smaller kernels."""
_HIGHEST = 127
"""Largest 8-bit weight in steps."""
_MOST_ROWS = 8192
"""Number of output pixels, over all images, whose inputs determine how a layer is rounded."""
_ROWS_AT_ONCE = 2048
_DAMPING = 0.01
"""Share of the mean square of all inputs that is added to each, to regularise what few images cannot determine."""
_BLOCK = 128


def round_convolutions(
    layers: list[Any],
    model: Any,
    images: NDArray[np.float32],
    features: NDArray[np.int32],
    progress: Callable[[int], None] = lambda done: None,
    *,
    static_ranges: bool = False,
) -> None:
    """Round the kernels of `layers`, and correct their biases.

    Args:
        layers: `Conv2D` layers of the model with one group and channels last, each used once; layers that are too small
            for TFLite to quantise stay unchanged, including the bias.
        model: a tf_keras model with the inputs [images, features] and any batch size; changed in place.
        images: images to measure on, shape (images, height, width, 3), float32, 0 to 1.
        features: word ids for these images, shape (images, sequence_length), int32.
        progress: called with the number of layers done.
        static_ranges: whether the runtime will quantise the inputs of a layer with one range for all images, instead of
            one range for each image.
    """
    import tensorflow as tf

    layers = [layer for layer in layers if np.prod(layer.kernel.shape) >= SMALLEST_QUANTISED]
    done = 0
    shifts: dict[int, Any] = {}

    # The network runs once, on each image twice: the first half of the batch passes the layers with the trained
    # weights, the second half with the rounded ones.
    def rounded(inputs: Any, kernel: Any, layer: Any) -> Any:
        nonlocal done
        exact, coarse = tf.split(inputs, 2)
        convolution = type(layer).convolution_op
        expected = convolution(layer, exact, tf.identity(kernel))
        coarse = _rounded_inputs(coarse, static_range=static_ranges)
        steps, largest = _on_steps(kernel.numpy(), _gram(coarse, layer))
        kernel.assign(steps * largest / _HIGHEST)
        outputs = convolution(layer, coarse, tf.identity(kernel))
        shift = tf.reduce_mean(outputs - expected, axis=[0, 1, 2]) if layer.use_bias else 0.0
        shifts[id(layer)] = shift
        done += 1
        progress(done)
        return tf.concat([expected, outputs - shift], 0)

    for layer in layers:
        layer.convolution_op = lambda inputs, kernel, layer=layer: rounded(inputs, kernel, layer)
    try:
        model([np.concatenate([images, images]), np.concatenate([features, features])], training=False)
    finally:
        for layer in layers:
            del layer.convolution_op
    for layer in layers:
        if layer.use_bias and id(layer) in shifts:
            layer.bias.assign_sub(shifts[id(layer)])


def _on_steps(
    kernel: NDArray[np.float32], gram: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The kernel in integer steps, -127 to 127, of the same shape, and the largest weight of each output channel."""
    weights = kernel.reshape(-1, kernel.shape[-1])
    largest = np.maximum(np.abs(weights).max(axis=0), np.finfo(np.float32).tiny)
    steps = _round_jointly(weights / largest * _HIGHEST, gram)
    # TFLite derives its scale from the largest weight, so that weight must not change.
    at, channels = np.abs(weights).argmax(axis=0), np.arange(weights.shape[1])
    steps[at, channels] = np.where(weights[at, channels] < 0, -_HIGHEST, _HIGHEST)
    return steps.reshape(kernel.shape), largest


def _round_jointly(weights: NDArray[np.float32], gram: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round weights in steps, shape (inputs, outputs), to integers.

    `gram`, shape (inputs, inputs), is the correlation of the inputs.
    """
    from scipy.linalg import cholesky, lapack

    gram = gram.copy()
    power = np.diag(gram).copy()
    gram[np.diag_indices(len(gram))] += _DAMPING * power.mean() + np.finfo(np.float32).tiny
    order = np.argsort(-power, kind="stable")  # the weights whose error matters most come first
    gram, left = gram[np.ix_(order, order)], weights[order]
    # The upper Cholesky factor of the inverse, from that of the reversed matrix: half the work of inverting first.
    reversed_factor = cholesky(gram[::-1, ::-1], lower=True, check_finite=False)
    propagation = np.ascontiguousarray(lapack.strtri(reversed_factor, lower=1)[0][::-1, ::-1])
    rounded = np.empty_like(left)
    for start in range(0, len(left), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(left)))
        errors = np.empty_like(left[block])
        for row in range(block.start, block.stop):
            rounded[row] = np.clip(np.round(left[row]), -_HIGHEST, _HIGHEST)
            errors[row - block.start] = (left[row] - rounded[row]) / propagation[row, row]
            left[row : block.stop] -= np.outer(propagation[row, row : block.stop], errors[row - block.start])
        left[block.stop :] -= propagation[block, block.stop :].T @ errors
    result = np.empty_like(rounded)
    result[order] = rounded
    return result


def _gram(inputs: Any, layer: Any) -> NDArray[np.float32]:
    """Mean over output pixels of the products of all pairs of their inputs, shape (inputs, inputs)."""
    import tensorflow as tf

    size = int(np.prod(layer.kernel.shape[:-1]))
    random = np.random.default_rng(0)
    each = max(1, _MOST_ROWS // len(inputs))
    gram = np.zeros((size, size), np.float32)
    batch: list[NDArray[np.float32]] = []
    rows = 0
    for number, image in enumerate(inputs, start=1):
        patches = tf.image.extract_patches(
            image[None],
            sizes=[1, *layer.kernel_size, 1],
            strides=[1, *layer.strides, 1],
            rates=[1, *layer.dilation_rate, 1],
            padding=layer.padding.upper(),
        )
        block = patches.numpy().reshape(-1, size)
        if len(block) > each:
            block = block[random.choice(len(block), each, replace=False)]
        batch.append(block)
        # Many rows at once, because each product reads and writes the complete matrix of up to 85 MB.
        if sum(map(len, batch)) >= _ROWS_AT_ONCE or number == len(inputs):
            joined = np.concatenate(batch)
            gram += joined.T @ joined
            rows += len(joined)
            batch = []
    return gram / np.float32(rows)


def _rounded_inputs(inputs: Any, *, static_range: bool) -> Any:
    """Quantise inputs to 8 bits between their extremes, with an exact zero, and one range for all or for each image."""
    import tensorflow as tf

    axes = list(range(0 if static_range else 1, inputs.shape.rank))
    lowest = tf.minimum(tf.reduce_min(inputs, axes, keepdims=True), 0)
    highest = tf.maximum(tf.reduce_max(inputs, axes, keepdims=True), 0)
    step = tf.maximum((highest - lowest) / 255, np.finfo(np.float32).tiny)
    zero = tf.round(-lowest / step)
    return (tf.clip_by_value(tf.round(inputs / step) + zero, 0, 255) - zero) * step
