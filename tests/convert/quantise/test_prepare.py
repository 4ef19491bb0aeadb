"""Preparation for 8 bits computes the same in floating point, and makes the quantised predictions more accurate."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray
from tf_keras import layers

from convert.quantise import tflite
from convert.quantise.prepare import keep_float, prepare_weights
from convert.recipes import RECIPES
from convert.source.keras_loading import strip_module_names
from convert.source.model_spec import ModelSpec

SIZE, LENGTH = 16, 4
pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")


def random_images(seed: int, count: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((count, SIZE, SIZE, 3), np.float32) ** 3


def ids(count: int = 8) -> NDArray[np.int32]:
    return np.zeros((count, LENGTH), np.int32)


def network(branch: Any, batch: int | None = None) -> Any:
    """A network of an image branch followed by a dense layer, and a text input without effect."""
    images = layers.Input((SIZE, SIZE, 3), batch_size=batch)
    features = layers.Input((LENGTH,), batch_size=batch, dtype="int32")
    words = layers.Flatten()(layers.Embedding(2, 1, embeddings_initializer="zeros")(features))
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


def converted(model: Any, folder: Path, mode: str = "dynamic") -> Any:
    tflite.save(model, ModelSpec("images", "features", (SIZE, SIZE), LENGTH, None), folder)
    content = tflite.to_flatbuffer(
        folder, RECIPES[mode], per_channel_dense=False, images=random_images(0, 40), features=ids(40)
    )
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return interpreter


def predict(interpreter: Any) -> NDArray[np.float32]:
    run = interpreter.get_signature_runner("serving_default")
    return np.concatenate([run(images=p[None], features=ids(1))["probabilities"] for p in random_images(1, 40)])


def rounded(interpreter: Any) -> set[tuple[int, ...]]:
    """Sorted shapes of the tensors in 8 bits."""
    return {tuple(sorted(t["shape"])) for t in interpreter.get_tensor_details() if t["dtype"] == np.int8}


def test_small_dense_layers_stay_float_and_compute_the_same(tmp_path: Path) -> None:
    def branch(images: Any) -> Any:
        x = layers.Dense(64)(layers.Dense(32)(images))  # 2,048 weights, on each pixel
        return layers.Dense(64, use_bias=False)(layers.Dense(40, activation="relu")(layers.Flatten()(x)))

    model = network(branch, batch=1)
    expected = [model([image[None], ids(1)]).numpy() for image in random_images(0)]
    keep_float(model, RECIPES["dynamic"])
    found = [model([image[None], ids(1)]).numpy() for image in random_images(0)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # The one of 655,360 weights, and the one on each pixel; not those of 2,560 and 2,048 after it.
    assert rounded(converted(model, tmp_path)) == {(40, SIZE * SIZE * 64), (32, 64)}


@pytest.mark.parametrize("mode", ["dynamic", "int8"])
def test_first_convolution_stays_float(tmp_path: Path, mode: str) -> None:
    def branch(images: Any) -> Any:
        x = layers.Conv2D(80, 3, activation="relu")(images)  # 2,160 weights
        return layers.GlobalAveragePooling2D()(layers.Conv2D(32, 3, activation="relu")(x))

    model = network(branch, batch=1)
    expected = [model([image[None], ids(1)]).numpy() for image in random_images(0)]
    keep_float(model, RECIPES[mode])
    found = [model([image[None], ids(1)]).numpy() for image in random_images(0)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    kernels = {shape for shape in rounded(converted(model, tmp_path, mode)) if shape[:2] == (3, 3)}
    assert kernels == {(3, 3, 32, 80)}


def test_only_the_image_branch_is_in_8_bits(tmp_path: Path) -> None:
    def branch(images: Any) -> Any:
        x = layers.Conv2D(32, 3, padding="same", activation="relu")(images)
        y = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(layers.Conv2D(32, 3, activation="relu")(layers.Add()([x, y])))
        return layers.GlobalAveragePooling2D()(x)

    interpreter = converted(network(branch, batch=1), tmp_path, "int8")
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    types: dict[str, set[Any]] = {}
    for operator in interpreter._get_ops_details():
        types.setdefault(operator["op_name"], set()).add(tensors[operator["outputs"][0]]["dtype"])
    assert types["CONV_2D"] == {np.float32, np.int8}  # the first, and the others
    for name in ("ADD", "MAX_POOL_2D"):
        assert types[name] == {np.int8}, name
    for name in ("MEAN", "GATHER", "CONCATENATION", "FULLY_CONNECTED", "SOFTMAX"):
        assert types[name] == {np.float32}, name


@pytest.mark.parametrize("mode", ["dynamic", "int8"])
def test_uneven_channels_agree_better_with_keras(tmp_path: Path, mode: str) -> None:
    tf_keras.utils.set_random_seed(3)
    model = network(chain())
    random = np.random.default_rng(0)
    for layer in convolutions(model):
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel * 2**0.5 * np.exp(random.normal(0, 1.2, kernel.shape[-1])), bias])
    last = model.layers[-1]
    before_last = tf_keras.Model(model.inputs, last.input)
    joint = np.concatenate([before_last([image[None], ids(1)]).numpy() for image in random_images(2, 40)])
    last.kernel.assign(last.kernel / (joint @ last.kernel.numpy()).std(axis=0))
    last.bias.assign(-(joint @ last.kernel.numpy()).mean(axis=0))

    expected = np.concatenate([model([image[None], ids(1)]).numpy() for image in random_images(1, 40)])
    before = np.abs(predict(converted(model, tmp_path / "before", mode)) - expected).mean()
    prepare_weights(
        model, strip_module_names(json.loads(model.to_json())), RECIPES[mode], random_images(0, 40), ids(40)
    )
    keep_float(model, RECIPES[mode])
    after = np.abs(predict(converted(model, tmp_path / "after", mode)) - expected).mean()
    assert np.ptp(expected, axis=0).min() > 0.3
    assert after < before / 2
