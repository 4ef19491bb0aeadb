import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

import training.evaluation.bootstrap
from training.data.clips import Clip
from training.evaluation.bootstrap import Groups, interval, resample

METRICS = ("accuracy", "weighted_f1", "macro_f1", "f1", "precision", "recall", "calibration_error")


def clip(speaker: str = "", dialogue: str = "") -> Clip:
    return Clip(None, "words", "a", "test", speaker, dialogue)


def groups(numbers: NDArray[np.int64]) -> Groups:
    return Groups("speaker", numbers)


def predictions_of(seed: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return random.integers(0, 3, rows), random.dirichlet([1, 1, 1], rows).astype(np.float32)


def test_groups_by_the_columns_of_the_table() -> None:
    speakers = Groups.of([clip("joey", "1"), clip("ross", "1"), clip("joey", "2"), clip(), clip()])
    assert speakers.by == "speaker"
    assert len(speakers) == 4
    assert speakers.numbers[0] == speakers.numbers[2]
    assert len(speakers.take(np.array([0, 2]))) == 1
    dialogues = Groups.of([clip(dialogue="1"), clip(dialogue="1"), clip(dialogue="2")])
    assert (dialogues.by, len(dialogues)) == ("dialogue", 2)
    rows = Groups.of([clip(), clip()])
    assert (rows.by, len(rows)) == ("row", 2)


@given(st.integers(0, 1000), st.integers(5, 60), st.integers(2, 8))
@settings(max_examples=50)
def test_intervals_are_ordered_and_repeatable(seed: int, rows: int, count: int) -> None:
    labels, probabilities = predictions_of(seed, rows)
    of = groups(np.arange(rows) % count)
    samples, again = (resample(labels, probabilities, of, seed=3, resamples=50) for _ in range(2))
    assert samples is not None
    assert again is not None
    order = np.random.default_rng(seed).permutation(rows)
    shuffled = resample(labels[order], probabilities[order], of.take(order), seed=3, resamples=50)
    for metric in METRICS:
        low, high = interval(getattr(samples, metric))
        assert (low >= 0).all()
        assert (low <= high).all()
        assert (high <= 1 + 1e-12).all()
        for other in (again, shuffled):
            np.testing.assert_allclose(getattr(samples, metric), getattr(other, metric), atol=1e-12)


@given(st.integers(0, 1000), st.integers(2, 5))
@settings(max_examples=30)
def test_repeated_rows_within_their_group_do_not_narrow_the_interval(seed: int, times: int) -> None:
    labels, probabilities = predictions_of(seed, 20)
    once = resample(labels, probabilities, groups(np.arange(20)), seed=1, resamples=40)
    rows = np.repeat(np.arange(20), times)
    repeated = resample(labels[rows], probabilities[rows], groups(rows), seed=1, resamples=40)
    assert once is not None
    assert repeated is not None
    for metric in METRICS:
        np.testing.assert_allclose(getattr(once, metric), getattr(repeated, metric), atol=1e-12)


def test_a_sample_consists_of_its_groups() -> None:
    labels, probabilities = predictions_of(5, 30)
    numbers = np.arange(30) % 4
    samples = resample(labels, probabilities, groups(numbers), seed=9, resamples=10)
    assert samples is not None
    drawn = np.random.default_rng(9).multinomial(4, np.full(4, 0.25), 10)
    for sample, times in enumerate(drawn):
        rows = np.concatenate([np.tile(np.flatnonzero(numbers == g), times[g]) for g in range(4)])
        truth, predicted = labels[rows], probabilities[rows].argmax(axis=1)
        assert samples.accuracy[sample] == pytest.approx(accuracy_score(truth, predicted))
        assert samples.weighted_f1[sample] == pytest.approx(f1_score(truth, predicted, average="weighted"))


def test_intervals_cover_the_true_accuracy() -> None:
    # 60 speakers with the same accuracy, 0.7: 95 % of the intervals contain it.
    random, hits = np.random.default_rng(1), 0
    for seed in range(200):
        correct = random.random(300) < 0.7
        probabilities = np.stack([correct, ~correct], axis=1).astype(np.float32)
        samples = resample(
            np.zeros(300, np.int64), probabilities, groups(np.arange(300) % 60), seed=seed, resamples=300
        )
        assert samples is not None
        low, high = interval(samples.accuracy)
        hits += bool(low <= 0.7 <= high)
    assert 180 <= hits <= 200


def test_perfect_predictions_have_no_spread_and_one_group_has_no_interval() -> None:
    labels = np.array([0, 1, 0, 1])
    correct = np.eye(2, dtype=np.float32)[labels]
    samples = resample(labels, correct, groups(np.array([0, 0, 1, 1])), seed=1)
    assert samples is not None
    assert [float(bound) for bound in interval(samples.weighted_f1)] == [1, 1]
    assert resample(labels, correct, groups(np.zeros(4, np.int64)), seed=1) is None


def test_samples_drawn_in_blocks_equal_those_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks limit the memory for a corpus of any size, and do not change the metrics."""
    (labels, probabilities), rows = predictions_of(0, 60), groups(np.arange(60))
    at_once = resample(labels, probabilities, rows, seed=1, resamples=50)
    monkeypatch.setattr(training.evaluation.bootstrap, "_NUMBERS_PER_BLOCK", 420)
    in_blocks = resample(labels, probabilities, rows, seed=1, resamples=50)
    assert at_once is not None
    assert in_blocks is not None
    np.testing.assert_array_equal(in_blocks.confusion, at_once.confusion)
    np.testing.assert_allclose(in_blocks.reliability, at_once.reliability)
