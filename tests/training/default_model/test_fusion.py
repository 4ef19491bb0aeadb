import dataclasses

import numpy as np
import pytest

from training.default_model import fusion as calibration
from training.default_model.fusion import Balance, Evidence

SHARES = [0.25, 0.5, 0.25]


def honest(rows: int, clarity: float, seed: int, shares: list[float] | None = None) -> Evidence:
    """Rows whose softmax is exactly as sure as it is right: a class is drawn from the probabilities themselves."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, clarity, (rows, 3)) + np.log(shares or [1 / 3] * 3)
    probabilities = calibration.softmax(np.asarray(logits, np.float32))
    labels = (random.random(rows)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return Evidence(np.asarray(logits, np.float32), labels.astype(np.int64), random.integers(0, 40, rows))


@pytest.mark.parametrize("over_confidence", [0.3, 1.0, 4.0])
def test_the_temperature_is_what_the_logits_were_multiplied_by(over_confidence: float) -> None:
    evidence = honest(20_000, 1.5, 0).scaled(over_confidence)
    assert calibration.temperature(evidence) == pytest.approx(over_confidence, rel=0.1)


def test_after_the_temperature_the_branch_is_as_sure_as_it_is_right() -> None:
    evidence = honest(20_000, 1.5, 1).scaled(3)
    assert calibration.scores(evidence).calibration_error > 0.1
    mended = evidence.scaled(1 / calibration.temperature(evidence))
    assert calibration.scores(mended).calibration_error < 0.02


def test_with_classes_equal_a_rare_class_weighs_as_much_as_a_common_one() -> None:
    # Sure and always right on the common class, sure and always wrong on the rare one.
    sure = np.array([[4, 0, 0]] * 900 + [[4, 0, 0]] * 100, np.float32)
    evidence = Evidence(sure, np.array([0] * 900 + [1] * 100), np.arange(1000))
    assert calibration.temperature(evidence, classes_equal=True) > 2 * calibration.temperature(evidence)


def test_halves_have_every_row_and_no_group_in_common() -> None:
    first, second = honest(500, 1, 2).halves()
    assert len(first.labels) + len(second.labels) == 500
    assert min(len(first.labels), len(second.labels)) > 150
    assert not set(first.groups) & set(second.groups)


def test_a_sound_that_is_far_surer_than_the_words_is_trusted_less_until_neither_rules() -> None:
    words, sound = honest(2000, 0.7, 6, SHARES), honest(1000, 3.0, 7)
    found = calibration.balance(words, sound, seed=0)
    assert 0.3 <= found.trust < 1
    in_full = dataclasses.replace(found, trust=1)
    of_words, of_sound = followed(words, sound, found)
    assert of_words == pytest.approx(of_sound, abs=0.1)
    assert followed(words, sound, in_full)[1] > 0.6


def followed(words: Evidence, sound: Evidence, scale: Balance) -> tuple[float, float]:
    """How often the sum says what the words say, and what the sound says, where these differ."""
    random = np.random.default_rng(0)
    of_words = words.logits[random.integers(len(words.labels), size=4000)] * scale.words
    of_sound = sound.logits[random.integers(len(sound.labels), size=4000)] * scale.sound * scale.trust
    by_words, by_sound, joint = (logits.argmax(axis=1) for logits in (of_words, of_sound, of_words + of_sound))
    differ = by_words != by_sound
    return float((joint == by_words)[differ].mean()), float((joint == by_sound)[differ].mean())


def test_equally_clear_branches_are_both_trusted_in_full() -> None:
    found = calibration.balance(honest(4000, 1.2, 8), honest(4000, 1.2, 9), seed=0)
    assert found.trust >= 0.9
    assert found.words == pytest.approx(1, rel=0.15)
    assert found.sound == pytest.approx(1, rel=0.15)


def test_what_is_measured_was_scaled_by_the_other_half() -> None:
    # The second half of the dialogues is ten times too sure: fitted across, the first half is cooled by that.
    first, second = honest(3000, 1.2, 10).halves()
    words = calibration.joined(first, second.scaled(10))
    sound = honest(3000, 1.2, 11)
    scaled, _ = calibration.across(words, sound, seed=0)
    assert np.abs(scaled.logits[: len(first.labels)]).mean() < np.abs(first.logits).mean() / 5
    assert np.abs(scaled.logits[len(first.labels) :]).mean() > np.abs(second.logits).mean() * 5


def test_the_same_seed_gives_the_same_balance() -> None:
    words, sound = honest(500, 1, 12), honest(300, 2, 13)
    assert calibration.balance(words, sound, seed=3) == calibration.balance(words, sound, seed=3)
