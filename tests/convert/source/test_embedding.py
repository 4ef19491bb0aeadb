"""The second output of a converted network, against the layers it should come from."""

from typing import Any

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from convert.source.embedding import with_embedding
from device.errors import ConversionError
from tests.convert.tutorial_models import IGNORE_SEEDING_WARNING, tutorial_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(IGNORE_SEEDING_WARNING)]


def inputs() -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "spectrogram": random.random((2, 64, 64, 3)).astype(np.float32),
        "transcript": random.integers(0, 50, (2, 200)).astype(np.float32),
    }


def outputs(model: Any, given: Any) -> list[Any]:
    return [np.asarray(each) for each in model(given, training=False)]


def test_the_inputs_of_the_last_dense_layer_are_the_embedding() -> None:
    model = tutorial_model()
    probabilities, embedding = outputs(with_embedding(model), inputs())
    np.testing.assert_array_equal(probabilities, np.asarray(model(inputs(), training=False)))
    last = model.layers[-1]
    logits = np.log(probabilities)
    expected = embedding @ np.asarray(last.kernel) + np.asarray(last.bias)
    np.testing.assert_allclose(
        logits - logits.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-4
    )
    assert embedding.shape == (2, 32)


def test_a_softmax_of_its_own_and_layers_without_weights_are_passed_over() -> None:
    images = layers.Input((8, 8, 3))
    pooled = layers.Flatten(name="flat")(images)
    hidden = layers.Dense(5, name="hidden")(pooled)
    output = layers.Softmax()(layers.Dropout(0.5)(layers.Dense(2)(layers.Activation("relu")(hidden))))
    model = tf_keras.Model(images, output)
    image = np.random.default_rng(1).random((1, 8, 8, 3)).astype(np.float32)
    _, embedding = outputs(with_embedding(model), image)
    expected = np.maximum(image.reshape(1, -1) @ np.asarray(model.get_layer("hidden").kernel), 0)
    np.testing.assert_allclose(embedding, expected, rtol=1e-5)


def test_several_inputs_of_the_last_layer_are_joined() -> None:
    images, words = layers.Input((4, 4, 3)), layers.Input((6,))
    one, other = layers.Dense(3)(layers.Flatten()(images)), layers.Dense(3)(words)
    model = tf_keras.Model([images, words], layers.Softmax()(layers.Add()([one, other])))
    given = [np.ones((1, 4, 4, 3), np.float32), np.ones((1, 6), np.float32)]
    probabilities, embedding = outputs(with_embedding(model), given)
    assert embedding.shape == (1, 6)
    logits = embedding[:, :3] + embedding[:, 3:]
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), probabilities, rtol=1e-5)


def test_the_last_layer_may_be_inside_a_nested_model() -> None:
    inner_input = layers.Input((48,))
    inner = tf_keras.Model(inner_input, layers.Dense(2, "softmax")(layers.Dense(7, name="inner")(inner_input)))
    images = layers.Input((4, 4, 3))
    model = tf_keras.Model(images, inner(layers.Flatten()(images)))
    image = np.random.default_rng(2).random((1, 4, 4, 3)).astype(np.float32)
    _, embedding = outputs(with_embedding(model), image)
    np.testing.assert_allclose(embedding, image.reshape(1, -1) @ np.asarray(inner.get_layer("inner").kernel), rtol=1e-5)


def test_a_convolution_last_gives_a_flat_embedding() -> None:
    images = layers.Input((4, 4, 3))
    output = layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1)(images)))
    model = tf_keras.Model(images, output)
    _, embedding = outputs(with_embedding(model), np.ones((1, 4, 4, 3), np.float32))
    assert embedding.shape == (1, 48)


def test_a_layer_can_be_named() -> None:
    model = tutorial_model()
    name = next(layer.name for layer in model.layers if isinstance(layer, layers.GlobalAveragePooling2D))
    _, embedding = outputs(with_embedding(model, name), inputs())
    assert embedding.shape == (2, 8)
    with pytest.raises(ConversionError, match="a layer gone, which the network does not have"):
        with_embedding(model, "gone")
