"""Evaluates a model on the clips of a corpus: reads them, runs the queries and counts the predictions.

What is shown of the result is made elsewhere: in `report`, `score_tables` and `plots`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.bundle import OTHER_IMAGES
from device.errors import TrainingError
from device.system.display import displayable
from training.data.clips import VALIDATION, Clip, Skipped
from training.data.corpus import Corpus, TextKind, open_corpus, with_text
from training.data.transcripts.word_errors import word_error_rate
from training.evaluation.bootstrap import Groups, resample
from training.evaluation.conversation import check_context, filter_dialogues
from training.evaluation.modalities import AUDIO_ONLY, MODALITIES, TEXT_ONLY, Query, queries
from training.evaluation.modality_conflict import PAIRS, ModalityConflict, SingleModality, measure_conflict
from training.evaluation.predictors import Predictor, open_predictor
from training.evaluation.scores import Scores
from training.evaluation.text_conditions import by_condition, reference_and_transcript, with_word_errors
from training.images.examples import SILENCE, Examples
from training.images.spectrogram_images import ClipImages, clip_images


@dataclass(frozen=True)
class EvaluationSettings:
    """What is evaluated, and how."""

    split: str = VALIDATION
    """Rows to evaluate: `train`, `validation` or `test`."""
    modalities: tuple[str, ...] = MODALITIES
    """Modalities to evaluate, some of `MODALITIES`; one that no row allows is left out if another remains."""
    text: TextKind = "reference"
    """Text to evaluate: the corpus's own (`reference`), the transcript (`vosk`), or `both` side by side."""
    word_errors: float = 0.0
    """Share of words to corrupt, 0 to 1, for additional metrics with simulated recognition errors; 0 for none."""
    audio_root: Path | None = None
    """Folder that relative audio paths start from; None is the table's own folder."""
    context: bool = False
    """Whether earlier utterances of a dialogue influence the later ones, see `filter_dialogues`."""
    image_cache: Path | None = None
    """Folder that caches the spectrogram images, see `ImageCache`; None computes them again."""
    runtime: str = "auto"
    """Interpreter of a `.tflite`, see `device.recognition.runtimes`."""
    profile: Path | None = None
    """Voice profile that a `.tflite` is adapted to; None for none."""
    seed: int = 1
    """Random seed of the bootstrap, the simulated errors, the contradicting pairs and the rows that are plotted."""

    @property
    def reads_audio(self) -> bool:
        """Whether any query needs the recordings."""
        return self.modalities != (TEXT_ONLY,)

    @property
    def reads_text(self) -> bool:
        """Whether any query needs the text."""
        return self.modalities != (AUDIO_ONLY,)


@dataclass(frozen=True)
class QueryResult:
    """Predictions and scores of one query."""

    modality: str
    """One of `MODALITIES`."""
    text: str
    """Name of the text condition; empty where there is only one."""
    rows: NDArray[np.int64]
    """Numbers of the evaluation's clips, shape (n,)."""
    probabilities: NDArray[np.float32]
    """Predicted probabilities, shape (n, labels)."""
    scores: Scores
    """Metrics of these predictions."""
    resampled: Scores | None
    """Metrics of the bootstrap samples, with a leading axis; None where there is only one group."""
    groups: Groups
    """Groups of these rows."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured about a model."""

    model: Path
    """Path of the model."""
    table: Path
    """Path of the corpus, a table or a folder."""
    settings: EvaluationSettings
    """What was evaluated, and how."""
    predictor: Predictor
    """The model, opened."""
    data: ClipImages
    """The clips, without those whose recording cannot be read, and their images."""
    missing: tuple[Skipped, ...]
    """Recordings, of any split, that the corpus names and that do not exist; their clips are not evaluated."""
    skipped_clips: int
    """Number of clips that were not evaluated because their recording cannot be read."""
    examples: Examples
    """Rows of the clips, with the first text condition."""
    results: Mapping[str, QueryResult]
    """Results by modality and, where there are several, text condition, such as `text only, Vosk transcript`."""
    word_error_rate: float | None
    """Word errors of the Vosk transcript per word of the reference text; None where either is not known."""
    conflict: ModalityConflict | None
    """Which modality wins when the two contradict each other; None unless all three modalities were evaluated, and
    where earlier utterances have an influence."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the model."""
        return self.predictor.companions.labels


def evaluate_model(model: Path, source: Path | Corpus, settings: EvaluationSettings, console: Console) -> Evaluation:
    """Evaluate a model on the clips of a corpus.

    Args:
        model: a `Model.h5` or `Model.tflite` with its companions.
        source: a table or a folder, see `open_corpus`, or a corpus that is already open.
        settings: what to evaluate, and how.
        console: where progress is shown.

    Raises:
        TrainingError: table, recordings or model cannot be used, or do not belong together.
        BundleError, ConversionError, InterpreterError: see `open_predictor`.
    """
    audio, text = settings.reads_audio, settings.reads_text
    corpus = (
        source
        if isinstance(source, Corpus)
        else open_corpus(
            source, settings.audio_root, settings.seed, images=settings.image_cache, audio=audio, text=text
        )
    )
    corpus.report(console)
    table = Path(corpus.name)
    clips = _clips_of_split(corpus, settings)
    predictor = open_predictor(model, runtime=settings.runtime, profile=settings.profile)
    companions = predictor.companions
    _check_labels(clips, companions.labels, table, model)
    if settings.context:
        check_context(clips, companions, displayable(table), displayable(model))
    card = companions.card
    if corpus.note and card.get("table") == table.name and card.get("seed", settings.seed) != settings.seed:
        console.print(
            f"{model.name} was trained with seed {card['seed']}, so it may have been trained on rows evaluated here; "
            f"use --seed {card['seed']}",
            style="yellow",
            soft_wrap=True,
        )
    cache = settings.image_cache
    if corpus.images is None and audio and card.get(OTHER_IMAGES):
        console.print(
            f"{model.name} was trained on images that edge-mcnn did not compute, and is evaluated on images of the "
            "recordings: the scores hold for the device, not for those images",
            style="yellow",
            soft_wrap=True,
        )
    if corpus.images is not None:
        corpus.images.check(companions.front_end)
        cache = None  # finished images are no cache
    data = clip_images(clips, companions.front_end, console, cache)
    texts = by_condition(data, companions, both=settings.text == "both" and text)
    base = next(iter(texts.values()))
    share = settings.word_errors if text else 0.0
    corrupted = with_word_errors(data, companions, corpus.clips, share=share, seed=settings.seed)
    planned = queries(texts, settings.modalities, corrupted)
    if not planned or not any((each.index != SILENCE).any() or each.ids.any() for each in texts.values()):
        raise TrainingError(
            f"{table}: no clip of split {settings.split!r} can be evaluated with {' or '.join(settings.modalities)}: "
            "none has a recording, or a word that the model knows",
            fix="choose another --split, another corpus, or a model whose vocabulary fits it",
        )
    with Progress(console=console) as progress:
        conversations = data.clips if settings.context else None
        results = _run(predictor, planned, Groups.of(data.clips), conversations, settings.seed, progress)
        conflict = None if settings.context else _conflict(predictor, base, results, settings.seed, progress)
    return Evaluation(
        model=model,
        table=table,
        settings=settings,
        predictor=predictor,
        data=data,
        missing=corpus.skipped,
        skipped_clips=len(clips) - len(data.clips),
        examples=base,
        results=results,
        word_error_rate=word_error_rate(reference_and_transcript(corpus.clips, settings.split)) if text else None,
        conflict=conflict,
    )


def _clips_of_split(corpus: Corpus, settings: EvaluationSettings) -> list[Clip]:
    """Return the clips of the split, without inputs that no query uses: computing images takes longest."""
    clips = [clip for clip in corpus.clips if clip.split == settings.split]
    if not clips:
        found = ", ".join(f"{count} {split}" for split, count in Counter(clip.split for clip in corpus.clips).items())
        raise TrainingError(
            f"{corpus.name}: no clip has split {settings.split!r} (there are {found})",
            fix="choose one of these with --split",
        )
    if settings.reads_text and settings.text != "reference":
        transcribed = with_text(replace(corpus, clips=tuple(clips)), "vosk").clips
        clips = list(transcribed) if settings.text == "vosk" else clips
    if not settings.reads_text:
        return [replace(clip, text="", transcript=None) for clip in clips if clip.audio is not None] or clips
    if not settings.reads_audio:
        # The transcript stays: it is part of the table, and needs no recording.
        return [replace(clip, audio=None) for clip in clips]
    return clips


def _run(
    predictor: Predictor,
    planned: Sequence[Query],
    groups: Groups,
    conversations: Sequence[Clip] | None,
    seed: int,
    progress: Progress,
) -> dict[str, QueryResult]:
    """Predict and score each query; with the clips of `conversations`, dialogue by dialogue."""
    found = {}
    for query in planned:
        task = progress.add_task(f"predicting, {query.name}", total=predictor.steps(query.examples))
        probabilities = predictor.probabilities(query.examples, partial(progress.advance, task))
        if conversations is not None:
            probabilities = filter_dialogues(probabilities, query.rows, conversations, predictor.companions)
        groups_of_rows = groups.take(query.rows)
        labels = query.examples.labels
        found[query.name] = QueryResult(
            modality=query.modality,
            text=query.text,
            rows=query.rows,
            probabilities=probabilities,
            scores=Scores.of(labels, probabilities),
            resampled=resample(labels, probabilities, groups_of_rows, seed=seed),
            groups=groups_of_rows,
        )
    return found


def _conflict(
    predictor: Predictor, examples: Examples, results: Mapping[str, QueryResult], seed: int, progress: Progress
) -> ModalityConflict | None:
    """Measure with the first text condition which modality wins; only if all three modalities were evaluated."""
    first = {each.modality: each for each in reversed(list(results.values()))}
    if set(first) != set(MODALITIES):
        return None
    audio, text = (
        SingleModality(each.rows, examples.labels[each.rows], each.probabilities.argmax(axis=1))
        for each in (first[AUDIO_ONLY], first[TEXT_ONLY])
    )
    task = progress.add_task("predicting, contradicting pairs", total=PAIRS)

    def predict(rows: Examples) -> NDArray[np.float32]:
        progress.update(task, total=predictor.steps(rows))
        return predictor.probabilities(rows, partial(progress.advance, task))

    found = measure_conflict(examples, audio, text, predict, seed=seed)
    progress.update(task, visible=found is not None)
    return found


def _check_labels(clips: Sequence[Clip], labels: Sequence[str], table: Path, model: Path) -> None:
    unknown = Counter(clip.label for clip in clips if clip.label not in labels)
    if unknown:
        names = ", ".join(f"{label!r} ({count} row{'s' if count > 1 else ''})" for label, count in unknown.items())
        lower = {label.lower() for label in labels}
        only_case = all(label.lower() in lower for label in unknown)
        raise TrainingError(
            f"{table}: the model {model} has no label {names}; its labels are {', '.join(labels)}",
            fix=(
                "write the labels as the model does, capitals count" if only_case else "rename the labels of the table"
            )
            + ", or evaluate a model that was trained with them",
        )
