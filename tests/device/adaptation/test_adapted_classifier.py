"""The classifier that adapts: exactly the network without examples, better with good ones, and safe with any."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from device.adaptation import adapted_classifier
from device.adaptation.adapted_classifier import (
    UNLABELLED,
    AdaptedClassifier,
    Learnt,
    features_of_logits,
    general_statistics,
    identity_of,
    own_profile,
    require_own,
)
from device.adaptation.profile import (
    CORRECTION,
    MOST_EXAMPLES,
    SESSION,
    Example,
    Profile,
    read_profile,
    write_profile,
)
from device.adaptation.speaker_adaptation import adapt
from device.adaptation.speaker_variation import LARGEST_FEATURE
from device.bundle import SHIPPED_BUNDLES, Bundle, pack, read_bundle
from device.errors import BundleError, ProfileError
from device.events import UtteranceFeatures
from device.front_end.spectrogram import mel_power, silent_image, spectrogram_image
from device.front_end.tokens import Tokens
from device.recognition.classifier import Classifier, NetworkOutput
from tests.device.adaptation.voices import (
    EMBEDDING,
    FEATURES,
    IMAGE,
    LABELS,
    SILENCE,
    ChosenOutputs,
    Speaker,
    bundle,
    example,
    identity,
    ids,
    output,
    profile,
    variation,
)
from tests.waiting import LIMIT_S

BOTH = pytest.mark.parametrize("with_variation", [True, False], ids=["speaker variation", "probabilities only"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "profile.json"


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    """A speaker for whom adaptation helps."""
    return Speaker(2)


def ratings(adapted: AdaptedClassifier, count: int = 20) -> list[dict[str, float]]:
    return [adapted.probabilities(IMAGE, ids(place)) for place in range(count)]


def plain(speaker: Speaker, count: int = 20) -> list[dict[str, float]]:
    return [speaker.network.probabilities(IMAGE, ids(place)) for place in range(count)]


# What is predicted.


@BOTH
def test_without_examples_the_probabilities_are_exactly_those_of_the_network(with_variation: bool, path: Path) -> None:
    speaker = Speaker(0, with_variation=with_variation)
    adapted = speaker.classifier(path)
    steps: list[Callable[[], object]] = [lambda: None, adapted.load, adapted.load_if_changed]
    for load in steps:
        load()
        assert ratings(adapted) == plain(speaker)
        assert not adapted.adapted
    assert list(path.parent.iterdir()) == [], "nothing is written before something is learnt"
    write_profile(path, Profile(adapted.identity))
    adapted.load()
    assert ratings(adapted) == plain(speaker)


def test_examples_that_help_are_used_and_most_shuffled_ones_are_not() -> None:
    """Four examples of each class, about as in a guided session. By chance, some shuffled ones seem to help."""
    gains, used, used_shuffled = [], 0, 0
    for seed in range(20):
        speaker = Speaker(seed, 72)
        adapted = speaker.classifier()
        before = speaker.accuracy(adapted, 12)
        examples = speaker.examples(adapted, 12)
        learnt = adapted.learn(examples)
        assert learnt == Learnt(12, adapted.uses_examples)
        assert adapted.adapted == adapted.uses_examples
        used += learnt.used
        gains.append(speaker.accuracy(adapted, 12) - before)

        shuffled = np.random.default_rng(seed).permutation(len(examples))
        wrong = [replace(each, label=examples[place].label) for each, place in zip(examples, shuffled, strict=True)]
        other = speaker.classifier()
        used_shuffled += other.learn(wrong).used
        if not other.adapted:
            assert ratings(other) == plain(speaker)
    assert used >= 18
    assert np.mean(gains) > 0.2
    assert min(gains) > -0.1
    assert used_shuffled <= 8


def test_examples_help_a_little_by_the_probabilities_alone() -> None:
    gains, used = [], 0
    for seed in range(20):
        speaker = Speaker(seed, 124, with_variation=False)
        adapted = speaker.classifier()
        before = speaker.accuracy(adapted, 24)
        used += adapted.learn(speaker.examples(adapted, 24)).used
        gains.append(speaker.accuracy(adapted, 24) - before)
    assert used >= 8
    assert np.mean(gains) > 0.02
    assert min(gains) > -0.1


@BOTH
def test_examples_of_one_class(with_variation: bool) -> None:
    """They can only shift predictions towards it, and the guard compares that with no shift; any result is valid."""
    speaker = Speaker(2, with_variation=with_variation)
    adapted = speaker.classifier()
    examples = [each for each in speaker.examples(adapted, 40) if each.label == "angry"]
    for count in (1, 2, len(examples)):
        learnt = speaker.classifier().learn(examples[:count])
        assert learnt.examples == count
        assert count > 1 or not learnt.used, "a single example cannot be validated"
    adapted.learn(examples)
    assert_probabilities(ratings(adapted))


def test_a_few_examples_suffice(speaker: Speaker) -> None:
    adapted = speaker.classifier()
    before = speaker.accuracy(adapted, 12)
    assert adapted.learn(speaker.examples(adapted, 12)).used
    assert speaker.accuracy(adapted, 12) > before + 0.2


@BOTH
def test_silence_is_never_adapted_nor_learnt(with_variation: bool, path: Path) -> None:
    speaker = Speaker(2, with_variation=with_variation)
    adapted = speaker.classifier(path, unlabelled=UNLABELLED)
    adapted.learn(speaker.examples(adapted, 20))
    assert adapted.adapted
    before = ratings(adapted)
    assert before != plain(speaker)
    for place in range(20):
        found, utterance = adapted.rate(SILENCE, ids(place))
        assert found == speaker.network.probabilities(SILENCE, ids(place))
        assert utterance.silent
        adapted.add_unlabelled(utterance)
    assert ratings(adapted) == before
    stored = path.read_bytes()
    steps: list[Callable[[], object]] = [
        lambda: adapted.correct(utterance, "glad"),
        lambda: adapted.learn([Example.now("glad", utterance, SESSION)]),
    ]
    for learn in steps:
        with pytest.raises(ProfileError, match="the utterance has no audio, so nothing about a voice"):
            learn()
    assert path.read_bytes() == stored
    assert not adapted.rate(IMAGE, ids(0))[1].silent


def assert_probabilities(found: list[dict[str, float]]) -> None:
    for each in found:
        assert tuple(each) == LABELS
        assert all(0 <= value <= 1 for value in each.values()), each
        assert sum(each.values()) == pytest.approx(1, abs=1e-9)


@BOTH
@settings(max_examples=30)
@given(
    embedding=arrays(np.float32, EMBEDDING, elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    logits=arrays(np.float64, 3, elements=st.floats(-800, 800)),
)
def test_extreme_outputs_of_the_network(
    with_variation: bool, embedding: NDArray[np.float32], logits: NDArray[np.float64]
) -> None:
    """Probabilities remain probabilities, and what is learnt from them can be written and read."""
    speaker = Speaker(2, 21, with_variation=with_variation)
    powers = np.exp(logits - logits.max())
    extreme = output(powers / powers.sum(), embedding if with_variation else ())
    speaker.network.outputs.append(extreme)
    adapted = speaker.classifier(unlabelled=UNLABELLED)
    adapted.learn(speaker.examples(adapted, 20))
    assert adapted.adapted
    found, utterance = adapted.rate(IMAGE, ids(21))
    assert_probabilities([found])
    assert np.abs(utterance.features).max() <= LARGEST_FEATURE
    adapted.add_unlabelled(utterance)
    assert_probabilities(ratings(adapted))
    for label in LABELS:
        adapted.correct(utterance, label)
        assert_probabilities([*ratings(adapted), adapted.probabilities(IMAGE, ids(21))])
        assert len(Profile.from_json(adapted.profile.to_json()).examples) == 21


def test_a_network_that_returns_no_numbers(speaker: Speaker) -> None:
    broken = Speaker(2, 21)
    broken.network.outputs.append(output([np.nan] * 3, np.full(EMBEDDING, np.nan)))
    adapted = broken.classifier()
    adapted.learn(broken.examples(adapted, 20))
    found, utterance = adapted.rate(IMAGE, ids(21))
    assert_probabilities([found])
    assert (
        len(Profile.from_json(Profile(adapted.identity, (Example.now("glad", utterance, SESSION),)).to_json()).examples)
        == 1
    )


def test_the_evidence_is_added_to_the_logits(speaker: Speaker) -> None:
    """The adapted probabilities are those of a direct calculation from the parts."""
    adapted = speaker.classifier()
    validation = adapted.use(Profile(adapted.identity).with_examples(speaker.examples(adapted)))
    assert validation is not None
    features, _, classes = adapted.profile.arrays()
    evidence = adapt(variation().statistics, features, classes).evidence(
        variation().features(speaker.network.outputs[30].embedding[None])
    )[0]
    before = np.array(list(speaker.network.outputs[30].probabilities.values()))
    expected = before * np.exp(validation.strength * evidence)
    found = list(adapted.probabilities(IMAGE, ids(30)).values())
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-3)


def test_utterances_without_a_label_have_an_effect_with_and_without_examples() -> None:
    """They show how the voice differs, so that the same network predicts this speaker better."""
    gains = []
    for seed in range(10):
        speaker = Speaker(seed, 100)
        adapted = speaker.classifier(unlabelled=UNLABELLED)
        before = speaker.accuracy(adapted, 60)
        utterances = [adapted.rate(IMAGE, ids(place))[1] for place in range(60)]
        for each in utterances:
            adapted.add_unlabelled(each)
        assert adapted.adapted
        assert not adapted.uses_examples
        gains.append(speaker.accuracy(adapted, 60) - before)
        without_examples = ratings(adapted)
        assert adapted.learn(speaker.examples(adapted)).used
        assert ratings(adapted) != without_examples
        last = speaker.classifier(unlabelled=UNLABELLED)
        last.learn(speaker.examples(last))
        for each in utterances[-UNLABELLED:]:
            last.add_unlabelled(each)
        assert ratings(adapted) == ratings(last), f"more than the last {UNLABELLED} have an effect"
    assert np.mean(gains) > 0.1


@pytest.mark.parametrize(("with_variation", "unlabelled"), [(True, 0), (False, UNLABELLED)])
def test_where_utterances_without_a_label_have_no_effect(with_variation: bool, unlabelled: int) -> None:
    speaker = Speaker(2, with_variation=with_variation)
    adapted = speaker.classifier(unlabelled=unlabelled)
    for place in range(60):
        adapted.add_unlabelled(adapted.rate(IMAGE, ids(place))[1])
    assert not adapted.adapted
    assert ratings(adapted) == plain(speaker)


@pytest.mark.parametrize("removed", [True, False])
def test_forgetting_all_examples_forgets_utterances_without_a_label(
    removed: bool, speaker: Speaker, path: Path
) -> None:
    adapted = speaker.classifier(path, unlabelled=UNLABELLED)
    adapted.add_unlabelled(adapted.rate(IMAGE, ids(0))[1])
    adapted.learn(speaker.examples(adapted, 20))
    if removed:
        path.unlink()
    else:
        write_profile(path, Profile(adapted.identity))
    assert adapted.load_if_changed()
    assert not adapted.adapted
    assert ratings(adapted) == plain(speaker)


# Learning.


@BOTH
def test_learning_writes_the_file_and_a_new_classifier_predicts_the_same(with_variation: bool, path: Path) -> None:
    speaker = Speaker(2, with_variation=with_variation)
    adapted = speaker.classifier(path)
    assert adapted.learn(speaker.examples(adapted, 20)) == Learnt(20, True)
    assert not adapted.load_if_changed(), "its own change is no change"
    other = speaker.classifier(path)
    assert ratings(other) == plain(speaker)
    other.load()
    assert ratings(other) == ratings(adapted)
    again = speaker.classifier(path)
    assert again.load_if_changed()
    assert ratings(again) == ratings(adapted)


def test_a_second_correction_of_an_utterance_replaces_the_first(speaker: Speaker, path: Path) -> None:
    adapted = speaker.classifier(path)
    one, other = (adapted.rate(IMAGE, ids(place))[1] for place in (0, 1))
    assert adapted.correct(one, "glad").examples == 1
    assert adapted.correct(other, "calm").examples == 2
    assert adapted.correct(one, "angry").examples == 2
    assert [each.label for each in read_profile(path).examples] == ["calm", "angry"]
    assert adapted.correct(one, "angry").examples == 2
    # Another process has changed the file meanwhile.
    write_profile(path, read_profile(path).with_examples([example("glad", 5)]))
    assert adapted.correct(one, "calm").examples == 3
    assert [each.label for each in read_profile(path).examples] == ["calm", "glad", "calm"]
    # Another one has removed what is to be replaced.
    write_profile(path, Profile(adapted.identity))
    assert adapted.correct(one, "glad").examples == 1


def test_utterances_with_equal_numbers_are_not_the_same_one(path: Path) -> None:
    """A network that is sure predicts exactly the same for many utterances."""
    speaker = Speaker(0, with_variation=False)
    speaker.network.outputs[:2] = [output([1, 0, 0])] * 2
    adapted = speaker.classifier(path)
    for place, label in enumerate(["calm", "angry"]):
        adapted.correct(adapted.rate(IMAGE, ids(place))[1], label)
    assert [each.label for each in read_profile(path).examples] == ["calm", "angry"]


def test_a_corrected_utterance_is_not_also_one_without_a_label(speaker: Speaker) -> None:
    def learn(*, before: bool, after: bool) -> list[dict[str, float]]:
        adapted = speaker.classifier(unlabelled=UNLABELLED)
        adapted.learn(speaker.examples(adapted))
        utterance = adapted.rate(IMAGE, ids(30))[1]
        if before:
            adapted.add_unlabelled(utterance)
        adapted.correct(utterance, LABELS[speaker.classes[30]])
        if after:
            adapted.add_unlabelled(utterance)
        return ratings(adapted)

    assert learn(before=True, after=True) == learn(before=False, after=False)


def test_a_class_that_the_model_does_not_have(speaker: Speaker, path: Path) -> None:
    adapted = speaker.classifier(path)
    utterance = adapted.rate(IMAGE, ids(0))[1]
    steps: list[Callable[[], object]] = [
        lambda: adapted.correct(utterance, "s\x1bad"),
        lambda: adapted.learn([Example.now("s\x1bad", utterance, SESSION)]),
    ]
    for learn in steps:
        with pytest.raises(ProfileError) as error:
            learn()
        assert str(error.value) == "s\\x1bad is not a class of the model; use one of glad, calm, angry"
    assert not path.exists()
    assert adapted.profile.examples == ()


def test_without_a_file_examples_stay_in_memory(speaker: Speaker) -> None:
    adapted = speaker.classifier()
    adapted.load()
    assert not adapted.load_if_changed()
    assert adapted.learn(speaker.examples(adapted)).used
    adapted.load()
    assert adapted.adapted
    assert adapted.correct(adapted.rate(IMAGE, ids(20))[1], "glad").examples == 17


def test_more_examples_than_the_limit(speaker: Speaker) -> None:
    adapted = speaker.classifier()
    examples = speaker.examples(adapted, 60) * 6
    assert adapted.learn(examples).examples == MOST_EXAMPLES
    assert adapted.adapted


# The file.


def test_a_profile_of_another_model_is_refused_and_not_changed(speaker: Speaker, path: Path) -> None:
    adapted = speaker.classifier(path)
    adapted.learn(speaker.examples(adapted))
    write_profile(path, profile(of=identity(model="other\x1b", labels=("angry", "glad", "calm"))))
    before = path.read_bytes()
    message = (
        f"{path}: was learnt with another model, 'other\\x1b' with the classes 'angry, glad, calm', and not with this "
        "'Model.tflite', so it cannot be used"
    )
    with pytest.raises(ProfileError) as error:
        adapted.load_if_changed()
    assert error.value.message == message
    assert error.value.fix
    assert not adapted.adapted
    assert ratings(adapted) == plain(speaker)
    assert not adapted.load_if_changed(), "the error is reported once for each change of the file"
    utterance = adapted.rate(IMAGE, ids(0))[1]
    steps: list[Callable[[], object]] = [
        adapted.load,
        lambda: adapted.learn([Example.now("glad", utterance, SESSION)]),
        lambda: adapted.correct(utterance, "glad"),
        lambda: own_profile(path, adapted.identity),
    ]
    for learn in steps:
        with pytest.raises(ProfileError) as error:
            learn()
        assert error.value.message == message
    assert path.read_bytes() == before
    assert adapted.profile.examples == ()


def test_the_message_about_another_model_is_short() -> None:
    other = identity(model="m" * 1000, labels=tuple(f"{place} {'x' * 90}" for place in range(100)))
    with pytest.raises(ProfileError) as error:
        require_own(Profile(other), identity(), None)
    assert error.value.message.startswith("the profile: was learnt with another model, 'mmm")
    assert len(error.value.message) < 450


def test_a_profile_of_another_conversion_of_the_same_network_is_used(speaker: Speaker, path: Path) -> None:
    first = AdaptedClassifier(speaker.network, replace(speaker.bundle, model=b"float32"), path)
    first.learn(speaker.examples(first))
    second = AdaptedClassifier(speaker.network, replace(speaker.bundle, model=b"int8", path=Path("Small.tflite")), path)
    assert first.identity != second.identity
    second.load()
    assert ratings(second) == ratings(first)
    second.correct(second.rate(IMAGE, ids(30))[1], "glad")
    assert read_profile(path).identity == second.identity
    assert len(read_profile(path).examples) == 17
    first.load()
    assert first.profile.identity == first.identity
    assert ratings(second) == ratings(first)


def test_which_models_have_examples_in_common() -> None:
    text = variation(0).to_json()
    own = identity_of(bundle(text))
    assert own == identity_of(bundle(text))
    assert (own.model, own.labels, own.features) == ("Model.tflite", LABELS, FEATURES)
    assert own.shares_examples_with(identity_of(bundle(text, b"another", "Other.tflite")))
    assert not own.shares_examples_with(identity_of(bundle(variation(1).to_json())))
    without = identity_of(bundle(None))
    assert without.features == len(LABELS)
    assert not without.shares_examples_with(own)
    assert without.shares_examples_with(identity_of(bundle(None, name="Renamed.tflite")))
    assert not without.shares_examples_with(identity_of(bundle(None, b"another")))
    shipped = identity_of(read_bundle(SHIPPED_BUNDLES["emotions"]))
    assert shipped.model == "emotions"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"edge_mcnn_profile": 2}'])
def test_a_damaged_profile_is_not_used_and_not_replaced(content: bytes, speaker: Speaker, path: Path) -> None:
    adapted = speaker.classifier(path)
    adapted.learn(speaker.examples(adapted))
    path.write_bytes(content)
    with pytest.raises(ProfileError):
        adapted.load_if_changed()
    assert ratings(adapted) == plain(speaker)
    with pytest.raises(ProfileError):
        adapted.correct(adapted.rate(IMAGE, ids(0))[1], "glad")
    assert path.read_bytes() == content
    path.unlink()
    assert adapted.load_if_changed()
    assert adapted.learn(speaker.examples(adapted)).examples == 16


def test_a_path_that_cannot_be_read_is_an_error_and_not_a_missing_profile(speaker: Speaker, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "file").touch()
    for wrong in (Path("a\0b"), tmp_path / "link", tmp_path / "file" / "p", tmp_path):
        adapted = speaker.classifier(wrong)
        with pytest.raises(ProfileError):
            adapted.load()
        assert ratings(adapted) == plain(speaker)
        assert not adapted.load_if_changed()


def test_what_cannot_be_written_is_not_learnt(
    speaker: Speaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    adapted = speaker.classifier(tmp_path / "file" / "p")
    with pytest.raises(ProfileError, match="nothing was changed"):
        adapted.learn(speaker.examples(adapted))
    assert adapted.profile.examples == ()
    assert ratings(adapted) == plain(speaker)
    adapted.path = tmp_path / "p"
    assert adapted.learn(speaker.examples(adapted)).used


def test_a_change_between_writing_and_the_next_look_is_noticed(
    speaker: Speaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that waited for the lock writes as soon as it is released."""
    adapted, other = speaker.classifier(path), speaker.classifier(path)
    examples = speaker.examples(adapted, 20)
    use = adapted.use

    def use_later(given: Profile) -> Any:
        monkeypatch.undo()
        other.learn(examples[10:])
        return use(given)

    monkeypatch.setattr(adapted, "use", use_later)
    assert adapted.learn(examples[:10]).examples == 10
    assert adapted.load_if_changed()
    assert len(adapted.profile.examples) == 20


# Privacy.


def test_the_file_contains_neither_words_nor_audio() -> None:
    """There are few numbers, and none of the words, whatever was spoken."""
    shipped = read_bundle(SHIPPED_BUNDLES["sentiment"])
    adapted = AdaptedClassifier(Classifier(shipped), shipped)
    front_end = shipped.companions.front_end
    noise = (np.random.default_rng(0).standard_normal(16_000) * 3000).astype(np.int16)
    image = spectrogram_image(mel_power(noise, front_end), front_end)
    tokens = Tokens(shipped.companions.vocabulary, front_end).ids("my secret is that i hate you")
    _, utterance = adapted.rate(image, tokens)
    text = Profile(adapted.identity, (Example.now(adapted.labels[0], utterance, CORRECTION),)).to_json()
    assert "secret" not in text
    (stored,) = json.loads(text)["examples"]
    numbers = len(stored["features"]) + len(stored["logits"])
    assert numbers == adapted.identity.features + len(adapted.labels)
    assert numbers * 100 < image.size
    assert numbers * 100 < len(noise)


def test_with_a_speaker_variation_the_features_do_not_depend_on_the_words(speaker: Speaker) -> None:
    network = ChosenOutputs(
        [output([0.9, 0.05, 0.05], np.ones(EMBEDDING)), output([0.1, 0.8, 0.1], np.ones(EMBEDDING))]
    )
    adapted = AdaptedClassifier(network, speaker.bundle)
    one, other = (adapted.rate(IMAGE, ids(place))[1] for place in (0, 1))
    np.testing.assert_array_equal(one.features, other.features)


# Threads.


class Overlapping(ChosenOutputs):
    """Fails if two threads run it at once, as an interpreter may."""

    def __init__(self, network: ChosenOutputs) -> None:
        super().__init__(network.outputs, embedding_size=network.embedding_size)
        self._busy = threading.Lock()

    def run(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> NetworkOutput:
        assert self._busy.acquire(blocking=False), "two threads run the interpreter at once"
        try:
            give_way()
            return super().run(image, ids)
        finally:
            self._busy.release()


def give_way() -> None:
    """Let other threads run, as a long calculation of numpy or an interpreter does."""
    for _ in range(5):
        time.sleep(0)


@pytest.fixture
def often_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("often_switching")
def test_threads_that_rate_while_others_correct_see_one_profile_or_the_next(path: Path) -> None:
    speaker = Speaker(2, 40)
    speaker.network = Overlapping(speaker.network)
    adapted = speaker.classifier(path)
    examples = speaker.examples(adapted, 20)
    # The ratings that are possible: with each number of examples, one after another.
    possible = []
    for count in range(len(examples) + 1):
        alone = Speaker(2, 40).classifier()
        alone.use(Profile(alone.identity, tuple(examples[:count])))
        possible.append(alone.probabilities(IMAGE, ids(30)))
    failures: list[BaseException] = []
    finished = threading.Event()

    def checked(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # reported below
                failures.append(error)

        return run

    seen: list[int] = []

    def rate() -> None:
        while not finished.is_set():
            found = adapted.probabilities(IMAGE, ids(30))
            assert found in possible, "a mixture of two states"
            seen.append(possible.index(found))

    def look() -> None:
        while not finished.is_set():
            adapted.load_if_changed()

    threads = [threading.Thread(target=checked(work)) for work in (rate, rate, look)]
    for each in threads:
        each.start()
    for number, named in enumerate(examples, 1):
        assert adapted.learn([named]).examples == number
    finished.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert failures == []
    assert seen
    assert adapted.probabilities(IMAGE, ids(30)) == possible[-1]
    assert len(read_profile(path).examples) == len(examples)


@pytest.mark.usefixtures("often_switching")
def test_threads_that_rate_never_see_the_strength_of_another_adaptation(monkeypatch: pytest.MonkeyPatch) -> None:
    speaker = Speaker(2, 40)
    adapted = speaker.classifier()
    examples = speaker.examples(adapted, 20)
    by_strength = {}
    for count in range(2, 21):
        each = Profile(adapted.identity, tuple(examples[:count]))
        validation = adapted.use(each)
        assert validation is not None
        if validation.strength:
            by_strength[validation.strength] = each, adapted.probabilities(IMAGE, ids(30))
    assert len(by_strength) > 1, "all have the same strength"

    def slowly(*given: Any) -> Any:
        give_way()
        return adapt(*given)

    monkeypatch.setattr(adapted_classifier, "adapt", slowly)
    finished = threading.Event()
    seen: list[dict[str, float]] = []

    def rate() -> None:
        while not finished.is_set():
            seen.append(adapted.probabilities(IMAGE, ids(30)))

    thread = threading.Thread(target=rate)
    thread.start()
    for _ in range(30):
        for each, _ in by_strength.values():
            adapted.use(each)
    finished.set()
    thread.join(LIMIT_S)
    assert seen
    assert [each for each in seen if each not in [found for _, found in by_strength.values()]] == []


@pytest.mark.usefixtures("often_switching")
@pytest.mark.parametrize("stored", [True, False])
def test_threads_that_correct_at_once_lose_nothing(stored: bool, path: Path) -> None:
    speaker = Speaker(2, 60)
    adapted = speaker.classifier(path if stored else None, unlabelled=UNLABELLED)
    utterances = [adapted.rate(IMAGE, ids(place))[1] for place in range(60)]

    def correct(first: int) -> None:
        for place in range(first, 60, 3):
            adapted.add_unlabelled(utterances[place])
            adapted.correct(utterances[place], LABELS[speaker.classes[place]])

    threads = [threading.Thread(target=correct, args=(first,)) for first in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(LIMIT_S)
    assert len(adapted.profile.examples) == 60
    if stored:
        assert len(read_profile(path).examples) == 60
        assert not adapted.load_if_changed()


def test_looking_for_a_change_does_not_wait_for_a_thread_that_learns(
    speaker: Speaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted = speaker.classifier(path)
    examples = speaker.examples(adapted)
    learning, finish = threading.Event(), threading.Event()
    validate = adapted.validate

    def slowly(given: Profile) -> Any:
        learning.set()
        assert finish.wait(LIMIT_S)
        return validate(given)

    monkeypatch.setattr(adapted, "validate", slowly)
    thread = threading.Thread(target=adapted.learn, args=(examples,))
    thread.start()
    assert learning.wait(LIMIT_S)
    write_profile(path, Profile(adapted.identity))
    assert not adapted.load_if_changed()
    assert ratings(adapted) == plain(speaker)
    finish.set()
    thread.join(LIMIT_S)
    assert adapted.adapted
    assert adapted.load_if_changed()
    assert not adapted.adapted


# Bundles.


def test_a_network_without_the_embedding_that_the_variation_needs(speaker: Speaker) -> None:
    for size, found in ((0, "none"), (EMBEDDING + 1, str(EMBEDDING + 1))):
        network = ChosenOutputs(speaker.network.outputs, embedding_size=size)
        with pytest.raises(BundleError) as error:
            AdaptedClassifier(network, speaker.bundle)
        assert error.value.message == (
            f"Model.tflite: its speaker variation requires an output embedding of {EMBEDDING} numbers, the network has "
            f"{found}"
        )
        assert error.value.fix == "convert it again with `edge-mcnn convert`"


def test_a_damaged_speaker_variation_is_reported_with_the_file(speaker: Speaker) -> None:
    damaged = bundle("{}")
    uses: list[Callable[[], object]] = [
        lambda: AdaptedClassifier(speaker.network, damaged),
        lambda: identity_of(damaged),
    ]
    for use in uses:
        with pytest.raises(BundleError) as error:
            use()
        assert error.value.message.startswith("Model.tflite: speaker_variation.json: ")
        assert error.value.fix == "copy the model again, or convert it again"


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_the_models_that_ship(name: str, path: Path) -> None:
    shipped = read_bundle(SHIPPED_BUNDLES[name])
    check_bundle(shipped, path)


@pytest.mark.slow
def test_a_converted_model_with_a_speaker_variation(path: Path, tmp_path: Path) -> None:
    from convert.convert import convert
    from tests.convert import tutorial_models

    companions = tutorial_models.companions(image_width=32, image_height=32)
    source = tutorial_models.save(tutorial_models.tutorial_model(image_size=32), tmp_path / "Model.h5", companions)
    converted = read_bundle(convert(source, mode="float32").target)
    size = Classifier(converted).embedding_size
    assert size > FEATURES
    random = np.random.default_rng(0)
    own = replace(variation(), centre=np.zeros(size), directions=random.normal(size=(size, FEATURES)))
    packed = pack(
        converted.model[: converted.flatbuffer_size], replace(converted.companions, speaker_variation=own.to_json())
    )
    converted.path.write_bytes(packed)
    check_bundle(read_bundle(converted.path), path)


def check_bundle(checked: Bundle, path: Path) -> None:
    """Without examples the network's probabilities; with some that help others; after a restart the same."""
    companions = checked.companions
    front_end = companions.front_end
    network = Classifier(checked)
    adapted = AdaptedClassifier(network, checked, path)
    random = np.random.default_rng(0)
    images = random.random((24, *silent_image(front_end).shape), np.float32) * np.float32(0.2)
    images[::2] += np.float32(0.8)  # two kinds of images, which differ as no two utterances do
    words = random.integers(1, len(companions.vocabulary), (24, front_end.sequence_length)).astype(np.int32)
    inputs = list(zip(images, words, strict=True))
    before = [network.probabilities(*each) for each in inputs]
    rated = [adapted.rate(*each) for each in inputs]
    assert [found for found, _ in rated] == before
    labels = [companions.labels[place % 2] for place in range(24)]
    learnt = adapted.learn(
        [Example.now(label, utterance, SESSION) for label, (_, utterance) in zip(labels, rated, strict=True)]
    )
    assert learnt == Learnt(24, True)
    after = [adapted.probabilities(*each) for each in inputs]
    assert after != before
    for each in after:
        assert tuple(each) == companions.labels
        assert sum(each.values()) == pytest.approx(1, abs=1e-9)
    restarted = AdaptedClassifier(network, checked, path)
    restarted.load()
    assert [restarted.probabilities(*each) for each in inputs] == after
    silence = silent_image(front_end)
    assert restarted.probabilities(silence, words[0]) == network.probabilities(silence, words[0])


def test_the_general_features_of_logits() -> None:
    logits = np.log([[0.98, 0.01, 0.01], [1 / 3, 1 / 3, 1 / 3]])
    found = features_of_logits(logits)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(found[1], 0, atol=1e-12)
    assert found[0].argmax() == 0
    own = general_statistics(3)
    assert own.classes.tolist() == [0, 1, 2]
    assert own.means.argmax(axis=1).tolist() == [0, 1, 2]


def test_an_utterance_of_other_features_cannot_be_learnt(speaker: Speaker, path: Path) -> None:
    adapted = speaker.classifier(path)
    with pytest.raises(ProfileError, match="an example has numbers or a class that a profile cannot contain"):
        adapted.correct(UtteranceFeatures(np.zeros(FEATURES + 1), np.zeros(3)), "glad")
    assert not path.exists()
