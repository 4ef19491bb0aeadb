"""What audio alone and words alone predict, with the bundle that ships."""

import numpy as np
import pytest
from numpy.typing import NDArray

from device.bundle import DEFAULT_BUNDLE, Bundle, read_bundle
from device.events import Probabilities
from device.front_end.spectrogram import mel_power, silent_image, spectrogram_image
from device.front_end.tokens import Tokens
from device.recognition.classifier import Classifier
from device.recognition.explanation import Explainer
from training.evaluation.modalities import AUDIO_AND_TEXT, AUDIO_ONLY, TEXT_ONLY, blank_unused
from training.evaluation.predictors import TflitePredictor
from training.images.examples import Examples


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(DEFAULT_BUNDLE)


class CountedClassifier:
    """A classifier whose calls are counted."""

    def __init__(self, bundle: Bundle) -> None:
        self._classifier = Classifier(bundle)
        self.calls = 0

    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        self.calls += 1
        return self._classifier.probabilities(image, ids)


def inputs(bundle: Bundle, text: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    companions = bundle.companions
    noise = (np.random.default_rng(0).standard_normal(16_000) * 3000).astype(np.int16)
    image = spectrogram_image(mel_power(noise, companions.front_end), companions.front_end)
    return image, Tokens(companions.vocabulary, companions.front_end).ids(text)


def explained(bundle: Bundle, image: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[object, ...]:
    classifier = CountedClassifier(bundle)
    both = classifier.probabilities(image, ids)
    found = Explainer(classifier, bundle.companions.front_end).modalities(image, ids, both)
    return both, *found, classifier.calls


def as_row(probabilities: object) -> list[float]:
    assert isinstance(probabilities, dict)
    return list(probabilities.values())


def test_each_modality_is_what_evaluate_computes(bundle: Bundle) -> None:
    image, ids = inputs(bundle, "i hate you")
    both, audio_only, text_only, calls = explained(bundle, image, ids)
    images = np.stack([silent_image(bundle.companions.front_end), image])
    rows = Examples(images, np.array([1]), ids[None], np.array([0]))
    predictor = TflitePredictor(bundle, "auto")
    for modality, found in ((AUDIO_AND_TEXT, both), (AUDIO_ONLY, audio_only), (TEXT_ONLY, text_only)):
        [expected] = predictor.probabilities(blank_unused(rows, modality, np.array([0])), lambda _steps: None)
        assert as_row(found) == list(expected), modality
    assert len({tuple(as_row(each)) for each in (both, audio_only, text_only)}) == 3
    assert calls == 3


@pytest.mark.parametrize("text", ["", "wordthatnobodyknows"])
def test_without_known_words_audio_alone_has_decided(bundle: Bundle, text: str) -> None:
    both, audio_only, text_only, calls = explained(bundle, *inputs(bundle, text))
    assert audio_only == both
    assert text_only is None
    assert calls == 1, "the network is not run again for what it has computed"


def test_with_silence_words_alone_have_decided(bundle: Bundle) -> None:
    _, ids = inputs(bundle, "i hate you")
    both, audio_only, text_only, calls = explained(bundle, silent_image(bundle.companions.front_end), ids)
    assert (audio_only, text_only, calls) == (None, both, 1)


def test_neither_audio_nor_words(bundle: Bundle) -> None:
    _, ids = inputs(bundle, "")
    _both, audio_only, text_only, _ = explained(bundle, silent_image(bundle.companions.front_end), ids)
    assert (audio_only, text_only) == (None, None)


def test_probabilities_are_by_label(bundle: Bundle) -> None:
    _, audio_only, _, _ = explained(bundle, *inputs(bundle, "i hate you"))
    by_label: Probabilities = audio_only  # type: ignore[assignment]  # the tuple mixes types
    assert tuple(by_label) == bundle.companions.labels
