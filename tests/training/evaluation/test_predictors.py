"""Real networks behind one interface: predictions in parts equal those of the complete network."""

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
from device.adaptation.adapted_classifier import features_of_logits, identity_of
from device.adaptation.profile import RECORDING, Example, Profile, write_profile
from device.bundle import SHIPPED_BUNDLES, read_bundle
from device.errors import BundleError, ConversionError, ProfileError, TrainingError
from device.events import UtteranceFeatures
from tests.convert import tutorial_models
from tests.convert.conftest import worker_in_this_process
from training.evaluation.predictors import KerasPredictor, TflitePredictor, open_predictor, split_network
from training.images.examples import Examples


def examples(rows: int = 9, length: int = 200) -> Examples:
    random = np.random.default_rng(0)
    images = random.random((4, 64, 64, 3), np.float32)
    ids = random.integers(0, tutorial_models.WORDS, (rows, length)).astype(np.int32)
    return Examples(images, random.integers(0, 4, rows), ids, np.zeros(rows, np.int64))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any]:
    """The same network as `.h5`, as `.tflite`, and as a Keras model."""
    rows = examples(40)
    network = tutorial_models.scale_weights(
        tutorial_models.tutorial_model(text_first=True), rows.images[rows.index], rows.ids
    )
    source = tutorial_models.save(network, tmp_path_factory.mktemp("models") / "Model.h5", tutorial_models.companions())
    with worker_in_this_process():
        bundle = convert(source, mode="float32").target
    return source, bundle, network


@pytest.mark.parametrize("predictor", [KerasPredictor, TflitePredictor])
def test_predictions_equal_the_network(predictor: type, models: tuple[Path, Path, Any]) -> None:
    source, bundle, network = models
    model = open_predictor(source if predictor is KerasPredictor else bundle)
    assert isinstance(model, predictor)
    rows = examples()
    steps: list[int] = []
    found = model.probabilities(rows, steps.append)
    feed = {"spectrogram": rows.images[rows.index], "transcript": rows.ids.astype(np.float32)}
    np.testing.assert_allclose(found, network.predict_on_batch(feed), atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.1  # it depends on its inputs
    assert sum(steps) == model.steps(rows)
    assert model.companions.labels == tutorial_models.LABELS
    assert len(model.sha256) == 64
    assert model.runtime.startswith(("tf-keras ", "ai-edge-litert ", "tflite-runtime "))


def test_the_trunk_holds_the_image_branch(models: tuple[Path, Path, Any]) -> None:
    _, _, network = models
    by_rank = {len(tensor.shape): tensor for tensor in network.inputs}
    trunk, head = split_network(tf_keras.Model([by_rank[4], by_rank[2]], network.outputs[0]))
    assert trunk.output_shape == (None, 32)
    assert not any(isinstance(layer, layers.Conv2D) for layer in head.layers)


def test_a_network_joined_in_two_places_is_not_split() -> None:
    images, ids = layers.Input((8, 8, 3)), layers.Input((4,))
    pooled = layers.GlobalAveragePooling2D()(images)
    once = layers.Concatenate()([layers.Dense(2)(pooled), ids])
    model = tf_keras.Model([images, ids], layers.Dense(2)(layers.Concatenate()([layers.Dense(3)(pooled), once])))
    trunk, head = split_network(model)
    inputs = [np.random.default_rng(0).random((2, 8, 8, 3), np.float32), np.ones((2, 4), np.float32)]
    np.testing.assert_array_equal(trunk.predict_on_batch(inputs[0]), inputs[0])
    np.testing.assert_array_equal(head.predict_on_batch(inputs), model.predict_on_batch(inputs))


def test_a_voice_profile_changes_what_has_audio(models: tuple[Path, Path, Any], tmp_path: Path) -> None:
    """The profile's examples: whatever this network predicts, the first class is right."""
    source, bundle, _ = models
    rows = examples()
    plain = TflitePredictor(read_bundle(bundle), "auto")
    before = plain.probabilities(rows, lambda _steps: None)
    identity = identity_of(read_bundle(bundle))
    logits = np.log(before.astype(np.float64))
    learnt = [
        Example.now(identity.labels[0], UtteranceFeatures(features, row), RECORDING)
        for features, row in zip(features_of_logits(logits), logits, strict=True)
    ]
    path = tmp_path / "profile.json"
    write_profile(path, Profile(identity, tuple(learnt)))
    after = open_predictor(bundle, profile=path).probabilities(rows, lambda _steps: None)
    assert (after[:, 0] > before[:, 0]).all()
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-6)
    with pytest.raises(TrainingError, match=r"--profile is for a Model\.tflite") as error:
        open_predictor(source, profile=path)
    assert error.value.fix == "evaluate the Model.tflite that was converted from it"
    with pytest.raises(ProfileError, match="was learnt with another model"):
        open_predictor(SHIPPED_BUNDLES["sentiment"], profile=path)
    with pytest.raises(ProfileError, match=r"gone\.json"):
        open_predictor(bundle, profile=tmp_path / "gone.json")


def test_refuses_unusable_models(models: tuple[Path, Path, Any], tmp_path: Path) -> None:
    source, bundle, network = models
    with pytest.raises(TrainingError, match=r"gone\.h5: cannot be read") as error:
        open_predictor(tmp_path / "gone.h5")
    assert error.value.fix == "name a Model.h5 or a Model.tflite"
    with pytest.raises(TrainingError, match=r"--runtime tflite-runtime is for a Model\.tflite"):
        open_predictor(source, runtime="tflite-runtime")
    text = tmp_path / "Model.tflite"
    text.write_text("no model")
    with pytest.raises(BundleError, match="not a TFLite model"):
        open_predictor(text)
    stripped = tmp_path / "stripped.tflite"
    content = bundle.read_bytes()
    stripped.write_bytes(content[: content.index(b"PK\x03\x04")])
    with pytest.raises(BundleError, match="without labels, vocabulary and front end"):
        open_predictor(stripped)
    bare = tutorial_models.save(network, tmp_path / "bare.h5")
    with pytest.raises(ConversionError, match=r"bare\.h5: has no group 'edge_mcnn'"):
        open_predictor(bare)


def test_refuses_code_and_companions_of_another_network(models: tuple[Path, Path, Any], tmp_path: Path) -> None:
    from convert.source.keras_h5 import write_companions

    foreign = Path(shutil.copy(models[0], tmp_path / "foreign.h5"))
    write_companions(foreign, tutorial_models.companions(sequence_length=50))
    with pytest.raises(ConversionError, match=r"^\S*foreign\.h5: the network's input has 200 ids, its front end's"):
        open_predictor(foreign)
    write_companions(foreign, tutorial_models.companions(labels=("a", "b")))
    with pytest.raises(ConversionError, match="there are 2 labels"):
        open_predictor(foreign)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images, ids = layers.Input((64, 64, 3)), layers.Input((200,))
        pooled = layers.Lambda(lambda x: x)(layers.GlobalAveragePooling2D()(images))
        last = layers.Dense(3, activation="softmax")(layers.Concatenate()([pooled, ids]))
        code = tutorial_models.save(
            tf_keras.Model([images, ids], last), tmp_path / "code.h5", read_companions(models[0])
        )
    with pytest.raises(ConversionError, match="it carries code"):
        open_predictor(code)
