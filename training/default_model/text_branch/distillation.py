"""Distillation: what the text branch learns from the sentence model, word vectors and soft targets.

Both take minutes to compute, so they are cached between runs. The probabilities for MELD's train texts always come from
a teacher that was fine-tuned on other dialogues. Classes that no comment has get vectors only: a teacher that was
fine-tuned on MELD's texts alone does not improve the branch, and overlooks rare classes.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from training.default_model.fusion import softmax
from training.default_model.text_branch.corpora import TextCorpora, Texts
from training.default_model.text_branch.sentence_model import SentenceModel
from training.images.array_cache import read_arrays, write_arrays


@dataclass(frozen=True)
class TeacherSettings:
    """How the sentence model is fine-tuned."""

    folds: int = 3
    """Number of teachers, each fine-tuned on all dialogues except those of its own fold."""
    comments: int = 20_000
    """Number of labelled comments that every teacher is trained on first."""
    comment_epochs: int = 1
    """Passes over the comments."""
    comment_learning_rate: float = 1e-4
    """Largest learning rate on the comments."""
    epochs: int = 2
    """Passes over MELD's texts."""
    learning_rate: float = 6e-5
    """Largest learning rate on MELD's texts."""
    longest_comment: int = 16
    """Words of the longest comment used: longer comments do not resemble an utterance."""
    seed: int = 1
    """Random seed of the fine-tuning."""


@dataclass(frozen=True)
class TeacherOutput:
    """What the text branch learns from the sentence model."""

    vectors: NDArray[np.float32]
    """Vector of each word, shape (vocabulary, width)."""
    train: NDArray[np.float32]
    """Probabilities for MELD's train texts, shape (texts, labels), by a teacher not trained on their dialogue; the
    texts' own targets if there is no teacher."""
    comment_rows: NDArray[np.int64]
    """Numbers of the comments that the teachers predicted, shape (n,); none if there is no teacher."""
    comments: NDArray[np.float32]
    """Mean of the teachers' probabilities for these comments, shape (n, labels)."""


def distil(
    corpora: TextCorpora,
    vocabulary: Sequence[str],
    cache: Path,
    settings: TeacherSettings,
    console: Console,
) -> TeacherOutput:
    """Run the sentence model, or read what an earlier run left in `cache`.

    Args:
        corpora: the texts.
        vocabulary: the words.
        cache: folder; each step has a file of its own there, named by a digest of its inputs.
        settings: how the teachers are fine-tuned.
        console: where progress is shown.

    Raises:
        TrainingError: a package is not installed, or `cache` cannot be written to.
    """
    labels = corpora.train.targets.shape[1]
    rows = suitable_comments(corpora.comments, settings.longest_comment)
    comments = [" ".join(corpora.comments.words[row]) for row in rows]
    utterances = [" ".join(words) for words in corpora.train.words]
    key = _digest([asdict(settings), comments, utterances, corpora.train.targets.tolist()])
    with Progress(console=console) as progress:

        def step(name: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            return lambda done: progress.advance(task, done)

        vectors = _cached(
            cache / f"vectors-{_digest(list(vocabulary))}.npz",
            lambda: {"vectors": SentenceModel(labels, 0).vectors(vocabulary, step("word vectors", len(vocabulary)))},
        )["vectors"].astype(np.float32)
        if not corpora.comments.targets.any():
            return TeacherOutput(vectors, corpora.train.targets, rows[:0], np.zeros((0, labels), np.float32))
        labelled = np.flatnonzero(corpora.comments.targets[rows].any(axis=1))[: settings.comments]
        trained_on_comments: dict[str, object] = {}

        def predictions(fold: int) -> dict[str, NDArray[np.generic]]:
            teacher = SentenceModel(labels, settings.seed)
            if not trained_on_comments:
                teacher.fit(
                    [comments[place] for place in labelled],
                    corpora.comments.targets[rows[labelled]],
                    epochs=settings.comment_epochs,
                    learning_rate=settings.comment_learning_rate,
                    seed=settings.seed,
                    progress=step("teacher, on comments", len(labelled) * settings.comment_epochs),
                )
                trained_on_comments.update(teacher.state())
            teacher.restore(trained_on_comments)
            others = np.flatnonzero(folds_of(corpora.train, settings.folds) != fold)
            teacher.fit(
                [utterances[place] for place in others],
                corpora.train.targets[others],
                epochs=settings.epochs,
                learning_rate=settings.learning_rate,
                seed=settings.seed + fold,
                progress=step(f"teacher {fold + 1}", len(others) * settings.epochs),
            )
            advance = step(f"predictions of teacher {fold + 1}", len(utterances) + len(comments))
            return {
                "train": softmax(teacher.logits(utterances, advance)),
                "comments": softmax(teacher.logits(comments, advance)),
            }

        teachers = [
            _cached(cache / f"teacher{fold + 1}-{key}.npz", partial(predictions, fold))
            for fold in range(settings.folds)
        ]
    folds = folds_of(corpora.train, settings.folds)
    out_of_fold = np.stack([teacher["train"] for teacher in teachers])[folds, np.arange(len(utterances))]
    return TeacherOutput(
        vectors,
        out_of_fold.astype(np.float32),
        rows,
        np.stack([teacher["comments"] for teacher in teachers]).astype(np.float32).mean(axis=0),
    )


def folds_of(texts: Texts, folds: int) -> NDArray[np.int64]:
    """Return the fold of each text, shape (texts,); a dialogue is never divided."""
    _, place = np.unique(texts.dialogues, return_inverse=True)
    return np.asarray(place % folds, np.int64)


def suitable_comments(comments: Texts, longest: int) -> NDArray[np.int64]:
    """Return the numbers of the comments of 2 to `longest` words, shape (n,)."""
    return np.flatnonzero([2 <= len(words) <= longest for words in comments.words])


def _cached(path: Path, compute: Callable[[], dict[str, NDArray[np.generic]]]) -> dict[str, NDArray[np.generic]]:
    """Read a file; compute and write it if it is missing or incomplete."""
    arrays = read_arrays(path)
    if arrays is None:
        arrays = compute()
        write_arrays(path, **arrays)
    return arrays


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
