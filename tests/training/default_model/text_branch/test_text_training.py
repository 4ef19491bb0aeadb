import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from device.front_end.parameters import FrontEnd
from training.default_model.text_branch.corpora import TextCorpora, Texts
from training.default_model.text_branch.distillation import TeacherOutput
from training.default_model.text_branch.text_training import (
    TextEncoder,
    TextTrainingSettings,
    number_of_texts,
    predict_texts,
    principal_components,
    train_text_branch,
)

pytestmark = pytest.mark.slow

VOCABULARY = ("so", "good", "bad", "table", "it", "was")
SETTINGS = TextTrainingSettings(
    vector_width=4,
    comment_epochs=1,
    epochs=6,
    comment_batch_size=8,
    batch_size=8,
    learning_rate=2e-2,
    word_errors=0.05,
)
ONE_EPOCH = dataclasses.replace(SETTINGS, epochs=1)
FRONT_END = FrontEnd(sequence_length=8, num_words=7)


def texts(rows: int, seed: int) -> Texts:
    """Texts whose second word determines the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, rows)
    words = [("so", ("bad", "table", "good")[label], *random.choice(["it", "was"], 2)) for label in labels]
    return Texts(tuple(words), np.eye(3, dtype=np.float32)[labels], random.integers(0, 9, rows))


CORPORA = TextCorpora(train=texts(80, 0), held_out=texts(40, 1), comments=texts(24, 2))
VECTORS = np.random.default_rng(0).standard_normal((6, 12)).astype(np.float32)
AGREEING = TeacherOutput(VECTORS, CORPORA.train.targets, np.arange(8), CORPORA.comments.targets[:8])


def trained(teacher: TeacherOutput = AGREEING, settings: TextTrainingSettings = SETTINGS, seed: int = 1) -> Any:
    return train_text_branch(CORPORA, VOCABULARY, teacher, FRONT_END, settings, seed)


def accuracy(model: Any, labels: NDArray[np.int64] = CORPORA.held_out.labels, errors: float = 0.0) -> float:
    found = predict_texts(model, TextEncoder(VOCABULARY, FRONT_END, VOCABULARY), CORPORA.held_out, errors)
    return float((found.logits.argmax(axis=1) == labels).mean())


def test_learns_the_words_and_word_errors_cost_accuracy() -> None:
    model = trained()
    assert accuracy(model) > 0.9
    assert accuracy(model, errors=0.6) < accuracy(model) - 0.1


def test_the_teacher_counts_as_much_as_its_share() -> None:
    rotated = np.roll(CORPORA.train.targets, 1, axis=1)
    contrary = dataclasses.replace(AGREEING, train=rotated, comment_rows=np.zeros(0, np.int64), comments=rotated[:0])
    following = trained(contrary, dataclasses.replace(SETTINGS, teacher_share=1.0))
    assert accuracy(following, (CORPORA.held_out.labels + 1) % 3) > 0.9
    assert accuracy(trained(contrary, dataclasses.replace(SETTINGS, teacher_share=0.0))) > 0.9


def test_without_labelled_comments_the_first_stage_is_left_out() -> None:
    unlabelled = dataclasses.replace(CORPORA.comments, targets=np.zeros_like(CORPORA.comments.targets))
    corpora = dataclasses.replace(CORPORA, comments=unlabelled)
    reported: list[int] = []
    model = train_text_branch(corpora, VOCABULARY, AGREEING, FRONT_END, SETTINGS, 1, reported.append)
    assert accuracy(model) > 0.9
    assert sum(reported) == number_of_texts(corpora, AGREEING, SETTINGS) == 6 * (80 + 8)


@pytest.fixture(scope="module")
def briefly_trained() -> Any:
    """The branch after one epoch of each stage, with seed 1."""
    return trained(settings=ONE_EPOCH)


def test_the_seed_determines_the_weights(briefly_trained: Any) -> None:
    first = briefly_trained.get_weights()
    again, other = (trained(settings=ONE_EPOCH, seed=seed).get_weights() for seed in (1, 2))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert max(np.abs(one - two).max() for one, two in zip(first, other, strict=True)) > 1e-3


def test_predictions_are_grouped_by_dialogue_and_the_seed_determines_the_errors(briefly_trained: Any) -> None:
    encoder = TextEncoder(VOCABULARY, FRONT_END, VOCABULARY)
    one, again, other = (encoder.ids(CORPORA.held_out.words, 0.3, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert (one != encoder.ids(CORPORA.held_out.words)).any()
    found = predict_texts(briefly_trained, encoder, CORPORA.held_out)
    np.testing.assert_array_equal(found.groups, CORPORA.held_out.dialogues)
    np.testing.assert_array_equal(found.labels, CORPORA.held_out.labels)


def test_principal_components_preserve_distances() -> None:
    random = np.random.default_rng(0)
    plane = random.standard_normal((200, 2)) @ random.standard_normal((2, 10)) * 5
    vectors = (plane + 0.01 * random.standard_normal((200, 10)) + 3).astype(np.float32)
    found = principal_components(vectors, 2, 0.3)
    assert found.shape == (200, 2)
    assert found.std() == pytest.approx(0.3, rel=1e-3)
    # Distances between words are preserved up to the scale.
    pairs = random.integers(0, 200, (2, 100))
    before, after = (np.linalg.norm(each[pairs[0]] - each[pairs[1]], axis=1) for each in (vectors, found))
    assert np.corrcoef(before, after)[0, 1] > 0.999
