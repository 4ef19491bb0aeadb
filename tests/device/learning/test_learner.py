"""What a learner measures and writes, with a fake network and simulated voices."""

import os
import stat
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from device.adaptation.adapted_classifier import identity_of
from device.adaptation.profile import CORRECTION, SESSION, Example, Profile, read_profile, write_profile
from device.errors import ProfileError
from device.learning import learner as module
from device.learning.gain import Count
from device.learning.learner import (
    chosen_profile_path,
    days,
    export,
    forget,
    forget_all,
    learns_for_service,
    sources,
    use,
    with_examples_once,
)
from device.recognition.classifier import Classifier
from device.settings.schema import ClassifierSettings, Settings
from tests.device.learning.conftest import (
    LABELS,
    FakeNetwork,
    MakeLearner,
    bundle_with,
    confused,
    converted_again,
    variation,
    voice,
)

THREE_EACH = LABELS * 3
IDENTITY = identity_of(bundle_with(variation()))


def test_examples_that_help(learner: MakeLearner, path: Path) -> None:
    made = learner()
    examples = voice(*THREE_EACH)
    outcome = made.outcome(examples)
    assert outcome.added == 9
    assert outcome.gain is not None
    assert outcome.gain.helps
    assert outcome.gain.total.right_adapted > 7
    assert outcome.gain.classes[LABELS[1]] == Count(3, 0, 3), "an even network predicts the first class"
    assert not path.exists(), "nothing is written to measure a gain"
    assert made.learn(examples) == outcome.gain
    assert made.classifier.adapted
    assert read_profile(path).counts() == outcome.profile.counts() == dict.fromkeys(LABELS, 3)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_learnt_later_is_measured_with_what_is_there(learner: MakeLearner) -> None:
    learner().learn(voice(*THREE_EACH))
    outcome = learner().outcome(voice("neutral", seed=1))
    assert outcome.gain is not None
    assert outcome.gain.total.examples == 10


def test_examples_that_do_not_help_are_stored_and_not_used(learner: MakeLearner, path: Path) -> None:
    made = learner()
    gain = made.learn(confused(*THREE_EACH))
    assert gain is not None
    assert not gain.helps
    assert not made.classifier.adapted
    assert len(read_profile(path).examples) == 9


def test_a_single_example_shows_no_gain(learner: MakeLearner) -> None:
    made = learner()
    assert made.outcome(voice("neutral")).gain is None
    assert made.learn(voice("neutral")) is None
    assert not made.classifier.adapted


def test_the_same_recordings_again_count_once(learner: MakeLearner, path: Path) -> None:
    learner().learn(voice(*THREE_EACH))
    again = [*voice(*THREE_EACH), *voice("neutral", seed=1)]
    assert learner().outcome(again).added == 1
    learner().learn(again)
    assert len(read_profile(path).examples) == 10


def test_a_recording_with_another_class_than_before_replaces_it(learner: MakeLearner, path: Path) -> None:
    learner().learn(voice(*THREE_EACH))
    [first, *_] = voice(*THREE_EACH)
    learner().learn([Example("positive", first.utterance, first.source, first.day)])
    assert read_profile(path).counts() == {"negative": 2, "neutral": 3, "positive": 4}


def test_equal_predictions_of_different_sentences_are_all_learnt(learner: MakeLearner, path: Path) -> None:
    """Networks without speaker variation often predict exactly the same."""
    examples = voice("neutral", source=SESSION) * 2
    made = learner(repeats=False)
    made.learn(examples)
    made.learn(examples)
    assert len(read_profile(path).examples) == 4
    learner(repeats=True).learn(examples)
    assert len(read_profile(path).examples) == 4, "of another profile, each equal example counts once"


def test_an_example_is_replaced_only_by_one_of_the_same_kind() -> None:
    session, correction = voice("neutral", source=SESSION), voice("neutral", source=CORRECTION)
    other_class = [Example("positive", session[0].utterance, SESSION, session[0].day)]
    other_day = [Example("neutral", session[0].utterance, SESSION, "2026-02-01")]
    empty = Profile(IDENTITY)
    for examples in (correction, other_class, other_day):
        profile, added = with_examples_once(empty.with_examples(session), examples)
        assert (len(profile.examples), added) == (2, 1)
    profile, added = with_examples_once(empty.with_examples(session), session)
    assert (len(profile.examples), added) == (1, 0)


def test_a_profile_of_another_model_stops_before_anything_is_learnt(learner: MakeLearner, path: Path) -> None:
    learner().learn(voice(*LABELS))
    before = path.read_bytes()
    with pytest.raises(ProfileError, match="was learnt with another model") as error:
        learner(bundle_with(None))
    assert "edge-mcnn learn --forget --all" in error.value.fix
    assert path.read_bytes() == before


def test_a_profile_of_another_model_without_examples_is_no_obstacle(learner: MakeLearner, path: Path) -> None:
    write_profile(path, Profile(IDENTITY))
    made = learner(bundle_with(None))
    _, utterance = made.classifier.rate(np.ones((64, 64, 3), np.float32), np.zeros(30, np.int32))
    made.learn([Example.now("neutral", utterance, SESSION)])
    assert read_profile(path).identity == made.classifier.identity


def test_a_profile_of_another_model_that_appears_meanwhile_is_not_overwritten(learner: MakeLearner, path: Path) -> None:
    late = learner(bundle_with(None))
    learner().learn(voice(*LABELS))
    before = path.read_bytes()
    with pytest.raises(ProfileError, match="another model"):
        late.learn(voice("neutral"))
    assert path.read_bytes() == before


def test_examples_of_another_conversion_are_carried_over(learner: MakeLearner, path: Path) -> None:
    bundle = bundle_with(variation())
    learner(bundle).learn(voice(*THREE_EACH))
    made = learner(converted_again(bundle))
    assert made.remarks == [
        f"the 9 examples in {path} were learnt with another conversion of this network (sentiment); they are used again"
    ]
    assert made.classifier.adapted
    made.learn(voice("neutral", seed=1))
    assert len(read_profile(path).examples) == 10
    assert learner(converted_again(bundle)).remarks == [], "it belongs to that one now"


def test_remarks_about_the_model(learner: MakeLearner) -> None:
    assert learner().remarks == []
    [remark] = learner(bundle_with(None)).remarks
    assert "only its probabilities are adapted" in remark
    assert "trained with known speakers, learns more" in remark
    [remark] = learner(bundle_with(None), network=FakeNetwork(embedding_size=0)).remarks
    assert "only its probabilities are adapted; to learn more, convert it again" in remark


def test_a_damaged_profile_names_how_to_remove_it(learner: MakeLearner, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(ProfileError, match="not a voice profile") as error:
        learner()
    assert error.value.fix == f"remove it: edge-mcnn learn --forget --all --output {path}, then learn again"


def test_a_place_that_cannot_be_written_to_is_refused_at_once(learner: MakeLearner, path: Path) -> None:
    path.parent.write_text("a file")
    with pytest.raises(ProfileError, match="is a file"):
        learner()


def test_examples_of_another_file(learner: MakeLearner, path: Path, tmp_path: Path) -> None:
    made = learner()
    made.learn(voice(*LABELS))
    export(path, tmp_path / "new" / "copy.json")
    assert len(learner().examples_of(tmp_path / "new" / "copy.json")) == 3
    path.unlink()
    with pytest.raises(ProfileError, match="another model") as error:
        learner(bundle_with(None)).examples_of(tmp_path / "new" / "copy.json")
    assert error.value.fix == "choose the model that it was learnt with: --model"


def test_forgetting(learner: MakeLearner, path: Path) -> None:
    learner().learn(voice("negative", "neutral", "positive", "neutral", "positive"))
    assert forget(path, last=1).counts() == {"negative": 1, "neutral": 2, "positive": 1}
    assert forget(path, label="neutral").counts() == {"negative": 1, "neutral": 0, "positive": 1}
    with pytest.raises(ProfileError, match="happy is not a class"):
        forget(path, label="happy")
    assert len(read_profile(path).examples) == 2
    assert forget(path, last=99).examples == ()
    assert not path.exists(), "a profile without examples is removed"
    with pytest.raises(ProfileError, match="no such file"):
        forget(path, last=1)


def test_another_file_is_never_removed(tmp_path: Path) -> None:
    for content in ("# A page", '{"other": 1}', "[]"):
        page = tmp_path / "README.md"
        page.write_text(content)
        with pytest.raises(ProfileError, match=r"README\.md: is not a voice profile, so it is not removed"):
            forget_all(page)
        assert page.read_text() == content
    for content in ("", '{"edge_mcnn_pro', Profile(IDENTITY).to_json()):
        page.write_text(content)
        forget_all(page)
        assert not page.exists()


def test_forgetting_a_damaged_profile(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(ProfileError):
        forget(path, last=1)
    forget_all(path)
    assert not path.exists()
    forget_all(path)


def test_whether_a_model_uses_a_profile(learner: MakeLearner, path: Path) -> None:
    bundle, network = bundle_with(variation()), cast("Classifier", FakeNetwork())
    learner(bundle).learn(voice(*THREE_EACH))
    found = use(read_profile(path), path, bundle, network)
    assert found.used
    assert found.refusal is None
    other = use(read_profile(path), path, bundle_with(None), network)
    assert (other.used, other.gain) == (False, None)
    assert other.refusal is not None
    assert "another model" in other.refusal.message
    forget(path, last=8)
    assert not use(read_profile(path), path, bundle, network).used


def test_contents() -> None:
    profile = Profile(IDENTITY, (*voice("neutral"), *voice("neutral", source=SESSION)))
    assert sources(profile) == {"recording": 1, "session": 1}
    assert days(profile) == ("2026-01-31", "2026-01-31")
    assert days(Profile(IDENTITY)) is None


@pytest.mark.parametrize(("user", "installed"), [(0, True), (0, False), (1000, True), (1000, False)])
def test_root_learns_for_the_service_where_it_is_installed(
    user: int, installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(module, "UNIT_FILE", tmp_path if installed else tmp_path / "none")
    assert learns_for_service() is (user == 0 and installed)


def test_the_profile_is_that_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)

    def settings(profile: str) -> Settings:
        return Settings(classifier=ClassifierSettings(profile=profile))

    assert chosen_profile_path(Settings(), of_service=False) == tmp_path / "edge-mcnn" / "profile.json"
    assert chosen_profile_path(Settings(), of_service=True) == Path("/var/lib/edge-mcnn-profile/profile.json")
    for of_service in (False, True):
        assert chosen_profile_path(settings("/voice.json"), of_service=of_service) == Path("/voice.json")
        with pytest.raises(ProfileError, match="the settings choose no voice profile"):
            chosen_profile_path(settings("none"), of_service=of_service)
