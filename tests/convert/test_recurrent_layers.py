"""Recurrent layers other than a plain LSTM, masks, augmentation and resizing: converted, and equal to Keras.

The samples that are compared include utterances without words, with one, and with as many as fit.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from convert.companions.companions import UserCompanions
from convert.convert import ConversionReport, convert
from convert.options import ConversionOptions
from convert.tflite_model.flatbuffer import read_flatbuffer
from convert.verify.representative_data import edge_features, synthetic_samples
from device.errors import ConversionError
from tests.convert import tutorial_models
from tests.convert.third_party_models import IGNORE_HDF5_WARNING, IMAGE_SIZE, LENGTH, WORDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("in_this_process"),
    pytest.mark.filterwarnings(IGNORE_HDF5_WARNING, tutorial_models.IGNORE_SEEDING_WARNING),
]
Branch = Callable[[Any, Any], Any]


def network(package: Any, text: Branch, image: Branch = lambda _, images: images, *, mask: bool = False) -> Any:
    """A network with random weights, all of which affect the prediction."""
    layers = package.layers
    images, ids = layers.Input((IMAGE_SIZE, IMAGE_SIZE, 3)), layers.Input((LENGTH,))
    pooled = layers.Conv2D(16, 5, strides=2, activation="relu")(image(layers, images))
    pooled = layers.Dense(32, activation="relu")(layers.GlobalAveragePooling2D()(pooled))
    words = text(layers, layers.Embedding(WORDS + 1, 32, mask_zero=mask)(ids))
    output = layers.Dense(3, activation="softmax")(layers.concatenate([pooled, words]))
    model = package.Model([images, ids], output)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.25, weight.shape) for weight in model.get_weights()])
    return model


def converted(model: Any, folder: Path, mode: str = "float32", padding: str = "pre") -> ConversionReport:
    package = "keras" if type(model).__module__.startswith("keras.") else "h5"
    source = folder / f"Model.{package}"
    model.save(source)
    (folder / "words.txt").write_text("\n".join(f"w{index}" for index in range(WORDS)), "utf-8")
    (folder / "front_end.json").write_text(f'{{"padding": "{padding}"}}', "utf-8")
    companions = UserCompanions("a,b,c", folder / "words.txt", folder / "front_end.json")
    samples = synthetic_samples if mode == "int8" else None
    return convert(source, options=ConversionOptions(mode, companions=companions), samples=samples)


def operators(report: ConversionReport) -> list[str]:
    return [operator.name for operator in read_flatbuffer(report.target.read_bytes()).operators]


def gru(layers: Any, words: Any) -> Any:
    return layers.GRU(25, dropout=0.2, recurrent_dropout=0.2)(layers.SpatialDropout1D(0.2)(words))


def lstm(layers: Any, words: Any) -> Any:
    return layers.LSTM(25, dropout=0.2, recurrent_dropout=0.2)(layers.SpatialDropout1D(0.2)(words))


def simple(layers: Any, words: Any) -> Any:
    return layers.SimpleRNN(25)(words)


def stacked(layers: Any, words: Any) -> Any:
    return layers.LSTM(16)(layers.Bidirectional(layers.GRU(16, return_sequences=True))(words))


def two_ways(layers: Any, words: Any) -> Any:
    return layers.Bidirectional(layers.LSTM(25))(words)


def masking(layers: Any, words: Any) -> Any:
    return layers.LSTM(25)(layers.Masking()(layers.concatenate([words, words])))


@pytest.mark.parametrize(
    ("package", "padding", "text"),
    [(tf_keras, "pre", lstm), (tf_keras, "post", masking), (keras, "post", lstm), (keras, "pre", stacked)],
)
def test_mask(package: Any, padding: str, text: Branch, tmp_path: Path) -> None:
    report = converted(network(package, text, mask=True), tmp_path, padding=padding)
    assert report.largest_difference < 1e-5
    assert report.samples == report.same_class == 32
    assert "WHILE" in operators(report)


@pytest.mark.parametrize(
    ("package", "text", "loops", "fused"),
    [(tf_keras, gru, True, 0), (keras, gru, True, 0), (keras, simple, True, 0), (tf_keras, two_ways, False, 2)],
)
def test_without_mask(package: Any, text: Branch, loops: bool, fused: int, tmp_path: Path) -> None:
    report = converted(network(package, text), tmp_path)
    assert report.largest_difference < 1e-5
    assert ("WHILE" in operators(report)) is loops
    assert operators(report).count("UNIDIRECTIONAL_SEQUENCE_LSTM") == fused


@pytest.mark.parametrize(("mode", "text"), [("float16", gru), ("dynamic", stacked), ("int8", gru), ("int8", lstm)])
def test_other_modes(mode: str, text: Branch, tmp_path: Path) -> None:
    report = converted(network(tf_keras, text, mask=True), tmp_path, mode)
    assert report.largest_difference < 0.02
    # The converter crashes if it quantises activations and there is a loop, so that the steps are unrolled.
    assert ("WHILE" in operators(report)) is (mode != "int8")


def test_keras_3_h5_with_a_mask(tmp_path: Path) -> None:
    # Keras 3 cannot load this file itself: it stores how it computes the mask, without the module of the operation.
    model = network(keras, gru, mask=True)
    model.save(tmp_path / "Other.h5")
    companions = UserCompanions("a,b,c", tmp_path / "words.txt", "tutorial")
    (tmp_path / "words.txt").write_text("\n".join(f"w{index}" for index in range(WORDS)), "utf-8")
    report = convert(tmp_path / "Other.h5", options=ConversionOptions("float32", companions=companions))
    assert report.largest_difference < 1e-5


def test_mask_that_divides_by_the_number_of_words(tmp_path: Path) -> None:
    model = network(tf_keras, lambda layers, words: layers.GlobalAveragePooling1D()(words), mask=True)
    with pytest.raises(ConversionError, match=r"predicts NaN for \d of 32 samples, those without any word; use mask_z"):
        converted(model, tmp_path)


def flipped(layers: Any, images: Any) -> Any:
    return layers.RandomContrast(0.5)(layers.RandomFlip()(layers.Rescaling(2.0, offset=-1.0)(images)))


def resized(layers: Any, images: Any) -> Any:
    return layers.CenterCrop(14, 12)(layers.Resizing(20, 24)(images))


def normalised(layers: Any, images: Any) -> Any:
    return layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3])(images)


@pytest.mark.parametrize(
    ("package", "image"),
    [(tf_keras, flipped), (keras, flipped), (keras, resized), (tf_keras, resized), (keras, normalised)],
)
def test_image_preprocessing(package: Any, image: Branch, tmp_path: Path) -> None:
    report = converted(network(package, lstm, image), tmp_path)
    assert report.largest_difference < 1e-5


def test_attention(tmp_path: Path) -> None:
    def attentive(layers: Any, words: Any) -> Any:
        words = layers.Attention()([words, words])
        return layers.GlobalMaxPooling1D()(layers.AdditiveAttention()([words, words]))

    assert converted(network(keras, attentive), tmp_path).largest_difference < 1e-5


@pytest.mark.parametrize("padding", ["pre", "post"])
def test_edge_features(padding: str) -> None:
    companions = tutorial_models.companions(words=3, padding=padding, sequence_length=5)
    features = edge_features(companions)
    assert np.count_nonzero(features, axis=1).tolist() == [0, 1, 5]
    assert features.max() == 3
    assert (features[1] > 0).tolist().index(True) == (4 if padding == "pre" else 0)
