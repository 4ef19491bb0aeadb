import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from device.front_end.parameters import FrontEnd
from training.default_model.distillation import Lessons
from training.default_model.texts import TextCorpora, Texts
from training.default_model.words_training import Reader, WordsSettings, evidence_of, main_directions, train_words

VOCABULARY = ("so", "good", "bad", "table", "it", "was")
SETTINGS = WordsSettings(width=4, comment_epochs=1, epochs=12, comment_batch=8, batch=8, rate=2e-2, errors=0.05)
FRONT_END = FrontEnd(sequence_length=8, num_words=7)


def texts(rows: int, seed: int) -> Texts:
    """The second word tells the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, rows)
    words = [("so", ("bad", "table", "good")[label], *random.choice(["it", "was"], 2)) for label in labels]
    return Texts(tuple(words), np.eye(3, dtype=np.float32)[labels], random.integers(0, 9, rows))


CORPORA = TextCorpora(train=texts(80, 0), held_out=texts(40, 1), comments=texts(24, 2))
VECTORS = np.random.default_rng(0).standard_normal((6, 12)).astype(np.float32)
AGREEING = Lessons(VECTORS, CORPORA.train.targets, np.arange(4), CORPORA.comments.targets[:4])


def trained(lessons: Lessons = AGREEING, settings: WordsSettings = SETTINGS, seed: int = 1) -> Any:
    return train_words(CORPORA, VOCABULARY, lessons, FRONT_END, settings, seed)


def accuracy(model: Any, labels: NDArray[np.int64] = CORPORA.held_out.labels, errors: float = 0.0) -> float:
    found = evidence_of(model, Reader(VOCABULARY, FRONT_END, VOCABULARY), CORPORA.held_out, errors)
    return float((found.logits.argmax(axis=1) == labels).mean())


def test_words_are_learnt_and_errors_cost() -> None:
    model = trained()
    assert accuracy(model) > 0.9
    assert accuracy(model, errors=0.6) < accuracy(model) - 0.1


def test_the_teacher_is_believed_as_far_as_is_said() -> None:
    turned = np.roll(CORPORA.train.targets, 1, axis=1)
    contrary = dataclasses.replace(AGREEING, train=turned, comments=np.zeros(0, np.int64), comment_answers=turned[:0])
    believed = trained(contrary, dataclasses.replace(SETTINGS, taught=1.0))
    assert accuracy(believed, (CORPORA.held_out.labels + 1) % 3) > 0.9
    assert accuracy(trained(contrary, dataclasses.replace(SETTINGS, taught=0.0))) > 0.9


def test_the_seed_decides() -> None:
    short = dataclasses.replace(SETTINGS, epochs=1)
    first, again, other = (trained(settings=short, seed=seed).get_weights() for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert max(np.abs(one - two).max() for one, two in zip(first, other, strict=True)) > 1e-3


def test_evidence_is_by_dialogue_and_the_errors_by_seed() -> None:
    reader = Reader(VOCABULARY, FRONT_END, VOCABULARY)
    one, again, other = (reader.ids(CORPORA.held_out.words, 0.3, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert (one != reader.ids(CORPORA.held_out.words)).any()
    found = evidence_of(trained(settings=dataclasses.replace(SETTINGS, epochs=1)), reader, CORPORA.held_out)
    np.testing.assert_array_equal(found.groups, CORPORA.held_out.dialogues)
    np.testing.assert_array_equal(found.labels, CORPORA.held_out.labels)


def test_main_directions_keep_what_differs_most() -> None:
    random = np.random.default_rng(0)
    plane = random.standard_normal((200, 2)) @ random.standard_normal((2, 10)) * 5
    vectors = (plane + 0.01 * random.standard_normal((200, 10)) + 3).astype(np.float32)
    found = main_directions(vectors, 2, 0.3)
    assert found.shape == (200, 2)
    assert found.std() == pytest.approx(0.3, rel=1e-3)
    # Distances between words are kept, but for the scale.
    pairs = random.integers(0, 200, (2, 100))
    before, after = (np.linalg.norm(each[pairs[0]] - each[pairs[1]], axis=1) for each in (vectors, found))
    assert np.corrcoef(before, after)[0, 1] > 0.999
