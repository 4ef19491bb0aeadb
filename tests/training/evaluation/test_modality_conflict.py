from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.modality_conflict import Side, contradiction, pairs
from training.images.examples import Examples


def side(labels: list[int], answers: list[int]) -> Side:
    return Side(np.arange(len(labels)), np.array(labels), np.array(answers))


def test_pairs_differ_in_class_and_answer_and_all_classes_take_part() -> None:
    # Many pairs of the classes 0 and 1, few of 2.
    random = np.random.default_rng(0)
    labels = [*random.integers(0, 2, 300).tolist(), 2, 2]
    sound = side(labels, random.integers(0, 3, 302).tolist())
    words = side(labels, random.integers(0, 3, 302).tolist())
    heard, read = pairs(sound, words, seed=1, most=120)
    assert len(heard) == len(read) == 120
    assert (sound.labels[heard] != words.labels[read]).all()
    assert (sound.answers[heard] != words.answers[read]).all()
    kinds, counts = np.unique(np.stack([sound.labels[heard], words.labels[read]]), axis=1, return_counts=True)
    assert kinds.shape[1] == 6
    assert counts.tolist() == [20] * 6
    assert len(np.unique(np.stack([heard, read]), axis=1).T) == 120  # none twice
    again = pairs(sound, words, seed=1, most=120)
    np.testing.assert_array_equal(again, (heard, read))
    assert not np.array_equal(pairs(sound, words, seed=2, most=120), (heard, read))


@pytest.mark.parametrize("trust", ["words", "sound", "neither"])
def test_counts_whom_the_answer_follows(trust: str) -> None:
    """Picture and word tell the class; the model believes one of the two."""
    classes = np.arange(3)
    examples = Examples(np.zeros((4, 1), np.float32), 1 + classes, 1 + classes[:, None].astype(np.int32), classes)

    def answer(rows: Examples) -> NDArray[np.float32]:
        assert (rows.index != rows.ids[:, 0]).all()
        sound, words = rows.index - 1, rows.ids[:, 0] - 1
        said: dict[str, NDArray[np.integer[Any]]] = {"words": words, "sound": sound, "neither": 3 - sound - words}
        return np.asarray(np.eye(3)[said[trust]], np.float32)

    each = Side(classes, classes, classes)
    found = contradiction(examples, each, each, answer, seed=1)
    assert found is not None
    assert found.pairs == 6
    assert found.shares == {name: float(name == trust) for name in ("words", "sound", "neither")}


def test_nothing_contradicts_itself() -> None:
    examples = Examples(
        np.zeros((2, 1), np.float32), np.ones(2, np.int64), np.ones((2, 1), np.int32), np.zeros(2, np.int64)
    )
    agreed = side([0, 0], [0, 0])

    def answer(_rows: Examples) -> NDArray[np.float32]:
        raise AssertionError

    assert contradiction(examples, agreed, agreed, answer, seed=1) is None
    assert contradiction(examples, agreed, side([1, 1], [0, 0]), answer, seed=1) is None
