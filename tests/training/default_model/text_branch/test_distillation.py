from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from training.default_model.text_branch import distillation
from training.default_model.text_branch.corpora import TextCorpora, Texts
from training.default_model.text_branch.distillation import TeacherOutput, TeacherSettings, distil, folds_of

SETTINGS = TeacherSettings(folds=2, comments=3, longest_comment=3)


def texts(sentences: Sequence[str], labels: Sequence[int], dialogues: Sequence[int]) -> Texts:
    targets = np.concatenate([np.eye(3, dtype=np.float32), np.zeros((1, 3), np.float32)])[list(labels)]
    return Texts(tuple(tuple(each.split()) for each in sentences), targets, np.array(dialogues, np.int64))


CORPORA = TextCorpora(
    train=texts(["one two", "three", "four four", "five"], [0, 1, 2, 0], [5, 5, 6, 9]),
    held_out=texts(["six"], [1], [1]),
    comments=texts(["a b", "alone", "far too long a comment", "c d", "hard to decide"], [0, 1, 2, 2, -1], range(5)),
)


class FakeSentenceModel:
    """Replaces the sentence model: remembers the texts that each teacher was trained on, and predicts from these."""

    trained_on: list[list[str]]
    instances: int

    def __init__(self, labels: int, seed: int) -> None:
        type(self).instances += 1
        self._texts: list[str] = []

    def state(self) -> dict[str, Any]:
        return {"texts": list(self._texts)}

    def restore(self, state: dict[str, Any]) -> None:
        self._texts = list(state["texts"])

    def fit(
        self, texts: Sequence[str], targets: NDArray[np.float32], *, progress: Callable[[int], None], **_: Any
    ) -> None:
        assert targets.sum(axis=1) == pytest.approx(np.ones(len(texts)))
        self._texts += texts
        if "a b" not in texts:
            type(self).trained_on.append(list(self._texts))
        progress(len(texts))

    def vectors(self, words: Sequence[str], progress: Callable[[int], None]) -> NDArray[np.float32]:
        return np.arange(len(words) * 4, dtype=np.float32).reshape(-1, 4)

    def logits(self, texts: Sequence[str], progress: Callable[[int], None]) -> NDArray[np.float32]:
        """Return class 0 for texts that it was trained on, class 2 for others."""
        return np.array([[9, 0, 0] if text in self._texts else [0, 0, 9] for text in texts], np.float32)


@pytest.fixture(autouse=True)
def fake_sentence_model(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeSentenceModel.trained_on, FakeSentenceModel.instances = [], 0
    monkeypatch.setattr(distillation, "SentenceModel", FakeSentenceModel)


def run(cache: Path, settings: TeacherSettings = SETTINGS, corpora: TextCorpora = CORPORA) -> TeacherOutput:
    return distil(corpora, ("one", "two"), cache, settings, Console(quiet=True))


def test_each_text_is_predicted_by_a_teacher_not_trained_on_its_dialogue(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert (found.train.argmax(axis=1) == 2).all()
    np.testing.assert_allclose(found.train.sum(axis=1), 1, atol=1e-5)
    for texts_of_teacher in FakeSentenceModel.trained_on:
        # First the comments that have a label and a suitable length, then the other dialogues.
        assert texts_of_teacher[:2] == ["a b", "c d"]
    assert sorted(len(each) - 2 for each in FakeSentenceModel.trained_on) == [1, 3]


def test_comments_of_suitable_length_are_predicted_even_without_a_label(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found.comment_rows.tolist() == [0, 3, 4]
    assert found.comments.argmax(axis=1).tolist() == [0, 0, 2]
    assert found.vectors.shape == (2, 4)


def test_without_labelled_comments_there_is_no_teacher(tmp_path: Path) -> None:
    unlabelled = texts(["a b", "c d"], [-1, -1], range(2))
    found = run(tmp_path, corpora=replace(CORPORA, comments=unlabelled))
    assert FakeSentenceModel.trained_on == []
    assert found.vectors.shape == (2, 4)
    np.testing.assert_array_equal(found.train, CORPORA.train.targets)
    assert found.comment_rows.shape == (0,)
    assert found.comments.shape == (0, 3)


def test_a_second_run_reads_the_cache_and_gives_the_same(tmp_path: Path) -> None:
    first = run(tmp_path)
    instances = FakeSentenceModel.instances
    second = run(tmp_path)
    assert FakeSentenceModel.instances == instances
    for name in ("vectors", "train", "comment_rows", "comments"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_lost_teacher_is_trained_again_and_other_settings_train_all(tmp_path: Path) -> None:
    run(tmp_path)
    (lost,) = tmp_path.glob("teacher2-*.npz")
    lost.write_bytes(lost.read_bytes()[:100])
    FakeSentenceModel.trained_on.clear()
    run(tmp_path)
    assert len(FakeSentenceModel.trained_on) == 1
    run(tmp_path, TeacherSettings(folds=2, comments=3, longest_comment=3, learning_rate=1e-5))
    assert len(FakeSentenceModel.trained_on) == 3


def test_folds_never_divide_a_dialogue() -> None:
    train = texts(["a"] * 50, [0] * 50, np.random.default_rng(0).integers(0, 12, 50).tolist())
    folds = folds_of(train, 3)
    assert set(folds) == {0, 1, 2}
    assert all(len(set(folds[train.dialogues == each])) == 1 for each in set(train.dialogues))
