"""The bundle that ships answers as its Keras model did, on real clips and in both interpreters."""

import json
from pathlib import Path

import pytest

from device.bundle import DEFAULT_BUNDLE, Bundle, read_bundle
from device.front_end.tokens import Tokens
from device.recognition.classifier import Classifier
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings
from tests.device.recognition.test_classifier import INSTALLED
from tests.system.keras_answers import ANSWERS, Heard, heard

TOLERANCE = 0.05


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def clips(bundle: Bundle, speech_model: Path) -> list[Heard]:
    return list(heard(bundle, Transcriber(speech_model, Settings().transcriber.lone_word_confidence)))


@pytest.mark.parametrize("runtime", INSTALLED)
def test_top_1_and_softmax(bundle: Bundle, clips: list[Heard], runtime: str) -> None:
    golden = json.loads(ANSWERS.read_text("utf-8"))
    classifier = Classifier(bundle, runtime=runtime)
    assert len(clips) == len(golden) == 7
    tokens = Tokens(bundle.companions.vocabulary, bundle.companions.front_end)
    for clip in clips:
        expected = golden[clip.name]["probabilities"]
        # The words that Keras was asked by; what Vosk hears has tests of its own, and may get better.
        answer = classifier.probabilities(clip.picture, tokens.ids(golden[clip.name]["text"]))
        assert answer == pytest.approx(expected, abs=TOLERANCE), clip.name
        assert max(answer, key=answer.__getitem__) == max(expected, key=expected.__getitem__), clip.name
