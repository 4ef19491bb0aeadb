"""The network of a bundle, rebuilt in Keras, compared with the bundle itself in the device's runtime."""

from pathlib import Path

import numpy as np
import pytest

from convert.convert import convert
from convert.verify.runner import predict
from device.bundle import DEFAULT_BUNDLE, SHIPPED_BUNDLES, Bundle, Companions, pack, read_bundle
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.recognition.runtimes import load_interpreter
from tests.training.conftest import new_evidence
from training.base_model import bundle_weights
from training.base_model.bundle_weights import rebuild
from training.fit.h5_writer import write_model
from training.networks.network import AudioShape, audio_shape

FRONT_END = FrontEnd(sequence_length=20, image_height=32, image_width=48)
VOCABULARY = tuple(f"word{number}" for number in range(300))


def difference(bundle: Bundle, full: object) -> float:
    """Return the largest difference from the bundle on random images and words, with and without either."""
    front_end = bundle.companions.front_end
    random = np.random.default_rng(3)
    images = random.random((6, front_end.image_height, front_end.image_width, 3)).astype(np.float32)
    ids = random.integers(1, len(bundle.companions.vocabulary), (6, front_end.sequence_length)).astype(np.int32)
    ids[:2], ids[2:4, :-3] = 0, 0
    expected = predict(load_interpreter(bundle.model), images, ids)
    found = full.predict_on_batch({"images": images, "features": ids})  # type: ignore[attr-defined]  # a Keras model
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_shipped_model_is_rebuilt(name: str) -> None:
    bundle = read_bundle(SHIPPED_BUNDLES[name])
    network = rebuild(bundle, name)
    assert difference(bundle, network.full) < 0.02
    standardise = network.full.get_layer("audio").get_layer("audio_standardise")
    gamma, beta, mean, variance = standardise.get_weights()
    assert np.abs(gamma - 1).max() < 0.01
    assert not beta.any()
    assert np.isfinite(mean).all()
    assert (variance >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", [AudioShape(), AudioShape(48, kinds=3, products=True)], ids=["plain", "discriminants"]
)
def test_bundle_of_the_default_mode_is_rebuilt_and_another_one_refused(shape: AudioShape, tmp_path: Path) -> None:
    full = new_evidence(labels=4, vocabulary=len(VOCABULARY), front_end=FRONT_END, audio_shape=shape).full
    write_model(full, Companions(("a", "b", "c", "d"), VOCABULARY, FRONT_END), tmp_path / "Model.h5")
    convert(tmp_path / "Model.h5")
    bundle = read_bundle(tmp_path / "Model.tflite")
    network = rebuild(bundle, "Model.tflite")
    rebuilt = network.full
    assert audio_shape(network, 4) == shape
    assert difference(bundle, rebuilt) < 0.02
    for layer in ("words_embedding", "words_patterns_3", "words_logits", "words_factor", "audio_factor"):
        for found, expected in zip(
            rebuilt.get_layer(layer).get_weights(), full.get_layer(layer).get_weights(), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=0.02 * max(np.abs(expected).max(), 1e-9))
    convert(tmp_path / "Model.h5", mode="float32")
    with pytest.raises(TrainingError, match="converted in the mode dynamic"):
        rebuild(read_bundle(tmp_path / "Model.tflite"), "Model.tflite")


def test_other_network_is_refused(tmp_path: Path) -> None:
    flatbuffer = read_bundle(DEFAULT_BUNDLE)
    three = flatbuffer.companions
    four = Companions((*three.labels, "fourth"), three.vocabulary, three.front_end)
    (tmp_path / "Other.tflite").write_bytes(pack(flatbuffer.model[: flatbuffer.flatbuffer_size], four))
    expected = r"Other: not a model of the network 'evidence' .*; give the Model\.h5 that it was converted from"
    with pytest.raises(TrainingError, match=expected):
        rebuild(read_bundle(tmp_path / "Other.tflite"), "Other")


def test_network_that_predicts_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_weights._Constants, "factors", lambda _self: (5.0, -5.0))
    with pytest.raises(TrainingError, match=r"cannot be rebuilt exactly: a probability differs by \d\.\d\d; give"):
        rebuild(read_bundle(DEFAULT_BUNDLE), "Model.tflite")
