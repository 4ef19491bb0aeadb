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
from training.data.clips import VALIDATION, Clip, Skipped
from training.data.corpus import Corpus, TextKind, open_corpus, with_text
from training.data.word_errors import word_error_rate
from training.evaluation.bootstrap import Groups, resample
from training.evaluation.modalities import AUDIO_ONLY, MODALITIES, TEXT_ONLY, Question, questions
from training.evaluation.modality_conflict import PAIRS, Contradiction, Side, contradiction
from training.evaluation.predictors import Model, open_model
from training.evaluation.scores import Scores
from training.evaluation.text_conditions import by_kind, garbled, said_and_heard
from training.images.examples import SILENCE, Examples
from training.images.spectrogram_images import ClipImages, clip_images


@dataclass(frozen=True)
class EvaluationSettings:
    """What to ask."""

    split: str = VALIDATION
    """The rows to ask: `train`, `validation` or `test`."""
    asked: tuple[str, ...] = MODALITIES
    """The ways to ask in, some of `MODALITIES`; those that no row allows are left out if another is left."""
    text: TextKind = "reference"
    """The words to ask by: the corpus's own, those that Vosk heard, or either, side by side."""
    word_errors: float = 0.0
    """Share of words to garble, 0 to 1, for figures of simulated recognition errors; 0 for none."""
    audio_root: Path | None = None
    """Folder that relative audio paths start from; None is the table's own."""
    image_cache: Path | None = None
    """Folder that keeps the pictures, see `ImageCache`; None computes them anew."""
    runtime: str = "auto"
    """Interpreter of a `.tflite`, see `device.recognition.runtimes`."""
    seed: int = 1
    """Of the bootstrap, of the simulated errors, of the contradicting pairs and of the rows shown."""

    @property
    def reads_sound(self) -> bool:
        """Whether any question needs the recordings."""
        return self.asked != (TEXT_ONLY,)

    @property
    def reads_words(self) -> bool:
        """Whether any question needs the words."""
        return self.asked != (AUDIO_ONLY,)


@dataclass(frozen=True)
class Answers:
    """What was answered when asked in one way."""

    way: str
    """One of `MODALITIES`."""
    text: str
    """Which words; empty where there is but one kind."""
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
    data: ClipImages
    """The clips, without those whose recording cannot be read, and their pictures."""
    missing: tuple[Skipped, ...]
    """Recordings that the corpus names and that are not there, of all its splits; their clips are not asked."""
    left_out: int
    """Clips that were not asked because their recording cannot be read."""
    examples: Examples
    answers: Mapping[str, Answers]
    """By way of asking, and kind of words where there are several, such as `words alone, as heard`."""
    word_error_rate: float | None
    """Of what Vosk heard, per word of the corpus's own text; None where either is not known."""
    contradiction: Contradiction | None
    """Whom the model follows when sound and words contradict each other; None where both are not asked alone."""

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
    sound, words = settings.reads_sound, settings.reads_words
    corpus = (
        source
        if isinstance(source, Corpus)
        else open_corpus(source, settings.audio_root, settings.seed, audio=sound, text=words)
    )
    corpus.report(console)
    table = Path(corpus.name)
    chosen = _chosen(corpus, settings)
    opened = open_model(model, runtime=settings.runtime)
    _check_labels(chosen, opened.companions.labels, table, model)
    card = opened.companions.card
    if corpus.note and card.get("table") == table.name and card.get("seed", settings.seed) != settings.seed:
        console.print(
            f"{model.name} was trained with seed {card['seed']}, so that it may have learnt from rows asked here; "
            f"take --seed {card['seed']}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
    data = clip_images(chosen, opened.companions.front_end, console, settings.image_cache)
    both = settings.text == "both" and words
    texts = by_kind(data, opened.companions, both=both)
    base = next(iter(texts.values()))
    share = settings.word_errors if words else 0.0
    drawn = garbled(data, opened.companions, corpus.clips, share=share, seed=settings.seed)
    asked = questions(texts, settings.asked, drawn)
    if not asked or not any((each.index != SILENCE).any() or each.ids.any() for each in texts.values()):
        raise TrainingError(
            f"{table}: no clip of split {settings.split!r} can be asked by {' or '.join(settings.asked)}; "
            "none has a recording, or a word that the model knows"
        )
    with Progress(console=console) as progress:
        answers = _ask(opened, asked, Groups.of(data.clips), settings.seed, progress)
        contradicting = _contradiction(opened, base, answers, settings.seed, progress)
    return Evaluation(
        model,
        table,
        settings,
        opened,
        data,
        corpus.skipped,
        len(chosen) - len(data.clips),
        base,
        answers,
        word_error_rate(said_and_heard(corpus.clips, settings.split)) if words else None,
        contradicting,
    )


def _chosen(corpus: Corpus, settings: EvaluationSettings) -> list[Clip]:
    """The clips of the split, without what nobody will ask for: computing the pictures of sound takes longest."""
    chosen = [clip for clip in corpus.clips if clip.split == settings.split]
    if not chosen:
        found = ", ".join(f"{count} {split}" for split, count in Counter(clip.split for clip in corpus.clips).items())
        raise TrainingError(
            f"{corpus.name}: no clip has split {settings.split!r} (there are {found}); choose one of these with --split"
        )
    if settings.reads_words and settings.text != "reference":
        heard = with_text(replace(corpus, clips=tuple(chosen)), "vosk").clips
        chosen = list(heard) if settings.text == "vosk" else chosen
    if not settings.reads_words:
        return [replace(clip, text="", transcript=None) for clip in chosen if clip.audio is not None] or chosen
    if not settings.reads_sound:
        # What was heard is known, though nobody will hear it again.
        return [replace(clip, audio=None) for clip in chosen]
    return chosen


def _ask(model: Model, asked: Sequence[Question], groups: Groups, seed: int, progress: Progress) -> dict[str, Answers]:
    found = {}
    for question in asked:
        task = progress.add_task(f"asking, {question.name}", total=model.steps(question.examples))
        probabilities = model.probabilities(question.examples, partial(progress.advance, task))
        own = groups.take(question.rows)
        labels = question.examples.labels
        found[question.name] = Answers(
            question.way,
            question.text,
            question.rows,
            probabilities,
            Scores.of(labels, probabilities),
            resample(labels, probabilities, own, seed=seed),
            own,
        )
    return found


def _contradiction(
    model: Model, examples: Examples, answers: Mapping[str, Answers], seed: int, progress: Progress
) -> Contradiction | None:
    """By the first kind of words, and only where both inputs are asked together and alone."""
    first = {each.way: each for each in reversed(list(answers.values()))}
    if set(first) != set(MODALITIES):
        return None
    sound, words = (
        Side(each.rows, examples.labels[each.rows], each.probabilities.argmax(axis=1))
        for each in (first[AUDIO_ONLY], first[TEXT_ONLY])
    )
    task = progress.add_task("asking, contradicting pairs", total=PAIRS)

    def answer(rows: Examples) -> NDArray[np.float32]:
        progress.update(task, total=model.steps(rows))
        return model.probabilities(rows, partial(progress.advance, task))

    found = contradiction(examples, sound, words, answer, seed=seed)
    progress.update(task, visible=found is not None)
    return found


def _check_labels(clips: Sequence[Clip], labels: Sequence[str], table: Path, model: Path) -> None:
    foreign = Counter(clip.label for clip in clips if clip.label not in labels)
    if foreign:
        names = ", ".join(f"{label!r} ({count} row{'s' if count > 1 else ''})" for label, count in foreign.items())
        lower = {label.lower(): label for label in labels}
        case = all(label.lower() in lower for label in foreign)
        raise TrainingError(
            f"{table}: the model {model} does not know the label {names}; it knows {', '.join(labels)}. "
            + ("Write them as the model does, capitals count" if case else "Rename the labels of the table")
            + ", or evaluate a model that was trained with them"
        )
