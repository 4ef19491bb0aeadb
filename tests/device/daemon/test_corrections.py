"""Corrections of the latest prediction, with a classifier whose network is a fake."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from device.adaptation.adapted_classifier import AdaptedClassifier, Learnt
from device.adaptation.profile import CORRECTION, read_profile
from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.daemon.corrections import Corrected, Corrections
from device.errors import ProfileError
from device.events import Prediction, UtteranceFeatures
from device.recognition.classifier import Classifier
from tests.device.outputs.predictions import prediction
from tests.waiting import LIMIT_S

BUNDLE = read_bundle(DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def network() -> Classifier:
    return Classifier(BUNDLE)


def classifier(network: Classifier, path: Path | None) -> AdaptedClassifier:
    return AdaptedClassifier(network, BUNDLE, path)


def predicted(owner: AdaptedClassifier, seed: int) -> Prediction:
    random = np.random.default_rng(seed)
    features = UtteranceFeatures(random.normal(size=owner.identity.features), np.log(np.full(len(owner.labels), 1 / 3)))
    return replace(prediction("positive"), features=features)


def test_the_latest_prediction_is_learnt_and_a_second_correction_replaces_the_first(
    network: Classifier, tmp_path: Path
) -> None:
    path = tmp_path / "profile.json"
    own, corrections = classifier(network, path), Corrections()
    corrections.loaded(own)
    corrections.predicted(predicted(own, 1))
    corrections.predicted(predicted(own, 2))
    assert corrections.correct("negative") == Learnt(1, used=False)
    assert corrections.correct("neutral") == Learnt(1, used=False)
    corrections.predicted(predicted(own, 3))
    assert corrections.correct("negative").examples == 2
    assert [(each.label, each.source) for each in read_profile(path).examples] == [
        ("neutral", CORRECTION), ("negative", CORRECTION),
    ]  # fmt: skip


def test_what_was_learnt_is_taken_once_with_the_number_of_later_predictions(
    network: Classifier, tmp_path: Path
) -> None:
    own, corrections = classifier(network, tmp_path / "profile.json"), Corrections()
    corrections.loaded(own)
    corrections.predicted(predicted(own, 1))
    assert corrections.take_corrected() == []
    corrections.correct("negative")
    assert corrections.take_corrected() == [Corrected("negative", 0)]
    assert corrections.take_corrected() == []
    corrections.correct("neutral")
    corrections.predicted(predicted(own, 2))
    corrections.correct("positive")
    assert corrections.take_corrected() == [Corrected("neutral", 1), Corrected("positive", 0)]


def test_what_cannot_be_corrected(network: Classifier, tmp_path: Path) -> None:
    corrections = Corrections()
    with pytest.raises(ProfileError, match="nothing was predicted yet") as error:
        corrections.correct("negative")
    assert error.value.fix
    own = classifier(network, tmp_path / "profile.json")
    corrections.loaded(own)
    for unknown in (None, prediction("positive")):
        if unknown is not None:
            corrections.predicted(unknown)
        with pytest.raises(ProfileError, match="nothing was predicted yet"):
            corrections.correct("negative")
    corrections.predicted(predicted(own, 1))
    with pytest.raises(ProfileError, match="angry is not a class of the model") as error:
        corrections.correct("angry")
    assert error.value.fix == "use one of negative, neutral, positive"
    assert corrections.take_corrected() == []
    assert not (tmp_path / "profile.json").exists()


def test_without_a_profile_nothing_is_learnt(network: Classifier) -> None:
    own, corrections = classifier(network, None), Corrections()
    corrections.loaded(own)
    corrections.predicted(predicted(own, 1))
    with pytest.raises(ProfileError, match="the settings choose no voice profile") as error:
        corrections.correct("negative")
    assert 'profile = "none"' in error.value.fix
    assert own.profile.examples == ()


def test_a_damaged_profile_is_not_overwritten(network: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text("{}")
    own, corrections = classifier(network, path), Corrections()
    corrections.loaded(own)
    corrections.predicted(predicted(own, 1))
    with pytest.raises(ProfileError, match="not a voice profile"):
        corrections.correct("negative")
    assert path.read_text() == "{}"


def test_a_slow_correction_delays_no_prediction() -> None:
    begun, released = threading.Event(), threading.Event()

    class Slow:
        path = Path("profile.json")

        def correct(self, _utterance: UtteranceFeatures, _label: str) -> Learnt:
            begun.set()
            assert released.wait(LIMIT_S)
            return Learnt(1, used=False)

    corrections = Corrections()
    corrections.loaded(cast(AdaptedClassifier, Slow()))
    features: Any = UtteranceFeatures(np.zeros(1), np.zeros(1))
    corrections.predicted(replace(prediction("positive"), features=features))
    thread = threading.Thread(target=corrections.correct, args=("negative",))
    thread.start()
    assert begun.wait(LIMIT_S)
    corrections.predicted(prediction("neutral"))  # would hang if it waited
    assert corrections.take_corrected() == []
    released.set()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert corrections.take_corrected() == [Corrected("negative", 1)]


def test_a_network_is_not_delayed_by_a_thread_that_learns(
    network: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = classifier(network, tmp_path / "profile.json")
    begun, released = threading.Event(), threading.Event()
    validate = own.validate

    def slow(profile: Any) -> Any:
        begun.set()
        assert released.wait(LIMIT_S)
        return validate(profile)

    monkeypatch.setattr(own, "validate", slow)
    features = predicted(own, 1).features
    assert features is not None
    thread = threading.Thread(target=own.correct, args=(features, "negative"))
    thread.start()
    assert begun.wait(LIMIT_S)
    front_end = BUNDLE.companions.front_end
    image = np.zeros((front_end.image_height, front_end.image_width, 3), np.float32)
    probabilities, utterance = own.rate(image, np.zeros(front_end.sequence_length, np.int32))
    own.add_unlabelled(utterance)
    assert not own.load_if_changed(), "what this process learns itself is not read again"
    released.set()
    thread.join(LIMIT_S)
    assert len(own.profile.examples) == 1
    assert not own.load_if_changed()
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
