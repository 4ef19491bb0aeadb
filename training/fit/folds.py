"""Cross-validation: trains a network several times, on other clips or with other seeds, and reports mean and spread.

Images and features are computed once for all trainings. Every training has its own vocabulary, from its train clips.
"""

import io
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from device.errors import TrainingError
from device.system.streams.console import SafeConsole
from training.data.clips import TEST, TRAIN, VALIDATION, Clip, check_trainable
from training.data.corpus import Corpus, with_text
from training.data.leaks import refuse_identical
from training.data.splits import make_folds
from training.evaluation.modalities import constant_scores, score_modalities
from training.evaluation.score_tables import SUMMARY
from training.evaluation.scores import Scores
from training.fit.augmentation import check_augmentation
from training.fit.checkpoints import Checkpoint, TrainingState
from training.fit.companions import companions_of, labels_of
from training.fit.epochs import fit, head_probabilities
from training.fit.h5_writer import check_labels_file, check_output
from training.fit.progress.event_log import EventLog
from training.fit.settings import TrainingSettings
from training.fit.trainer import TrainingResult, TrunkFeatures, check_contents, initial_network, train, trunk_features
from training.fit.workers import assemble, read_cluster
from training.images.examples import examples_of
from training.images.spectrogram_images import ClipImages

_METRICS = ("accuracy", "weighted_f1", "macro_f1")
"""The metrics whose mean and spread are reported."""


@dataclass(frozen=True)
class Run:
    """One of the trainings of a cross-validation."""

    seed: int
    """Seed of the training, and of the division into folds."""
    fold: int
    """The fold that was held out, counted from 1."""
    rows: int
    """Number of rows that were held out."""
    scores: Mapping[str, Scores]
    """Scores on the held-out rows by modality, and of always predicting the most common class of the train rows."""


@dataclass(frozen=True)
class CrossValidation:
    """The result of a cross-validation."""

    folds: int
    """Number of folds; 1 if every training has the corpus's own splits."""
    by: str
    """What was held out: `speaker`, `dialogue`, `clip`, or `split` for the corpus's own splits."""
    seeds: tuple[int, ...]
    """Seeds of the trainings; the clips are divided again with each."""
    runs: tuple[Run, ...]
    """The trainings that were finished."""

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it before the last training."""
        return len(self.runs) < self.folds * len(self.seeds)

    def values(self, modality: str, metric: str) -> NDArray[np.float64]:
        """Return a metric of each training that has scores of the modality, shape (n,).

        Args:
            modality: one of those in `Run.scores`.
            metric: name of a property of `Scores`.
        """
        return np.array([float(getattr(run.scores[modality], metric)) for run in self.runs if modality in run.scores])

    def to_card(self) -> dict[str, Any]:
        """Return the figures as plain values for a model card, rounded to four digits."""
        return {
            "held_out_by": self.by,
            "folds": self.folds,
            "seeds": list(self.seeds),
            "scores": {
                modality: {
                    metric: {
                        "mean": round(float(values.mean()), 4),
                        "standard_deviation": round(_spread(values), 4),
                        "each": [round(float(value), 4) for value in values],
                    }
                    for metric in _METRICS
                    for values in [self.values(modality, metric)]
                }
                for modality in self._modalities()
            },
        }

    def print(self, console: Console) -> None:
        """Print the weighted F1 of each training, and mean and spread of the metrics of each modality."""
        if not self.runs:
            console.print("no training was finished")
            return
        each = Table("fold", "seed", "rows", *self._modalities(), title="weighted F1 of each training")
        for column in each.columns:
            column.justify = "right"
        for run in self.runs:
            scores = (run.scores.get(modality) for modality in self._modalities())
            cells = ("" if score is None else f"{float(score.weighted_f1):.3f}" for score in scores)
            each.add_row(str(run.fold), str(run.seed), str(run.rows), *cells)
        headings = [heading for heading, metric in SUMMARY.items() if metric in _METRICS]
        table = Table("", *headings, title=f"mean and standard deviation, {self._description()}")
        for modality in self._modalities():
            found = [self.values(modality, SUMMARY[heading]) for heading in headings]
            table.add_row(modality, *(f"{values.mean():.3f} \u00b1 {_spread(values):.3f}" for values in found))
        console.print(each, table)

    def _description(self) -> str:
        done = f"{len(self.runs)} trainings" if len(self.runs) > 1 else "1 training"
        if self.folds == 1:
            return f"{done} with the same splits"
        return f"{done}, {self.folds} folds by {self.by}"

    def _modalities(self) -> list[str]:
        return list(dict.fromkeys(modality for run in self.runs for modality in run.scores))


def validate_and_train(
    source: Corpus, output: Path, settings: TrainingSettings, folds: int | None, seeds: int, console: Console
) -> TrainingResult:
    """Cross-validate, and then train and write the model as `train` does, with the figures in its card.

    Args:
        source: the corpus.
        output: path of the model.
        settings: settings of every training. If they continue an unfinished training of the model, nothing is
            cross-validated again.
        folds: see `cross_validate`.
        seeds: see `cross_validate`.
        console: console for progress and metrics.

    Raises:
        TrainingError: `cross_validate` or `train` raises it.
        KeyboardInterrupt: Ctrl-C during the cross-validation; the finished trainings were printed.
    """
    check_output(output, settings.base)
    checkpoint = Checkpoint(output)
    if settings.resume and checkpoint.epochs():
        console.print("the cross-validation is not repeated, and its figures are not in the model card")
        return train(source, output, settings, console)
    # Whatever would stop the last training has to stop the first one.
    checkpoint.require_absent()
    check_augmentation(source, settings)
    if settings.tensorboard is not None:
        EventLog(settings.tensorboard, console).check(0)
    if not settings.allow_identical:
        refuse_identical(source.clips, source.name)
    check_labels_file(output, labels_of(with_text(source, settings.text).clips))
    found = cross_validate(source, replace(settings, resume=False), folds, seeds, console)
    if found.interrupted:
        console.print(f"stopped before the model was trained; {output} is unchanged", soft_wrap=True)
        raise KeyboardInterrupt
    console.print("training the model, on the train rows of the corpus", soft_wrap=True)
    card = {**settings.card, "cross_validation": found.to_card()}
    return train(source, output, replace(settings, card=card), console, reported=True)


def cross_validate(
    source: Corpus, settings: TrainingSettings, folds: int | None, seeds: int, console: Console
) -> CrossValidation:
    """Train a network on all folds but one, score it on that one, for each fold and seed, and print the scores.

    The folds divide the train and validation clips of the corpus; its test clips take no part. Complete speakers are
    held out if every clip names one, else dialogues, else clips with the classes in proportion, see `make_folds`.
    Ctrl-C ends it after the current batch.

    Args:
        source: the corpus.
        settings: settings of every training; seeds count up from `settings.seed`.
        folds: number of folds, 2 or more; None trains on the corpus's own splits with every seed.
        seeds: number of seeds, 1 or more.
        console: console for progress and scores.

    Raises:
        TrainingError: the corpus cannot be trained on or has too few speakers, dialogues or clips for the folds, or
            `TF_CONFIG` names several machines.
    """
    if read_cluster(os.environ.get("TF_CONFIG")) is not None:
        raise TrainingError(
            "TF_CONFIG: a cross-validation does not run on several machines",
            fix="unset it, or leave out --folds and --seeds",
        )
    corpus = with_text(source, settings.text)
    check_trainable(corpus.clips, corpus.name)
    check_contents(corpus, settings)
    source.report(console)
    pool = [clip for clip in source.clips if clip.split != TEST]
    every = tuple(range(settings.seed, settings.seed + seeds))
    divisions = [] if folds is None else [make_folds(pool, folds, seed) for seed in every[:1]]
    for division in divisions:
        console.print(division.note, soft_wrap=True)

    prepared = trunk_features(pool, corpus, settings, console, augment_all=folds is not None)
    data = prepared.data
    count = folds or 1
    by, runs = "split", list[Run]()
    quiet = SafeConsole(file=io.StringIO(), quiet=True)
    # Every training is a new network, which tensorflow takes for a mistake and warns about.
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with Progress(console=console) as progress:
            task = progress.add_task("cross-validation", total=count * len(every) * settings.epochs)
            for seed in every:
                held_out = [int(clip.split == VALIDATION) - 1 for clip in data.clips]
                if folds is not None:
                    division = make_folds(data.clips, folds, seed)
                    held_out, by = list(division.numbers), division.by
                for fold in range(count):
                    progress.update(task, description=f"fold {fold + 1}/{count}, seed {seed}")
                    clips = _split(data.clips, held_out, fold)
                    chosen = replace(settings, seed=seed)
                    run = _run(source, prepared, clips, chosen, fold, quiet, lambda: progress.advance(task))
                    runs.append(run)
                    progress.update(task, completed=len(runs) * settings.epochs)  # patience may have ended it early
                    first = next(iter(run.scores))
                    progress.console.print(
                        f"fold {fold + 1}/{count}, seed {seed}: {run.rows} rows held out, weighted F1 "
                        f"{float(run.scores[first].weighted_f1):.3f} ({first})"
                    )
    except KeyboardInterrupt:
        console.print("stopped; these trainings were finished:")
    finally:
        logger.setLevel(level)
    found = CrossValidation(count, by, every, tuple(runs))
    found.print(console)
    return found


def _split(clips: Sequence[Clip], held_out: Sequence[int], fold: int) -> list[Clip]:
    return [
        replace(clip, split=VALIDATION if number == fold else TRAIN)
        for clip, number in zip(clips, held_out, strict=True)
    ]


def _run(
    source: Corpus,
    prepared: TrunkFeatures,
    clips: Sequence[Clip],
    settings: TrainingSettings,
    fold: int,
    console: Console,
    after_epoch: Callable[[], None],
) -> Run:
    """Train on the train clips and score the validation clips.

    Args:
        source: the corpus.
        prepared: the clips of the corpus, with their features and augmented copies.
        clips: the same clips with the splits of this training.
        settings: settings of this training.
        fold: number of the fold that is held out, from 0 on.
        console: console for the messages of the epochs.
        after_epoch: called after each epoch.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the training.
    """
    data, copies, _ = prepared
    row = {clip.audio: index for clip, index in zip(data.clips, data.index.tolist(), strict=True)}
    corpus = with_text(replace(source, clips=tuple(clips)), settings.text)
    check_trainable(corpus.clips, f"{corpus.name}, fold {fold + 1}")
    numbers = np.array([row[clip.audio] for clip in corpus.clips], np.int64)
    own = ClipImages(corpus.clips, data.images, numbers, ())
    companions = companions_of(corpus, own, settings)
    tf_keras.backend.clear_session()
    network = initial_network(companions, settings)
    rows = examples_of(own, companions, own.images)
    splits = np.array([clip.split for clip in own.clips])
    training, validation = (rows.take(np.flatnonzero(splits == split)) for split in (TRAIN, VALIDATION))
    if copies is not None:
        copied: dict[Path | None, int] = {}
        for clip, index in zip(data.clips, copies.index.tolist(), strict=True):
            copied[clip.audio] = max(index, copied.get(clip.audio, -1))
        of_own = np.array([copied[clip.audio] for clip in own.clips], np.int64)
        training = replace(copies, index=of_own).add_to(training, np.flatnonzero(splits == TRAIN))
    workers = assemble({}, 0, console)
    fitted = fit(
        network.head, training, validation, settings, workers, _NoCheckpoint(after_epoch), {}, console
    )  # fmt: skip
    if fitted.interrupted:
        raise KeyboardInterrupt
    scores = score_modalities(lambda some: head_probabilities(network.head, some), validation)
    commonest = int(np.bincount(training.labels).argmax())
    constant = constant_scores(commonest, validation, len(companions.labels))
    return Run(settings.seed, fold + 1, len(validation), {**scores, "most common class": constant})


class _NoCheckpoint(Checkpoint):
    """Stores nothing; counts the epochs instead."""

    def __init__(self, after_epoch: Callable[[], None]) -> None:
        super().__init__(Path("unused"))
        self._after_epoch = after_epoch

    def save(self, state: TrainingState, made_by: Mapping[str, Any]) -> None:
        """Report that an epoch is finished."""
        self._after_epoch()


def _spread(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of a sample, 0 for one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
