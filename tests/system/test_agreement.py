"""The shipped bundle predicts the same as its Keras model, on real clips and in both interpreters."""

import json
from pathlib import Path

import pytest

from device.bundle import DEFAULT_BUNDLE, Bundle, read_bundle
from device.front_end.tokens import Tokens
from device.recognition.classifier import Classifier
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings
from tests.device.recognition.test_classifier import INSTALLED
from tests.system.keras_predictions import PREDICTIONS, NetworkInput, network_inputs

TOLERANCE = 0.05


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def clips(bundle: Bundle, speech_model: Path) -> list[NetworkInput]:
    return list(network_inputs(bundle, Transcriber(speech_model, Settings().transcriber.lone_word_confidence)))


@pytest.mark.parametrize("runtime", INSTALLED)
def test_top_1_and_softmax(bundle: Bundle, clips: list[NetworkInput], runtime: str) -> None:
    golden = json.loads(PREDICTIONS.read_text("utf-8"))
    classifier = Classifier(bundle, runtime=runtime)
    assert len(clips) == len(golden) == 7
    tokens = Tokens(bundle.companions.vocabulary, bundle.companions.front_end)
    for clip in clips:
        expected = golden[clip.name]["probabilities"]
        # The text that Keras was queried with; transcription has its own tests, and may improve.
        prediction = classifier.probabilities(clip.image, tokens.ids(golden[clip.name]["text"]))
        assert prediction == pytest.approx(expected, abs=TOLERANCE), clip.name
        assert max(prediction, key=prediction.__getitem__) == max(expected, key=expected.__getitem__), clip.name
