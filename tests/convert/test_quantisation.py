"""What is done against the losses of 8 bits: exact where it should be, harmless where it cannot help, and worth it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray
from tf_keras import layers

from convert import worker
from convert.network import Network
from convert.quantisation import correct_biases, keep_small_dense_float
from convert.recipes import RECIPES

SIZE, LENGTH = 16, 4
pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")


def pictures(seed: int, count: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((count, SIZE, SIZE, 3), np.float32) ** 3


def ids(count: int = 8) -> NDArray[np.int32]:
    return np.zeros((count, LENGTH), np.int32)


def network(branch: Any, batch: int | None = None) -> Any:
    """A picture branch, its means through a dense layer, and a text input that says nothing."""
    images = layers.Input((SIZE, SIZE, 3), batch_size=batch)
    features = layers.Input((LENGTH,), batch_size=batch, dtype="int32")
    words = layers.Lambda(lambda x: tf.cast(x[:, :1], tf.float32) * 0)(features)
    joint = layers.concatenate([layers.Dense(32, activation="relu")(branch(images)), words])
    return tf_keras.Model([images, features], layers.Dense(3, activation="softmax")(joint))


def chain() -> Any:
    return tf_keras.Sequential(
        [
            *(layers.Conv2D(32, 3, padding="same", activation="relu") for _ in range(4)),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )


def convolutions(model: Any) -> list[Any]:
    found = []
    for layer in model.layers:
        found += convolutions(layer) if hasattr(layer, "layers") else [layer] * isinstance(layer, layers.Conv2D)
    return found


def changed_biases(model: Any) -> list[bool]:
    """Which convolutions were corrected, after seeing that no other weight changed and all are numbers."""
    before = [weight.numpy() for weight in model.weights]
    correct_biases(model, pictures(0), ids())
    biases = {id(layer.bias) for layer in convolutions(model) if layer.use_bias}
    changed = {}
    for weight, old in zip(model.weights, before, strict=True):
        assert np.isfinite(weight.numpy()).all()
        changed[id(weight)] = not np.array_equal(weight.numpy(), old)
        assert id(weight) in biases or not changed[id(weight)], weight.name
    return [layer.use_bias and changed[id(layer.bias)] for layer in convolutions(model)]


def test_only_biases_change_in_nested_and_in_flat_networks() -> None:
    # The first kernel has 864 weights, and TFLite leaves it as it is: nothing is shifted there.
    assert changed_biases(network(chain())) == [False, True, True, True, True]

    def flat(images: Any) -> Any:
        for layer in chain().layers:
            images = layer(images)
        return images

    assert changed_biases(network(flat)) == [False, True, True, True, True]


def test_what_cannot_be_corrected_is_left_alone() -> None:
    shared = layers.Conv2D(32, 3, padding="same")

    def branch(images: Any) -> Any:
        x = layers.Conv2D(32, 7, activation="swish", use_bias=False)(images)
        x = layers.BatchNormalization()(x)
        x = shared(shared(x)) + layers.Conv2D(32, 3, padding="same", activation="tanh")(x)
        x = layers.DepthwiseConv2D(3, padding="same")(x)
        x = layers.Conv2DTranspose(32, 3)(x)
        return layers.GlobalAveragePooling2D()(x)

    # In the order of the layers: no bias, used twice, an ordinary one in a branch, depthwise, transposed.
    model = network(branch)
    changed = dict(zip([layer.name for layer in convolutions(model)], changed_biases(model), strict=True))
    assert [name for name, is_changed in changed.items() if is_changed] == [
        layer.name for layer in convolutions(model) if layer.activation is tf_keras.activations.tanh
    ]


def test_dead_channels_and_black_pictures() -> None:
    model = network(chain())
    for layer in convolutions(model)[:2]:
        kernel, bias = layer.get_weights()
        kernel[..., ::2] = 0
        bias[1::4] = -1e6
        layer.set_weights([kernel, bias])
    correct_biases(model, pictures(0) * 0, ids())
    assert changed_biases(model)
    assert np.isfinite(model([pictures(1), ids()]).numpy()).all()


def test_the_layers_are_as_before_afterwards() -> None:
    model = network(chain())
    correct_biases(model, pictures(0), ids())
    assert not [layer for layer in convolutions(model) if "convolution_op" in vars(layer)]


def converted(model: Any, folder: Path) -> Any:
    worker._save(model, Network("images", "features", (SIZE, SIZE), LENGTH, None, 0), folder)
    interpreter = tf.lite.Interpreter(model_content=worker._flatbuffer(folder, RECIPES["dynamic"]))
    interpreter.allocate_tensors()
    return interpreter


def test_small_dense_layers_stay_float_and_compute_the_same(tmp_path: Path) -> None:
    def branch(images: Any) -> Any:
        x = layers.Dense(64)(layers.Dense(32)(images))  # 2,048 weights, on each pixel
        return layers.Dense(64, use_bias=False)(layers.Dense(40, activation="relu")(layers.Flatten()(x)))

    model = network(branch, batch=1)
    expected = [model([picture[None], ids(1)]).numpy() for picture in pictures(0)]
    keep_small_dense_float(model)
    answers = [model([picture[None], ids(1)]).numpy() for picture in pictures(0)]
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    tensors = converted(model, tmp_path).get_tensor_details()
    rounded = {tuple(sorted(tensor["shape"])) for tensor in tensors if tensor["dtype"] == np.int8}
    # The one of 655,360 weights, and the one on each pixel; not those of 2,560 and 2,048 after it.
    assert rounded == {(40, SIZE * SIZE * 64), (32, 64)}


def test_uneven_channels_answer_more_like_keras(tmp_path: Path) -> None:
    tf_keras.utils.set_random_seed(3)
    model = network(chain(), batch=1)
    random = np.random.default_rng(0)
    for layer in convolutions(model):
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel * 2**0.5 * np.exp(random.normal(0, 1.2, kernel.shape[-1])), bias])
    last = model.layers[-1]
    before_last = tf_keras.Model(model.inputs, last.input)
    joint = np.concatenate([before_last([picture[None], ids(1)]).numpy() for picture in pictures(2, 40)])
    last.kernel.assign(last.kernel / (joint @ last.kernel.numpy()).std(axis=0))
    last.bias.assign(-(joint @ last.kernel.numpy()).mean(axis=0))

    def answers(interpreter: Any) -> NDArray[np.float32]:
        run = interpreter.get_signature_runner("serving_default")
        return np.concatenate([run(images=p[None], features=ids(1))["probabilities"] for p in pictures(1, 40)])

    expected = np.concatenate([model([picture[None], ids(1)]).numpy() for picture in pictures(1, 40)])
    before = np.abs(answers(converted(model, tmp_path / "before")) - expected).mean()
    correct_biases(model, pictures(0), ids())
    keep_small_dense_float(model)
    after = np.abs(answers(converted(model, tmp_path / "after")) - expected).mean()
    assert np.ptp(expected, axis=0).min() > 0.3
    assert after < before / 2
