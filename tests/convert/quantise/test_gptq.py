"""Joint rounding to TFLite's steps changes the output of a layer less than rounding each weight by itself."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from convert.quantise import gptq
from convert.quantise.gptq import (
    _factorise,
    _gram,
    _on_steps,
    _part_size,
    _round_jointly,
    _uses_all_rows,
    _Workspace,
    round_convolutions,
)
from tests.convert.quantise.test_prepare import chain, convolutions, ids, network, random_images

pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")


def nearest(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    return np.asarray(np.round(kernel / scale) * scale, np.float32)


def test_every_weight_lies_on_a_step_and_the_largest_stays() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 8, 16)).astype(np.float32)
    inputs = random.normal(size=(400, 72)).astype(np.float32)
    steps, largest = _on_steps(kernel, inputs.T @ inputs / np.float32(400), _Workspace())
    np.testing.assert_array_equal(steps, np.round(steps))
    np.testing.assert_array_equal(np.abs(steps).max(axis=(0, 1, 2)), 127)
    np.testing.assert_array_equal(largest, np.abs(kernel).max(axis=(0, 1, 2)))
    again = steps * largest / np.float32(127)
    np.testing.assert_allclose(nearest(again), again, rtol=1e-6)  # TFLite's own rounding changes nothing afterwards


def test_the_output_of_a_layer_changes_less() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 8, 16)).astype(np.float32)
    common = random.normal(size=(2000, 4)) @ random.normal(size=(4, 72))  # correlated inputs
    inputs = (common + 0.1 * random.normal(size=(2000, 72))).astype(np.float32)
    steps, largest = _on_steps(kernel, inputs[:1000].T @ inputs[:1000] / np.float32(1000), _Workspace())

    def error(rounded: NDArray[np.float32]) -> float:
        return float(np.square(inputs[1000:] @ (rounded - kernel).reshape(72, 16)).mean())

    assert error(steps * largest / np.float32(127)) < error(nearest(kernel)) / 4


def test_inputs_that_are_always_zero_and_dead_channels() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 8, 16)).astype(np.float32)
    kernel[..., ::2] = 0
    for gram in (np.zeros((72, 72), np.float32), np.diag([1.0, 0.0] * 36).astype(np.float32)):
        steps, largest = _on_steps(kernel, gram, _Workspace())
        assert np.isfinite(steps * largest).all()
        np.testing.assert_allclose(steps * largest / np.float32(127), kernel, atol=np.abs(kernel).max() / 127)


def changed(model: Any, images: NDArray[np.float32]) -> set[str]:
    """Names of the weights that rounding changes."""
    before = {weight.name: weight.numpy() for weight in model.weights}
    round_convolutions(convolutions(model), model, images, ids())
    assert not [layer for layer in convolutions(model) if "convolution_op" in vars(layer)]
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)
    return {weight.name for weight in model.weights if not np.array_equal(weight.numpy(), before[weight.name])}


def test_only_kernels_and_biases_change() -> None:
    model = network(chain())
    done: list[int] = []
    names = {weight.name for layer in convolutions(model)[1:] for weight in layer.weights}
    assert changed(model, random_images(0)) == names  # the first kernel has 864 weights, which TFLite does not quantise
    round_convolutions(convolutions(model), model, random_images(0), ids(), done.append)
    assert done == [1, 2, 3, 4]


def test_black_images_and_layers_without_a_bias() -> None:
    def branch(images: Any) -> Any:
        x = tf_keras.layers.Conv2D(64, 3, strides=2, padding="same", use_bias=False)(images)
        x = tf_keras.layers.Conv2D(32, 3, dilation_rate=2, activation="tanh")(x)
        return tf_keras.layers.GlobalAveragePooling2D()(x)

    assert len(changed(network(branch), random_images(0))) == 3
    assert changed(network(branch), random_images(0) * 0)


@pytest.mark.parametrize("all_pixels", [True, False])
@pytest.mark.parametrize(
    ("kernel", "settings", "size"),
    [
        ((3, 3), {"padding": "same"}, (5, 6)),
        ((3, 3), {"padding": "same"}, (1, 2)),  # smaller than the kernel
        ((3, 3), {"padding": "valid"}, (5, 6)),
        ((2, 4), {"padding": "same"}, (7, 5)),
        ((1, 1), {}, (4, 4)),
        ((5, 5), {"padding": "same"}, (3, 3)),
        ((3, 3), {"padding": "same", "strides": 2}, (7, 8)),
        ((3, 2), {"padding": "valid", "strides": (2, 1)}, (8, 8)),
        ((3, 3), {"padding": "same", "dilation_rate": 2}, (7, 8)),
    ],
)
def test_products_of_inputs(
    monkeypatch: pytest.MonkeyPatch,
    kernel: tuple[int, int],
    settings: dict[str, Any],
    size: tuple[int, int],
    all_pixels: bool,
) -> None:
    """They are those of the patches that tensorflow extracts, also where the edges of the image are."""
    monkeypatch.setattr(gptq, "_ALL_ROWS", 10**6 if all_pixels else 0)
    inputs = np.random.default_rng(0).normal(size=(5, *size, 6)).astype(np.float32)
    layer = tf_keras.layers.Conv2D(4, kernel, **settings)
    layer(inputs)
    patches = tf.image.extract_patches(
        inputs,
        sizes=[1, *layer.kernel_size, 1],
        strides=[1, *layer.strides, 1],
        rates=[1, *layer.dilation_rate, 1],
        padding=layer.padding.upper(),
    ).numpy()
    rows = patches.reshape(-1, kernel[0] * kernel[1] * 6)
    all_rows = _uses_all_rows(layer, inputs.shape, len(inputs))
    assert all_rows == (all_pixels and settings.get("strides", 1) == settings.get("dilation_rate", 1) == 1)
    workspace = _Workspace()
    workspace.square("gram", 2 * rows.shape[1])[:] = np.nan  # what a layer before has left
    batches = [tf.constant(inputs[:2]), tf.constant(inputs[2:])]
    found = _gram(batches, layer, len(inputs), workspace, all_rows=all_rows)
    np.testing.assert_allclose(found, rows.T @ rows / len(rows), atol=1e-5)


def test_few_pixels_of_each_image_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gptq, "_ALL_ROWS", 0)
    monkeypatch.setattr(gptq, "_MOST_ROWS", 1000)
    inputs = np.random.default_rng(0).normal(size=(20, 32, 32, 2)).astype(np.float32)
    layer = tf_keras.layers.Conv2D(4, 1)
    layer(inputs)
    drawn: list[int] = []
    product = gptq._product

    def counted(a: Any, b: Any, **transposed: bool) -> NDArray[np.float32]:
        drawn.append(len(a))
        return product(a, b, **transposed)

    monkeypatch.setattr(gptq, "_product", counted)
    found = _gram([tf.constant(inputs)], layer, 20, _Workspace(), all_rows=False)
    assert drawn == [1000]
    np.testing.assert_allclose(found, np.eye(2), atol=0.15)


def test_factorisation() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(1500, 1300)).astype(np.float32)
    matrix = rows.T @ rows / np.float32(1500)
    factor = matrix.copy()
    _factorise(factor)
    upper = np.triu(factor)
    np.testing.assert_allclose(upper @ upper.T, matrix, atol=1e-4)


def test_what_a_layer_leaves_in_the_workspace_changes_nothing() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(1500, 1100)).astype(np.float32)
    gram = rows.T @ rows / np.float32(1500)
    weights = (random.normal(size=(1100, 8)) * 40).astype(np.float32)
    used = _Workspace()
    used.square("factor", 1200)[:] = np.nan
    expected = _round_jointly(weights, gram, _Workspace())
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(_round_jointly(weights, gram, used), expected)


def test_the_workspace_grows() -> None:
    workspace = _Workspace()
    first = workspace.square("a", 3)
    assert np.shares_memory(workspace.square("a", 2), first)
    assert workspace.square("a", 4).shape == (4, 4)
    assert not np.shares_memory(workspace.square("b", 4), workspace.square("a", 4))


@pytest.mark.parametrize("all_rows", [True, False])
def test_images_that_pass_a_layer_in_small_parts(monkeypatch: pytest.MonkeyPatch, all_rows: bool) -> None:
    if not all_rows:
        monkeypatch.setattr(gptq, "_ALL_ROWS", 0)
    weights = []
    for part in (gptq._PART, 1):
        monkeypatch.setattr(gptq, "_PART", part)
        tf_keras.utils.set_random_seed(0)
        model = network(chain())
        round_convolutions(convolutions(model), model, random_images(0), ids())
        weights.append(model.get_weights())
    for together, apart in zip(*weights, strict=True):
        np.testing.assert_allclose(together, apart, atol=1e-5)


def test_the_size_of_parts() -> None:
    assert [_part_size((96, size, size, 64)) for size in (2, 32, 64, 100, 1000)] == [32, 32, 8, 2, 1]


def test_rounding_is_that_of_the_inverse() -> None:
    """It equals the published algorithm, which passes errors on with a factor of the inverse."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(900, 12)).astype(np.float32) @ random.normal(size=(12, 300)).astype(np.float32)
    gram = rows.T @ rows / np.float32(900)
    weights = (random.normal(size=(300, 8)) * 40).astype(np.float32)
    damped = gram.astype(np.float64) + np.eye(300) * 0.01 * np.diag(gram).mean()
    order = np.argsort(-np.diag(gram), kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left = weights[order].astype(np.float64)
    expected = np.empty_like(left)
    for row in range(len(left)):
        expected[row] = np.clip(np.round(left[row]), -127, 127)
        error = (left[row] - expected[row]) / factor[row, row]
        left[row:] -= np.outer(factor[row, row:], error)
    found = _round_jointly(weights, gram, _Workspace())[order]
    assert (found == expected).mean() > 0.99  # a value between two steps may be rounded either way
