"""Real networks behind one interface: what a network is asked in parts equals what it answers as a whole."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from convert.convert import convert
from convert.source.keras_h5 import read_companions
from device.errors import BundleError, ConversionError, TrainingError
from tests.convert import networks
from training.evaluation.predictors import KerasModel, TfliteModel, open_model, split
from training.images.examples import Examples


def examples(rows: int = 9, length: int = 200) -> Examples:
    random = np.random.default_rng(0)
    pictures = random.random((4, 64, 64, 3), np.float32)
    ids = random.integers(0, networks.WORDS, (rows, length)).astype(np.int32)
    return Examples(pictures, random.integers(0, 4, rows), ids, np.zeros(rows, np.int64))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any]:
    """The same network as `.h5`, as `.tflite`, and in Keras's hands."""
    rows = examples(40)
    network = networks.enliven(networks.tutorial(text_first=True), rows.images[rows.index], rows.ids)
    source = networks.save(network, tmp_path_factory.mktemp("models") / "Model.h5", networks.companions())
    return source, convert(source, mode="float32").target, network


@pytest.mark.parametrize("kind", [KerasModel, TfliteModel])
def test_answers_equal_the_network(kind: type, models: tuple[Path, Path, Any]) -> None:
    source, bundle, network = models
    model = open_model(source if kind is KerasModel else bundle)
    assert isinstance(model, kind)
    rows = examples()
    steps: list[int] = []
    found = model.probabilities(rows, steps.append)
    feed = {"spectrogram": rows.images[rows.index], "transcript": rows.ids.astype(np.float32)}
    np.testing.assert_allclose(found, network.predict_on_batch(feed), atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.1  # it does look at what it is given
    assert sum(steps) == model.steps(rows)
    assert model.companions.labels == networks.LABELS
    assert len(model.sha256) == 64
    assert model.kind.startswith(("tf-keras ", "ai-edge-litert ", "tflite-runtime "))


def test_the_trunk_sees_each_picture_once(models: tuple[Path, Path, Any]) -> None:
    _, _, network = models
    by_rank = {len(tensor.shape): tensor for tensor in network.inputs}
    trunk, head = split(tf_keras.Model([by_rank[4], by_rank[2]], network.outputs[0]))
    assert trunk.output_shape == (None, 32)
    assert not any(isinstance(layer, layers.Conv2D) for layer in head.layers)


def test_joined_in_two_places_is_not_split() -> None:
    images, ids = layers.Input((8, 8, 3)), layers.Input((4,))
    seen = layers.GlobalAveragePooling2D()(images)
    once = layers.Concatenate()([layers.Dense(2)(seen), ids])
    model = tf_keras.Model([images, ids], layers.Dense(2)(layers.Concatenate()([layers.Dense(3)(seen), once])))
    trunk, head = split(model)
    pictures, words = np.random.default_rng(0).random((2, 8, 8, 3), np.float32), np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(trunk.predict_on_batch(pictures), pictures)
    expected = model.predict_on_batch([pictures, words])
    np.testing.assert_array_equal(head.predict_on_batch([pictures, words]), expected)


def test_refuses_what_it_cannot_ask(models: tuple[Path, Path, Any], tmp_path: Path) -> None:
    source, bundle, network = models
    with pytest.raises(TrainingError, match=r"gone\.h5: cannot be read"):
        open_model(tmp_path / "gone.h5")
    with pytest.raises(TrainingError, match=r"--runtime tflite-runtime is for a Model\.tflite"):
        open_model(source, runtime="tflite-runtime")
    text = tmp_path / "Model.tflite"
    text.write_text("no model")
    with pytest.raises(BundleError, match="not a TFLite model"):
        open_model(text)
    stripped = tmp_path / "stripped.tflite"
    content = bundle.read_bytes()
    stripped.write_bytes(content[: content.index(b"PK\x03\x04")])
    with pytest.raises(BundleError, match="without labels, vocabulary and front end"):
        open_model(stripped)
    bare = networks.save(network, tmp_path / "bare.h5")
    with pytest.raises(ConversionError, match=r"bare\.h5: has no group 'edge_mcnn'"):
        open_model(bare)


def test_refuses_code_and_foreign_companions(models: tuple[Path, Path, Any], tmp_path: Path) -> None:
    from convert.source.keras_h5 import write_companions

    foreign = Path(shutil.copy(models[0], tmp_path / "foreign.h5"))
    write_companions(foreign, networks.companions(sequence_length=50))
    with pytest.raises(ConversionError, match=r"^\S*foreign\.h5: the network takes 200 ids, its front end gives 50"):
        open_model(foreign)
    write_companions(foreign, networks.companions(labels=("a", "b")))
    with pytest.raises(ConversionError, match="there are 2 labels"):
        open_model(foreign)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images, ids = layers.Input((64, 64, 3)), layers.Input((200,))
        pooled = layers.Lambda(lambda x: x)(layers.GlobalAveragePooling2D()(images))
        last = layers.Dense(3, activation="softmax")(layers.Concatenate()([pooled, ids]))
        code = networks.save(tf_keras.Model([images, ids], last), tmp_path / "code.h5", read_companions(models[0]))
    with pytest.raises(ConversionError, match="it carries code"):
        open_model(code)
