"""From a model and a table of clips to figures: reads, asks, counts. What is shown of it is made elsewhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.errors import TrainingError
from training.answering import Model, open_model
from training.bootstrap import Groups, resample
from training.clip_pictures import ClipPictures, clip_pictures
from training.clips import VALIDATION, Clip
from training.corpus import Corpus, open_corpus
from training.evaluation import BOTH, SOUND_ALONE, WORDS_ALONE, asked, ways
from training.examples import SILENCE, Examples, examples_of
from training.scores import Scores

WAYS = (BOTH, WORDS_ALONE, SOUND_ALONE)


@dataclass(frozen=True)
class EvaluationSettings:
    """What to ask."""

    split: str = VALIDATION
    """The rows to ask: `train`, `validation` or `test`."""
    asked: tuple[str, ...] = WAYS
    """The ways to ask in, some of `WAYS`; those that no row allows are left out if another is left."""
    audio_root: Path | None = None
    """Folder that relative audio paths start from; None is the table's own."""
    runtime: str = "auto"
    """Interpreter of a `.tflite`, see `device.understanding.interpreter`."""
    seed: int = 1
    """Of the bootstrap and of the rows shown."""


@dataclass(frozen=True)
class Answers:
    """What was answered when asked in one way."""

    rows: NDArray[np.int64]
    """Shape (n,): which of the evaluation's clips were asked."""
    probabilities: NDArray[np.float32]
    """Shape (n, labels)."""
    scores: Scores
    resampled: Scores | None
    """Samples of the scores, with a leading axis; None where there is one group only."""
    groups: Groups
    """Of these rows."""


@dataclass(frozen=True)
class Evaluation:
    """How well a model answers."""

    model: Path
    table: Path
    settings: EvaluationSettings
    opened: Model
    data: ClipPictures
    """The clips, without those whose recording cannot be read, and their pictures."""
    left_out: int
    """Clips that were not asked because their recording cannot be read."""
    examples: Examples
    answers: Mapping[str, Answers]
    """By way of asking."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the model."""
        return self.opened.companions.labels


def evaluate_model(model: Path, source: Path | Corpus, settings: EvaluationSettings, console: Console) -> Evaluation:
    """Ask a model the clips of a corpus.

    Args:
        model: a `Model.h5` or `Model.tflite` with its companions.
        source: a table or a folder, see `open_corpus`, or a corpus that is already open.
        settings: what to ask.
        console: where progress is shown.

    Raises:
        TrainingError: table, recordings or model cannot be used, or do not belong together.
        BundleError, ConversionError, InterpreterError: see `open_model`.
    """
    corpus = source if isinstance(source, Corpus) else open_corpus(source, settings.audio_root)
    corpus.tell(console)
    table = Path(corpus.name)
    clips = _chosen(corpus.clips, table, settings)
    opened = open_model(model, runtime=settings.runtime)
    _check_labels(clips, opened.companions.labels, table, model)
    data = clip_pictures(clips, opened.companions.front_end, console)
    examples = examples_of(data, opened.companions, data.pictures)
    chosen = {way: rows for way, rows in ways(examples).items() if way in settings.asked}
    if not chosen:
        raise TrainingError(
            f"{table}: no clip of split {settings.split!r} can be asked by {' or '.join(settings.asked)}; "
            "none has a recording, or a word that the model knows"
        )
    answers = _ask(opened, examples, chosen, Groups.of(data.clips), settings.seed, console)
    return Evaluation(model, table, settings, opened, data, len(clips) - len(data.clips), examples, answers)


def _ask(
    model: Model,
    examples: Examples,
    chosen: Mapping[str, NDArray[np.int64]],
    groups: Groups,
    seed: int,
    console: Console,
) -> dict[str, Answers]:
    questions = {way: asked(examples, way, rows) for way, rows in chosen.items()}
    found = {}
    with Progress(console=console) as progress:
        for way, question in questions.items():
            task = progress.add_task(f"asking, {way}", total=model.steps(question))
            probabilities = model.probabilities(question, partial(progress.advance, task))
            own = groups.take(chosen[way])
            found[way] = Answers(
                chosen[way],
                probabilities,
                Scores.of(question.labels, probabilities),
                resample(question.labels, probabilities, own, seed=seed),
                own,
            )
    return found


def _chosen(clips: Sequence[Clip], table: Path, settings: EvaluationSettings) -> list[Clip]:
    """The clips of the split, without the sound that nobody will ask for: computing its pictures takes longest."""
    chosen = [clip for clip in clips if clip.split == settings.split]
    if not chosen:
        found = ", ".join(f"{count} {split}" for split, count in Counter(clip.split for clip in clips).items())
        raise TrainingError(
            f"{table}: no clip has split {settings.split!r} (there are {found}); choose one of these with --split"
        )
    if settings.asked == (WORDS_ALONE,):
        return [replace(clip, audio=None) for clip in chosen]
    return chosen


def _check_labels(clips: Sequence[Clip], labels: Sequence[str], table: Path, model: Path) -> None:
    foreign = Counter(clip.label for clip in clips if clip.label not in labels)
    if foreign:
        names = ", ".join(f"{label!r} ({count} row{'s' if count > 1 else ''})" for label, count in foreign.items())
        raise TrainingError(
            f"{table}: the model {model} does not know the label {names}; it knows {', '.join(labels)}. "
            "Rename the labels of the table, or evaluate a model that was trained with them"
        )


def examples_to_show(evaluation: Evaluation, most: int = 12) -> tuple[str, list[int]]:
    """Some answers about different recordings, half of them right and half wrong as far as there are so many.

    Returns:
        The way of asking, and places in its `Answers`, the right ones first; none where there was no sound to ask by.
    """
    way = next((way for way in (BOTH, SOUND_ALONE) if way in evaluation.answers), "")
    if not way:
        return "", []
    answers, examples = evaluation.answers[way], evaluation.examples
    order = np.random.default_rng(evaluation.settings.seed).permutation(len(answers.rows))
    seen = {SILENCE}
    halves: tuple[list[int], list[int]] = ([], [])
    for place in order.tolist():
        row = answers.rows[place]
        if examples.index[row] not in seen:
            seen.add(int(examples.index[row]))
            right = answers.probabilities[place].argmax() == examples.labels[row]
            halves[0 if right else 1].append(place)
    right, wrong = (_in_turns(half, examples.labels[answers.rows]) for half in halves)
    rights = right[: max(most // 2, most - len(wrong))]
    return way, rights + wrong[: most - len(rights)]


def _in_turns(places: Sequence[int], labels: NDArray[np.int64]) -> list[int]:
    """One of each class, then the second of each, and so on: the commonest class shall not fill the sheet."""
    taken: Counter[int] = Counter()
    turns = []
    for place in places:
        label = int(labels[place])
        turns.append((taken[label], place))
        taken[label] += 1
    return [place for _, place in sorted(turns, key=lambda turn: turn[0])]
