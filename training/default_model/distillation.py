"""What the words branch is taught: a vector for each word, and softer answers than the corpora's labels.

Both come from the sentence model and take minutes, so they are kept from run to run. The answers to MELD's train texts
are always those of a teacher who was fine-tuned on other dialogues.
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
from training.default_model.teacher import SentenceModel
from training.default_model.texts import LABELS, TextCorpora, Texts
from training.images.array_cache import read_arrays, write_arrays


@dataclass(frozen=True)
class TeacherSettings:
    """How the sentence model is fine-tuned."""

    folds: int = 3
    """Teachers, each fine-tuned on all dialogues but its own share."""
    comments: int = 20_000
    """Labelled comments that every teacher has read first."""
    comment_epochs: int = 1
    comment_rate: float = 1e-4
    epochs: int = 2
    """Passes over MELD's texts."""
    rate: float = 6e-5
    longest_comment: int = 16
    """Words; longer comments are not like what one says in one breath."""
    seed: int = 1


@dataclass(frozen=True)
class Lessons:
    """What was learnt from the sentence model."""

    vectors: NDArray[np.float32]
    """Shape (vocabulary, width): of each word."""
    train: NDArray[np.float32]
    """Shape (texts, labels): probabilities for MELD's train texts, by a teacher that never saw their dialogue."""
    comments: NDArray[np.int64]
    """Shape (n,): numbers of the comments that the teachers answered to."""
    comment_answers: NDArray[np.float32]
    """Shape (n, labels): the mean of the teachers' probabilities for these."""


def lessons(
    corpora: TextCorpora,
    vocabulary: Sequence[str],
    cache: Path,
    settings: TeacherSettings,
    console: Console,
) -> Lessons:
    """Ask the sentence model, or take what an earlier run kept in `cache`.

    Args:
        corpora: the texts.
        vocabulary: the words.
        cache: folder; each step is kept in a file of its own, named by what it was computed from.
        settings: of the teachers.
        console: shows progress.

    Raises:
        TrainingError: something is not installed, or `cache` cannot be written to.
    """
    chosen = suitable_comments(corpora.comments, settings.longest_comment)
    told = [" ".join(corpora.comments.words[place]) for place in chosen]
    said = [" ".join(words) for words in corpora.train.words]
    made_from = _digest([asdict(settings), told, said, corpora.train.targets.tolist()])
    with Progress(console=console) as progress:

        def step(name: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            return lambda done: progress.advance(task, done)

        vectors = _kept(
            cache / f"vectors-{_digest(list(vocabulary))}.npz",
            lambda: {
                "vectors": SentenceModel(len(LABELS), 0).vectors(vocabulary, step("word vectors", len(vocabulary)))
            },
        )["vectors"]
        read_first = np.flatnonzero(corpora.comments.targets[chosen].any(axis=1))[: settings.comments]
        state: dict[str, object] = {}

        def taught(fold: int) -> dict[str, NDArray[np.generic]]:
            teacher = SentenceModel(len(LABELS), settings.seed)
            if not state:
                teacher.fit(
                    [told[place] for place in read_first],
                    corpora.comments.targets[chosen[read_first]],
                    epochs=settings.comment_epochs,
                    learning_rate=settings.comment_rate,
                    seed=settings.seed,
                    progress=step("teacher, on comments", len(read_first) * settings.comment_epochs),
                )
                state.update(teacher.state())
            teacher.restore(state)
            others = np.flatnonzero(folds_of(corpora.train, settings.folds) != fold)
            teacher.fit(
                [said[place] for place in others],
                corpora.train.targets[others],
                epochs=settings.epochs,
                learning_rate=settings.rate,
                seed=settings.seed + fold,
                progress=step(f"teacher {fold + 1}", len(others) * settings.epochs),
            )
            answers = step(f"answers of teacher {fold + 1}", len(said) + len(told))
            return {"train": softmax(teacher.logits(said, answers)), "comments": softmax(teacher.logits(told, answers))}

        answers = [
            _kept(cache / f"teacher{fold + 1}-{made_from}.npz", partial(taught, fold)) for fold in range(settings.folds)
        ]
    folds = folds_of(corpora.train, settings.folds)
    own = np.stack([answer["train"] for answer in answers])[folds, np.arange(len(said))]
    return Lessons(
        vectors.astype(np.float32),
        own.astype(np.float32),
        chosen,
        np.stack([answer["comments"] for answer in answers]).astype(np.float32).mean(axis=0),
    )


def folds_of(texts: Texts, folds: int) -> NDArray[np.int64]:
    """Shape (texts,): which share each text is in; a dialogue is never divided."""
    _, place = np.unique(texts.dialogues, return_inverse=True)
    return np.asarray(place % folds, np.int64)


def suitable_comments(comments: Texts, longest: int) -> NDArray[np.int64]:
    """Numbers of the comments of 2 to `longest` words, shape (n,)."""
    return np.flatnonzero([2 <= len(words) <= longest for words in comments.words])


def _kept(path: Path, compute: Callable[[], dict[str, NDArray[np.generic]]]) -> dict[str, NDArray[np.generic]]:
    """What the file holds; computed and written if it is not there whole."""
    kept = read_arrays(path)
    if kept is None:
        kept = compute()
        write_arrays(path, **kept)
    return kept


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
