"""Kernels of convolutions rounded to 8 bits so that a layer's output, and not each weight by itself, is kept.

TFLite would round each weight to the nearest step. Here the weights of an output channel are rounded one after the
other, and those that are still to come take over the error that was made, as far as their inputs go together: Frantar
et al., "GPTQ" (ICLR 2023). Then the bias takes back the shift that is left in the mean: the bias correction of Nagel et
al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (ICCV 2019). Each layer is rounded with
its inputs as the rounded layers before it give them. The result lies on TFLite's own steps, so that TFLite's rounding
changes nothing any more.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST_QUANTISED = 1024
"""Weights; TFLite leaves smaller kernels as they are."""
_HIGHEST = 127
_MOST_ROWS = 8192
"""Inputs of one output pixel each that a layer is rounded by."""
_ROWS_AT_ONCE = 2048
_DAMPING = 0.01
"""Of the mean square of an input, added to each: what few pictures cannot tell apart is not told apart."""
_BLOCK = 128


def round_convolutions(
    layers: list[Any],
    model: Any,
    images: NDArray[np.float32],
    features: NDArray[np.int32],
    progress: Callable[[int], None] = lambda done: None,
    *,
    rounded_as_one: bool = False,
) -> None:
    """Round the kernels of `layers`, and correct their biases.

    Args:
        layers: of the model, `Conv2D` with one group and channels last, each used once; of a smaller one than TFLite
            quantises only the bias is left alone, too.
        model: a tf_keras model taking [images, features] in any batch; changed in place.
        images: pictures to measure on, shape (pictures, height, width, 3), float32, 0 to 1.
        features: ids to go with them, shape (pictures, sequence_length), int32.
        progress: called with the number of layers done.
        rounded_as_one: what goes into a layer will be rounded with one range for all pictures, not one for each.
    """
    import tensorflow as tf

    layers = [layer for layer in layers if np.prod(layer.kernel.shape) >= SMALLEST_QUANTISED]
    done = 0
    shifts: dict[int, Any] = {}

    # The network runs once, on each picture twice: the first half of the batch goes through the layers as they were
    # trained, the second half as they will be.
    def rounded(inputs: Any, kernel: Any, layer: Any) -> Any:
        nonlocal done
        exact, coarse = tf.split(inputs, 2)
        convolution = type(layer).convolution_op
        expected = convolution(layer, exact, tf.identity(kernel))
        coarse = _rounded_inputs(coarse, as_one=rounded_as_one)
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
    """The kernel in whole steps, -127 to 127, shape as given, and the largest weight of each output channel."""
    weights = kernel.reshape(-1, kernel.shape[-1])
    largest = np.maximum(np.abs(weights).max(axis=0), np.finfo(np.float32).tiny)
    steps = _rounded_together(weights / largest * _HIGHEST, gram)
    # TFLite takes the largest weight for its scale, so one must be as large as before.
    at, channels = np.abs(weights).argmax(axis=0), np.arange(weights.shape[1])
    steps[at, channels] = np.where(weights[at, channels] < 0, -_HIGHEST, _HIGHEST)
    return steps.reshape(kernel.shape), largest


def _rounded_together(weights: NDArray[np.float32], gram: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights in steps, shape (inputs, outputs), made whole.

    `gram`, shape (inputs, inputs), says which inputs go together.
    """
    from scipy.linalg import cholesky, lapack

    gram = gram.copy()
    power = np.diag(gram).copy()
    gram[np.diag_indices(len(gram))] += _DAMPING * power.mean() + np.finfo(np.float32).tiny
    order = np.argsort(-power, kind="stable")  # those first whose error weighs most
    gram, left = gram[np.ix_(order, order)], weights[order]
    # The upper Cholesky factor of the inverse, from that of the reversed matrix: half the work of inverting first.
    reversed_factor = cholesky(gram[::-1, ::-1], lower=True, check_finite=False)
    passed_on = np.ascontiguousarray(lapack.strtri(reversed_factor, lower=1)[0][::-1, ::-1])
    whole = np.empty_like(left)
    for start in range(0, len(left), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(left)))
        errors = np.empty_like(left[block])
        for row in range(block.start, block.stop):
            whole[row] = np.clip(np.round(left[row]), -_HIGHEST, _HIGHEST)
            errors[row - block.start] = (left[row] - whole[row]) / passed_on[row, row]
            left[row : block.stop] -= np.outer(passed_on[row, row : block.stop], errors[row - block.start])
        left[block.stop :] -= passed_on[block, block.stop :].T @ errors
    result = np.empty_like(whole)
    result[order] = whole
    return result


def _gram(inputs: Any, layer: Any) -> NDArray[np.float32]:
    """Mean over output pixels of the product of each two of the inputs that make one, shape (inputs, inputs)."""
    import tensorflow as tf

    size = int(np.prod(layer.kernel.shape[:-1]))
    random = np.random.default_rng(0)
    each = max(1, _MOST_ROWS // len(inputs))
    gram = np.zeros((size, size), np.float32)
    waiting: list[NDArray[np.float32]] = []
    rows = 0
    for number, picture in enumerate(inputs, start=1):
        patches = tf.image.extract_patches(
            picture[None],
            sizes=[1, *layer.kernel_size, 1],
            strides=[1, *layer.strides, 1],
            rates=[1, *layer.dilation_rate, 1],
            padding=layer.padding.upper(),
        )
        block = patches.numpy().reshape(-1, size)
        if len(block) > each:
            block = block[random.choice(len(block), each, replace=False)]
        waiting.append(block)
        # Many rows at once: each product reads and writes the whole matrix, of up to 85 MB.
        if sum(map(len, waiting)) >= _ROWS_AT_ONCE or number == len(inputs):
            together = np.concatenate(waiting)
            gram += together.T @ together
            rows += len(together)
            waiting = []
    return gram / np.float32(rows)


def _rounded_inputs(inputs: Any, *, as_one: bool) -> Any:
    """To 8 bits, per picture or as one, from the lowest to the highest value and with an exact zero."""
    import tensorflow as tf

    axes = list(range(0 if as_one else 1, inputs.shape.rank))
    lowest = tf.minimum(tf.reduce_min(inputs, axes, keepdims=True), 0)
    highest = tf.maximum(tf.reduce_max(inputs, axes, keepdims=True), 0)
    step = tf.maximum((highest - lowest) / 255, np.finfo(np.float32).tiny)
    zero = tf.round(-lowest / step)
    return (tf.clip_by_value(tf.round(inputs / step) + zero, 0, 255) - zero) * step
