"""Joint rounding to TFLite's steps changes the output of a layer less than rounding each weight by itself."""

from typing import Any

import numpy as np
import pytest
import tf_keras
from numpy.typing import NDArray

from convert.quantise.gptq import _on_steps, round_convolutions
from tests.convert.quantise.test_prepare import chain, convolutions, ids, network, random_images

pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")


def nearest(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    return np.asarray(np.round(kernel / scale) * scale, np.float32)


def test_every_weight_lies_on_a_step_and_the_largest_stays() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 8, 16)).astype(np.float32)
    inputs = random.normal(size=(400, 72)).astype(np.float32)
    steps, largest = _on_steps(kernel, inputs.T @ inputs / np.float32(400))
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
    steps, largest = _on_steps(kernel, inputs[:1000].T @ inputs[:1000] / np.float32(1000))

    def error(rounded: NDArray[np.float32]) -> float:
        return float(np.square(inputs[1000:] @ (rounded - kernel).reshape(72, 16)).mean())

    assert error(steps * largest / np.float32(127)) < error(nearest(kernel)) / 4


def test_inputs_that_are_always_zero_and_dead_channels() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 8, 16)).astype(np.float32)
    kernel[..., ::2] = 0
    for gram in (np.zeros((72, 72), np.float32), np.diag([1.0, 0.0] * 36).astype(np.float32)):
        steps, largest = _on_steps(kernel, gram)
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
