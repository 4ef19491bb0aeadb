"""Measures how well the audio branch does on speakers, and on corpora, that it was not trained on.

Heads are trained on every choice of one and of two corpora. EMO-DB takes part in the training of heads that are only
measured, and of none that ships.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.errors import TrainingError
from training.default_model.audio_branch.acted_speech import EMO_DB, NEMO, RAVDESS, ActedCorpus
from training.default_model.audio_branch.audio_training import (
    FOLDS,
    AudioTrainingSettings,
    LabelledStatistics,
    fold_of,
    labelled_statistics,
    predict,
    train_head,
)
from training.default_model.audio_branch.augmented_images import AugmentedImages
from training.default_model.class_sets import SENTIMENT
from training.default_model.fusion import softmax
from training.evaluation.bootstrap import Groups, interval, resample
from training.evaluation.scores import Scores

CORPORA = (RAVDESS, NEMO, EMO_DB)
"""Corpora that are left out in turn; of several that a head is trained on, the first here has the full weight."""


@dataclass(frozen=True)
class MacroF1:
    """Macro F1 of one training and one evaluation, mean over the seeds."""

    value: float
    """Mean over the seeds."""
    resampled: NDArray[np.float64]
    """Means over the seeds for bootstrap samples of the speakers, shape (resamples,)."""

    @classmethod
    def mean_of(cls, parts: Sequence["MacroF1"]) -> "MacroF1":
        """Return the mean of measurements; those of the same corpus have the same bootstrap samples of its speakers."""
        return cls(float(np.mean([part.value for part in parts])), np.mean([part.resampled for part in parts], axis=0))

    @property
    def formatted(self) -> str:
        """The value with three digits, and its 95 % interval."""
        low, high = interval(self.resampled)
        return f"{self.value:.3f} ({float(low):.3f}\u2013{float(high):.3f})"


@dataclass(frozen=True)
class Generalisation:
    """Macro F1 of the audio branch for speakers, and for corpora, that it was not trained on."""

    folds: Mapping[tuple[str, ...], MacroF1]
    """RAVDESS in five folds by actor, by the titles of the corpora trained on."""
    unseen: Mapping[tuple[tuple[str, ...], str], MacroF1]
    """Macro F1 by the titles of the corpora trained on and that of the corpus measured on."""

    @property
    def trained_on_one(self) -> MacroF1:
        """Mean over all pairs of a corpus trained on and another one measured on."""
        return MacroF1.mean_of([value for (trained, _), value in self.unseen.items() if len(trained) == 1])

    @property
    def one_left_out(self) -> MacroF1:
        """Mean over the corpora, each measured with the training on all others."""
        return MacroF1.mean_of([value for (trained, _), value in self.unseen.items() if len(trained) > 1])

    def page(self, command: str) -> str:
        """Return a page in Markdown with all values and the command that measured them."""
        lines = [
            *((_titles(trained), "RAVDESS, five folds by actor", value) for trained, value in self.folds.items()),
            *((_titles(trained), measured, value) for (trained, measured), value in self.unseen.items()),
            ("one corpus", "mean over the other two", self.trained_on_one),
            ("two corpora", "mean over the one left out", self.one_left_out),
        ]
        rows = [f"| {trained} | {measured} | {value.formatted} |" for trained, measured, value in lines]
        return "\n".join(
            (
                "# Generalisation of the audio branch",
                "",
                f"`{command}`",
                "",
                "Macro F1 of three classes, mean over the seeds, with 95 % intervals by a bootstrap over the speakers.",
                "Recordings as they are, without augmentation. No speaker is both trained and measured on.",
                "",
                "| trained on | measured on | macro F1 |",
                "|---|---|---|",
                *rows,
                "",
            )
        )


def measure_generalisation(
    images: Mapping[ActedCorpus, AugmentedImages],
    cache: Path,
    console: Console,
    *,
    seeds: Sequence[int],
    settings: AudioTrainingSettings,
) -> Generalisation:
    """Train heads on every choice of corpora, and measure each on everything that it was not trained on.

    Args:
        images: images of `CORPORA`, with the classes of `SENTIMENT`.
        cache: folder for statistics and weights; what an earlier run left there is used.
        console: where progress is shown.
        seeds: random seeds; the values are means over them.
        settings: how to train.

    Raises:
        TrainingError: `cache` cannot be written to.
    """
    titles = [corpus.title for corpus in CORPORA]
    data = {corpus.title: labelled_statistics(each, cache, console) for corpus, each in images.items()}
    speakers = {corpus.title: each.speakers for corpus, each in images.items()}
    first = titles[0]
    fold = fold_of(speakers[first])
    choices = [*combinations(titles, 1), *combinations(titles, 2)]
    # In folds only what may ship is measured: EMO-DB is not part of it.
    with_folds = [choice for choice in choices if choice[0] == first and EMO_DB.title not in choice]
    folds: dict[tuple[str, ...], MacroF1] = {}
    unseen: dict[tuple[tuple[str, ...], str], MacroF1] = {}
    with Progress(console=console) as progress:
        task = progress.add_task("heads", total=(len(choices) + len(with_folds) * FOLDS) * len(seeds))

        def trained_head(corpora: Sequence[LabelledStatistics], *seed: int) -> Any:
            head = train_head(corpora, len(SENTIMENT.labels), seed, settings, cache)
            progress.advance(task)
            return head

        for trained in with_folds:
            logits = np.zeros((len(seeds), len(fold), len(SENTIMENT.labels)), np.float32)
            for place, seed in enumerate(seeds):
                for part in range(FOLDS):
                    held_out = fold == part
                    further = [data[title] for title in trained[1:]]
                    head = trained_head([data[first].take(~held_out), *further], seed, part)
                    logits[place, held_out] = _logits_of_recordings(head, data[first].take(held_out))
            folds[trained] = _macro_f1(data[first].labels, logits, speakers[first], 0)
        for trained in choices:
            heads = [trained_head([data[title] for title in trained], seed, FOLDS) for seed in seeds]
            for title in titles:
                if title not in trained:
                    logits = np.stack([_logits_of_recordings(head, data[title]) for head in heads])
                    unseen[trained, title] = _macro_f1(data[title].labels, logits, speakers[title], titles.index(title))
    return Generalisation(folds, unseen)


def _logits_of_recordings(head: Any, corpus: LabelledStatistics) -> NDArray[np.float32]:
    """Return logits of shape (clips, labels) for the recordings themselves, which are the first copies."""
    return predict(head, corpus.statistics[:, :1])[:, 0]


def _macro_f1(
    labels: NDArray[np.int64], logits: NDArray[np.float32], speakers: NDArray[np.int64], seed: int
) -> MacroF1:
    """Score logits of shape (seeds, clips, labels); `seed` is that of the bootstrap samples, one for each corpus."""
    values, resampled = [], []
    for each in logits:
        samples = resample(labels, softmax(each), Groups("speaker", speakers), seed=seed)
        if samples is None:
            raise TrainingError(
                "a corpus has recordings of one speaker only, from which no interval follows",
                fix="use the corpus's own CSV",
            )
        values.append(float(Scores.of(labels, softmax(each)).macro_f1))
        resampled.append(samples.macro_f1)
    return MacroF1(float(np.mean(values)), np.mean(resampled, axis=0))


def _titles(trained: Sequence[str]) -> str:
    """Return the corpora of a training, `A + B`."""
    return " + ".join(trained)
