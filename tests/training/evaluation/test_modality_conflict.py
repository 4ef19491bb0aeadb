from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.modality_conflict import SingleModality, conflicting_pairs, measure_conflict
from training.images.examples import Examples


def single(labels: list[int], predictions: list[int]) -> SingleModality:
    return SingleModality(np.arange(len(labels)), np.array(labels), np.array(predictions))


def test_pairs_differ_in_class_and_prediction_and_all_classes_take_part() -> None:
    # Many pairs of the classes 0 and 1, few of 2.
    random = np.random.default_rng(0)
    labels = [*random.integers(0, 2, 300).tolist(), 2, 2]
    audio = single(labels, random.integers(0, 3, 302).tolist())
    text = single(labels, random.integers(0, 3, 302).tolist())
    of_audio, of_text = conflicting_pairs(audio, text, seed=1, limit=120)
    assert len(of_audio) == len(of_text) == 120
    assert (audio.labels[of_audio] != text.labels[of_text]).all()
    assert (audio.predictions[of_audio] != text.predictions[of_text]).all()
    kinds, counts = np.unique(np.stack([audio.labels[of_audio], text.labels[of_text]]), axis=1, return_counts=True)
    assert kinds.shape[1] == 6
    assert counts.tolist() == [20] * 6
    assert len(np.unique(np.stack([of_audio, of_text]), axis=1).T) == 120  # no pair occurs twice
    again = conflicting_pairs(audio, text, seed=1, limit=120)
    np.testing.assert_array_equal(again, (of_audio, of_text))
    assert not np.array_equal(conflicting_pairs(audio, text, seed=2, limit=120), (of_audio, of_text))


@pytest.mark.parametrize("winner", ["text", "audio", "neither"])
def test_counts_which_modality_wins(winner: str) -> None:
    """Image and word each encode a class; the model follows one of the two."""
    classes = np.arange(3)
    examples = Examples(np.zeros((4, 1), np.float32), 1 + classes, 1 + classes[:, None].astype(np.int32), classes)

    def predict(rows: Examples) -> NDArray[np.float32]:
        assert (rows.index != rows.ids[:, 0]).all()
        audio, text = rows.index - 1, rows.ids[:, 0] - 1
        winning: dict[str, NDArray[np.integer[Any]]] = {"text": text, "audio": audio, "neither": 3 - audio - text}
        return np.asarray(np.eye(3)[winning[winner]], np.float32)

    each = SingleModality(classes, classes, classes)
    found = measure_conflict(examples, each, each, predict, seed=1)
    assert found is not None
    assert found.pairs == 6
    assert found.shares == {name: float(name == winner) for name in ("text", "audio", "neither")}


def test_no_pair_contradicts_itself() -> None:
    examples = Examples(
        np.zeros((2, 1), np.float32), np.ones(2, np.int64), np.ones((2, 1), np.int32), np.zeros(2, np.int64)
    )
    agreed = single([0, 0], [0, 0])

    def predict(_rows: Examples) -> NDArray[np.float32]:
        raise AssertionError

    assert measure_conflict(examples, agreed, agreed, predict, seed=1) is None
    assert measure_conflict(examples, agreed, single([1, 1], [0, 0]), predict, seed=1) is None


@pytest.mark.parametrize("rows", [1, 12, 200])
def test_pairs_are_the_first_of_each_combination_of_classes_in_a_drawn_order(rows: int) -> None:
    random = np.random.default_rng(rows)
    audio, text = (
        SingleModality(np.arange(rows), random.integers(0, 4, rows), random.integers(0, 4, rows)) for _ in range(2)
    )
    random = np.random.default_rng(7)
    audio_drawn, text_drawn = random.permutation(rows), random.permutation(rows)
    pairs = [
        (one, other)
        for one in audio_drawn
        for other in text_drawn
        if audio.labels[one] != text.labels[other] and audio.predictions[one] != text.predictions[other]
    ]
    turns: Counter[tuple[int, int]] = Counter()
    ranked: list[tuple[int, int, int, int]] = []
    for place in random.permutation(len(pairs)):
        one, other = pairs[place]
        classes = audio.labels[one], text.labels[other]
        ranked.append((turns[classes], len(ranked), one, other))
        turns[classes] += 1
    expected = [(one, other) for _, _, one, other in sorted(ranked)[:50]]
    found = conflicting_pairs(audio, text, seed=7, limit=50)
    assert list(zip(*found, strict=True)) == expected
