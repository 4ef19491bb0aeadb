"""Rounds the kernels of convolutions to 8 bits so that the outputs of a layer, not its single weights, change least.

TFLite would round each weight to the nearest step. Here the weights of an output channel are rounded one after the
other, and the remaining ones compensate for the rounding error, as far as their inputs are correlated: Frantar et al.,
"GPTQ" (ICLR 2023), in the equivalent form of Chee et al., "QuIP" (NeurIPS 2023), which needs no inverse. Then the bias
compensates for the remaining shift of the mean: the bias correction of Nagel et al., "Data-Free Quantization Through
Weight Equalization and Bias Correction" (ICCV 2019). Each layer is rounded with the inputs that it gets from the
rounded layers before it. The results are multiples of TFLite's own step size, so that TFLite's rounding changes nothing
afterwards.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

SMALLEST_QUANTISED = 1024
"""Number of weights; TFLite does not quantise smaller kernels."""
_HIGHEST = 127
"""Largest 8-bit weight in steps."""
_MOST_ROWS = 8192
"""Number of output pixels, over all images, that are drawn to determine how a layer is rounded, where using all would
take longer."""
_ALL_ROWS = 6 * _MOST_ROWS
"""Largest number of output pixels of which all are used, where that is possible without computing each pair of inputs:
a row then takes a sixth of the time."""
_DAMPING = 0.01
"""Share of the mean square of all inputs that is added to each, to regularise what few images cannot determine."""
_BATCH = 32
"""Largest number of images that pass a layer at once, a power of two, and number of those, the first, that also pass
the trained layers: the shift of the mean is measured on them."""
_PART = 2**21
"""Largest number of inputs of a layer that are rounded at once. From 8 times as many on, the C library gets the memory
of each result from the system, which clears it, and that takes longer than to round."""
_BLOCK, _SMALL_BLOCK = 128, 16
"""Numbers of rows of a kernel that are rounded before their errors are passed on to all following rows, and within
these to the following rows of the same block."""
_FACTOR_BLOCK = 512


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
    compared = min(len(images), _BATCH)
    workspace = _Workspace()

    # The network runs once: all images pass the layers with the rounded weights, and before them in the same batch
    # some of them also the layers with the trained weights.
    def rounded(inputs: Any, kernel: Any, layer: Any) -> Any:
        nonlocal done
        convolution = type(layer).convolution_op
        expected = convolution(layer, inputs[:compared], tf.identity(kernel))
        size = _part_size(inputs.shape)
        parts = [slice(start, start + size) for start in range(compared, len(inputs), size)]
        all_rows = _uses_all_rows(layer, inputs.shape, len(images))
        ranges = [_ranges(inputs[part]) for part in parts]
        if static_ranges:
            lowest, highest = (tf.concat(each, 0) for each in zip(*ranges, strict=True))
            ranges = [(tf.reduce_min(lowest), tf.reduce_max(highest))] * len(parts)

        def batches() -> Iterator[Any]:
            for part, range_ in zip(parts, ranges, strict=True):
                yield _rounded_inputs(inputs[part], *range_)

        # Where they are large, the rounded inputs are computed twice: those of all images would occupy as much memory
        # as the inputs.
        held = list(batches()) if all_rows else None
        gram = _gram(held or batches(), layer, len(images), workspace, all_rows=all_rows)
        steps, largest = _on_steps(kernel.numpy(), gram, workspace)
        kernel.assign(steps * largest / _HIGHEST)
        outputs = [convolution(layer, batch, tf.identity(kernel)) for batch in held or batches()]
        if layer.use_bias:
            shift = tf.reduce_mean(tf.concat(outputs[: -(-compared // size)], 0) - expected, axis=[0, 1, 2])
            for number in range(len(outputs)):  # one after the other, because all would occupy the memory twice
                outputs[number] -= shift
            shifts[id(layer)] = shift
        done += 1
        progress(done)
        return tf.concat([expected, *outputs], 0)

    for layer in layers:
        layer.convolution_op = lambda inputs, kernel, layer=layer: rounded(inputs, kernel, layer)
    try:
        model(
            [np.concatenate([images[:compared], images]), np.concatenate([features[:compared], features])],
            training=False,
        )
    finally:
        for layer in layers:
            del layer.convolution_op
    for layer in layers:
        if id(layer) in shifts:
            layer.bias.assign_sub(shifts[id(layer)])


class _Workspace:
    """Memory for the square matrices of a layer, used again for the next layer.

    The system clears new memory first, which takes longer than what is computed in it.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.float32]] = {}

    def square(self, name: str, size: int) -> NDArray[np.float32]:
        """An array of shape (size, size) with any content, in which that of the same name before is lost."""
        if name not in self._arrays or self._arrays[name].size < size**2:
            self._arrays.pop(name, None)  # before the larger one is allocated
            self._arrays[name] = np.empty(size**2, np.float32)
        return self._arrays[name][: size**2].reshape(size, size)


def _on_steps(
    kernel: NDArray[np.float32], gram: NDArray[np.float32], workspace: _Workspace
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The kernel in integer steps, -127 to 127, of the same shape, and the largest weight of each output channel."""
    weights = kernel.reshape(-1, kernel.shape[-1])
    largest = np.maximum(np.abs(weights).max(axis=0), np.finfo(np.float32).tiny)
    steps = _round_jointly(weights / largest * _HIGHEST, gram, workspace)
    # TFLite derives its scale from the largest weight, so that weight must not change.
    at, channels = np.abs(weights).argmax(axis=0), np.arange(weights.shape[1])
    steps[at, channels] = np.where(weights[at, channels] < 0, -_HIGHEST, _HIGHEST)
    return steps.reshape(kernel.shape), largest


def _round_jointly(
    weights: NDArray[np.float32], gram: NDArray[np.float32], workspace: _Workspace
) -> NDArray[np.float32]:
    """Round weights in steps, shape (inputs, outputs), to integers.

    `gram`, shape (inputs, inputs), is the correlation of the inputs.
    """
    power = np.diag(gram)
    order = np.argsort(-power, kind="stable")  # the weights whose error matters most come first
    factor = workspace.square("factor", len(gram))
    for start in range(0, len(gram), _FACTOR_BLOCK):  # what lies below the blocks on the diagonal is not used
        rows = np.take(gram, order[start : start + _FACTOR_BLOCK], axis=0)
        factor[start : start + _FACTOR_BLOCK, start:] = np.take(rows, order[start:], axis=1)
    factor[np.diag_indices(len(factor))] += _DAMPING * power.mean() + np.finfo(np.float32).tiny
    _factorise(factor)
    # The diagonal becomes 1, and a column states what its row takes over from those above.
    for start in range(0, len(factor), _FACTOR_BLOCK):
        block = slice(start, start + _FACTOR_BLOCK)
        factor[: block.stop, block] /= np.diag(factor)[block].copy()
    exact = weights[order]
    rounded, errors = np.empty_like(exact), np.empty_like(exact)
    for start in range(0, len(exact), _BLOCK):
        stop = min(start + _BLOCK, len(exact))
        targets = exact[start:stop]
        if start:
            targets = targets + _product(factor[:start, start:stop], errors[:start], transpose_a=True)
        passed_on = np.ascontiguousarray(factor[start:stop, start:stop].T)
        for first in range(start, stop, _SMALL_BLOCK):
            last = min(first + _SMALL_BLOCK, stop)
            rows = targets[first - start : last - start] + (
                passed_on[first - start : last - start, : first - start] @ errors[start:first]
            )
            for row in range(first, last):
                target = rows[row - first]
                target += passed_on[row - start, first - start : row - start] @ errors[first:row]
                steps = np.rint(target, out=rounded[row])
                np.minimum(steps, _HIGHEST, out=steps)
                np.maximum(steps, -_HIGHEST, out=steps)
                np.subtract(exact[row], steps, out=errors[row])
    result = np.empty_like(rounded)
    result[order] = rounded
    return result


def _factorise(matrix: NDArray[np.float32]) -> None:
    """Replace the upper triangle of a positive definite matrix by U, where the matrix is U times its transpose.

    It is the Cholesky decomposition from the last row to the first. Block by block, almost all of the work is in
    products of matrices, which tensorflow computes several times faster than a LAPACK library decomposes.
    """
    import tensorflow as tf

    for start in reversed(range(0, len(matrix), _FACTOR_BLOCK)):
        block = slice(start, start + _FACTOR_BLOCK)
        lower = np.linalg.cholesky(matrix[block, block][::-1, ::-1])
        inverse = lapack.strtri(lower, lower=1)[0][::-1, ::-1]
        matrix[block, block] = lower[::-1, ::-1]
        if start:
            above = tf.matmul(matrix[:start, block], np.ascontiguousarray(inverse), transpose_b=True)
            matrix[:start, block] = np.asarray(above)
            for left in range(0, start, _FACTOR_BLOCK):
                columns = slice(left, left + _FACTOR_BLOCK)
                matrix[: columns.stop, columns] -= _product(above[: columns.stop], above[columns], transpose_b=True)


def _product(a: Any, b: Any, **transposed: bool) -> NDArray[np.float32]:
    import tensorflow as tf

    # Not `numpy`, which copies.
    product: NDArray[np.float32] = np.asarray(tf.matmul(a, b, **transposed))
    return product


def _part_size(shape: Sequence[int]) -> int:
    """Number of images that pass a layer with inputs of a shape at once: a power of two, at most `_BATCH`."""
    fit = max(1, _PART // math.prod(shape[1:]))
    return min(_BATCH, 1 << (fit.bit_length() - 1))


def _uses_all_rows(layer: Any, shape: Sequence[int], images: int) -> bool:
    """Whether all output pixels are used to round a layer with inputs of a shape; see `_ALL_ROWS`."""
    return bool(images * np.prod(_output_size(shape, layer)) <= _ALL_ROWS and _is_dense(layer))


def _gram(
    batches: Iterable[Any], layer: Any, images: int, workspace: _Workspace, *, all_rows: bool
) -> NDArray[np.float32]:
    """Mean over output pixels of the products of all pairs of their inputs, shape (inputs, inputs).

    Args:
        batches: the inputs of the layer, each of shape (batch, height, width, channels).
        layer: the convolution.
        images: number of images in all batches.
        workspace: where the result lies.
        all_rows: whether all output pixels are used, see `_uses_all_rows`, instead of some that are drawn.
    """
    if all_rows:
        return _gram_of_all_pixels(_joined(batches), layer, workspace)
    random = np.random.default_rng(0)
    rows = [_drawn_rows(np.asarray(batch), layer, max(1, _MOST_ROWS // images), random) for batch in batches]
    joined = np.concatenate(rows)
    product = _product(joined, joined, transpose_a=True)
    return np.divide(product, np.float32(len(joined)), out=workspace.square("gram", len(product)))


def _joined(batches: Iterable[Any]) -> Any:
    import tensorflow as tf

    return tf.concat(list(batches), 0)


def _gram_of_all_pixels(inputs: Any, layer: Any, workspace: _Workspace) -> NDArray[np.float32]:
    """The same for a convolution without strides and dilation, from all pixels.

    A product of two inputs of a pixel is also one of two other inputs of its neighbours. So for a kernel of 3 x 3, one
    product for each of 13 distances replaces one for each of 45 pairs of positions in the kernel. Only the pixels near
    the edges belong to some of these pairs and not to others.
    """
    import tensorflow as tf

    height, width, channels, _ = layer.kernel.shape
    rows, columns = _output_size(inputs.shape, layer)
    padded = tf.pad(inputs, [(0, 0), *_padding(inputs.shape, layer), (0, 0)])
    size = height * width * channels
    square = workspace.square("gram", size)
    square[:] = 0
    gram = square.reshape(height, width, channels, height, width, channels)
    for down, right in itertools.product(range(height), range(1 - width, width)):
        if (down, right) < (0, 0):
            continue  # the transpose of another
        tops, lefts = range(height - down), range(max(0, -right), width - max(0, right))
        for (top, bottom), (left, end) in itertools.product(_strips(tops, rows), _strips(lefts, columns)):
            first = tf.reshape(padded[:, top:bottom, left:end], [-1, channels])
            second = tf.reshape(padded[:, top + down : bottom + down, left + right : end + right], [-1, channels])
            product = _product(first, second, transpose_a=True)
            for y, x in itertools.product(tops, lefts):
                if y <= top and bottom <= y + rows and x <= left and end <= x + columns:
                    gram[y, x, :, y + down, x + right] += product
    square /= np.float32(len(inputs) * rows * columns)
    for start in range(0, size, channels):
        block = slice(start, start + channels)
        square[start + channels :, block] = square[block, start + channels :].T
    return square


def _strips(starts: range, count: int) -> list[tuple[int, int]]:
    """Cut the rows of all windows of `count` rows, which begin at `starts`, so that each strip is in or out of each."""
    return list(itertools.pairwise(sorted({edge for start in starts for edge in (start, start + count)})))


def _drawn_rows(inputs: NDArray[np.float32], layer: Any, each: int, random: np.random.Generator) -> NDArray[np.float32]:
    """The inputs of at most `each` output pixels of each image, shape (rows, inputs)."""
    rows, columns = _output_size(inputs.shape, layer)
    (above, _), (before, _) = _padding(inputs.shape, layer)
    drawn = np.stack([random.permutation(rows * columns)[:each] for _ in inputs])
    down, right = (
        first[..., None] * stride + np.arange(size) * dilation
        for first, stride, size, dilation in zip(
            np.divmod(drawn, columns), layer.strides, layer.kernel_size, layer.dilation_rate, strict=True
        )
    )
    number = np.arange(len(inputs))[:, None, None, None]
    # Not from a padded copy of the inputs, of which these are a small part.
    down, right = down[..., None] - above, right[..., None, :] - before
    inside = (down >= 0) & (down < inputs.shape[1]) & (right >= 0) & (right < inputs.shape[2])
    patches: NDArray[np.float32] = inputs[number, down.clip(0, inputs.shape[1] - 1), right.clip(0, inputs.shape[2] - 1)]
    patches[~inside] = 0
    return patches.reshape(drawn.size, -1)


def _is_dense(layer: Any) -> bool:
    return tuple(layer.strides) == tuple(layer.dilation_rate) == (1, 1)


def _output_size(shape: Sequence[int], layer: Any) -> tuple[int, int]:
    """Rows and columns of the output of a convolution for inputs of a shape."""
    _, rows, columns, _ = layer.compute_output_shape(tuple(shape))
    return rows, columns


def _padding(shape: Sequence[int], layer: Any) -> list[tuple[int, int]]:
    """Numbers of rows and columns of zeros that the padding `same` adds before and after inputs of a shape."""
    if layer.padding != "same":
        return [(0, 0), (0, 0)]
    added = []
    for size, count, kernel, stride, dilation in zip(
        shape[1:3],
        _output_size(shape, layer),
        layer.kernel_size,
        layer.strides,
        layer.dilation_rate,
        strict=True,
    ):
        total = max(0, (count - 1) * stride + (kernel - 1) * dilation + 1 - size)
        added.append((total // 2, total - total // 2))
    return added


def _ranges(inputs: Any) -> tuple[Any, Any]:
    """The lowest and highest input of each image, 0 included, both of shape (images, 1, 1, 1)."""
    import tensorflow as tf

    lowest, highest = (reduce(inputs, [1, 2, 3], keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
    return tf.minimum(lowest, 0), tf.maximum(highest, 0)


def _rounded_inputs(inputs: Any, lowest: Any, highest: Any) -> Any:
    """Quantise inputs to 8 bits between their extremes, with an exact zero."""
    import tensorflow as tf

    step = tf.maximum((highest - lowest) / 255, np.finfo(np.float32).tiny)
    zero = tf.round(-lowest / step)
    return (tf.clip_by_value(tf.round(inputs / step) + zero, 0, 255) - zero) * step
