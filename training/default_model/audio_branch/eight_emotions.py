"""Measures the audio branch by the protocol that is usual for RAVDESS: eight emotions, speakers that it did not meet.

Published figures are unweighted average recalls (UAR): the mean over the emotions of the share of clips recognised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.errors import TrainingError
from training.default_model.audio_branch.acted_speech import RAVDESS
from training.default_model.audio_branch.audio_training import (
    FOLDS,
    AudioTrainingSettings,
    labelled_statistics,
    predict,
    train_head,
)
from training.default_model.audio_branch.augmented_images import AugmentedImages
from training.default_model.class_sets import SENTIMENT, ClassSet
from training.default_model.fusion import softmax
from training.evaluation.bootstrap import Groups, interval, resample
from training.evaluation.scores import Scores

RAVDESS_EMOTIONS = ClassSet(
    name="ravdess",
    labels=RAVDESS.emotions,
    meld_target=SENTIMENT.meld_target,
    of_comment={},
    of_acted_emotion={emotion: emotion for emotion in RAVDESS.emotions},
)
"""The eight emotions of RAVDESS as classes; only for measuring, because no text has them."""


PUBLISHED = (
    ("ResLSTM", "46,800", ".623"),
    ("wav2vec 2.0 base", "95 million", ".543"),
    ("HuBERT base", "95 million", ".654"),
)
"""Published figures for the eight emotions, on speakers that were held out: name, number of weights, recall."""


@dataclass(frozen=True)
class EightEmotions:
    """Unweighted average recall: of each seed, and their mean for bootstrap samples of the speakers."""

    recalls: Sequence[float]
    """Values from 0 to 1, one for each seed."""
    resampled: NDArray[np.float64]
    """Means over the seeds for bootstrap samples of the speakers, shape (resamples,)."""
    weights: int
    """Number of trained weights of a head."""

    @property
    def table(self) -> str:
        """A table in Markdown: the mean over the seeds, and published values."""
        mean, deviation = float(np.mean(self.recalls)), float(np.std(self.recalls))
        low, high = interval(self.resampled)
        value = f"{mean:.3f} ({float(low):.3f}\u2013{float(high):.3f}), deviation of the seeds {deviation:.3f}"
        return "\n".join(
            (
                "| network | weights | unweighted average recall |",
                "|---|---|---|",
                f"| audio branch, {len(self.recalls)} seeds | {self.weights:,} | {value} |",
                *(f"| {name} (published) | {weights} | {value} |" for name, weights, value in PUBLISHED),
            )
        )

    def page(self, command: str) -> str:
        """Return a page in Markdown with the table, and the command that measured it."""
        return "\n".join(
            (
                "# Eight emotions of RAVDESS",
                "",
                f"`{command}`",
                "",
                "The audio branch, trained on RAVDESS alone to recognise its eight emotions, in five folds by speaker",
                "with as many men as women in each. Unweighted average recall: the mean over the emotions of the share",
                "of their recordings that is recognised. Every seed draws other folds. Recordings as they are. With a",
                "95 % interval by a bootstrap over the speakers.",
                "",
                self.table,
                "",
                "Published values come from other divisions of the speakers; these are 20 of the 24 actors.",
                "",
            )
        )


def measure_eight_emotions(
    images: AugmentedImages, cache: Path, console: Console, *, seeds: Sequence[int], settings: AudioTrainingSettings
) -> EightEmotions:
    """Train a head on four fifths of RAVDESS's speakers and measure it on the others, in each fold and for each seed.

    Args:
        images: images of RAVDESS with the classes `RAVDESS_EMOTIONS`.
        cache: folder for statistics and weights; what an earlier run left there is used.
        console: where progress is shown.
        seeds: random seeds of the folds and of the trainings.
        settings: how to train.

    Raises:
        TrainingError: `cache` cannot be written to.
    """
    data = labelled_statistics(images, cache, console)
    classes = len(RAVDESS_EMOTIONS.labels)
    recalls, resampled = [], []
    with Progress(console=console) as progress:
        task = progress.add_task("heads for eight emotions", total=len(seeds) * FOLDS)
        for seed in seeds:
            fold = random_folds(images.speakers, seed)
            found = np.zeros((len(fold), classes), np.float32)
            for part in range(FOLDS):
                head = train_head([data.take(fold != part)], classes, (seed, part), settings, cache)
                recordings = data.take(fold == part).statistics[:, :1]
                found[fold == part] = softmax(predict(head, recordings)[:, 0])
                progress.advance(task)
            recalls.append(float(np.mean(Scores.of(data.labels, found).recall)))
            resampled.append(_resampled_recall(data.labels, found, images.speakers))
    trained = ("audio_dense", "audio_logits", "audio_kinds")
    return EightEmotions(
        recalls, np.mean(resampled, axis=0), sum(head.get_layer(name).count_params() for name in trained)
    )


def random_folds(speakers: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Draw the fold in which each clip is held out; men and women, odd and even numbers, are divided equally."""
    random = np.random.default_rng(seed)
    fold_of_speaker: dict[int, int] = {}
    for sex in (0, 1):
        numbers = np.unique(speakers[speakers % 2 == sex])
        fold_of_speaker.update(zip(numbers.tolist(), (random.permutation(len(numbers)) % FOLDS).tolist(), strict=True))
    return np.array([fold_of_speaker[speaker] for speaker in speakers.tolist()], np.int64)


def _resampled_recall(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], speakers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the average recall for bootstrap samples of the speakers; every seed draws the same samples."""
    samples = resample(labels, probabilities, Groups("speaker", speakers), seed=0)
    if samples is None:
        raise TrainingError("RAVDESS has recordings of one speaker only", fix="use the corpus's own CSV")
    return np.asarray(samples.recall.mean(axis=-1), np.float64)
