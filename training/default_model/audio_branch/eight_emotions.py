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
    """Unweighted average recall of each seed."""

    recalls: Sequence[float]
    """Values from 0 to 1, one for each seed."""
    weights: int
    """Number of trained weights of a head."""

    def page(self, command: str) -> str:
        """Return a page in Markdown with the mean over the seeds, and the command that measured it."""
        mean, deviation = float(np.mean(self.recalls)), float(np.std(self.recalls))
        own = f"| audio branch, {len(self.recalls)} seeds | {self.weights:,} | {mean:.3f} (deviation {deviation:.3f}) |"
        return "\n".join(
            (
                "# Eight emotions of RAVDESS",
                "",
                f"`{command}`",
                "",
                "The audio branch, trained on RAVDESS alone to recognise its eight emotions, in five folds by speaker",
                "with as many men as women in each. Unweighted average recall: the mean over the emotions of the share",
                "of their recordings that is recognised. Every seed draws other folds. Recordings as they are.",
                "",
                "| network | weights | unweighted average recall |",
                "|---|---|---|",
                own,
                *(f"| {name} (published) | {weights} | {value} |" for name, weights, value in PUBLISHED),
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
    recalls = []
    with Progress(console=console) as progress:
        task = progress.add_task("heads for eight emotions", total=len(seeds) * FOLDS)
        for seed in seeds:
            fold = random_folds(images.speakers, seed)
            found = np.zeros(len(fold), np.int64)
            for part in range(FOLDS):
                head = train_head([data.take(fold != part)], classes, (seed, part), settings, cache)
                recordings = data.take(fold == part).statistics[:, :1]
                found[fold == part] = predict(head, recordings)[:, 0].argmax(axis=1)
                progress.advance(task)
            recalls.append(_average_recall(data.labels, found))
    trained = ("audio_dense", "audio_logits", "audio_kinds")
    return EightEmotions(recalls, sum(head.get_layer(name).count_params() for name in trained))


def random_folds(speakers: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Draw the fold in which each clip is held out; men and women, odd and even numbers, are divided equally."""
    random = np.random.default_rng(seed)
    fold_of_speaker: dict[int, int] = {}
    for sex in (0, 1):
        numbers = np.unique(speakers[speakers % 2 == sex])
        fold_of_speaker.update(zip(numbers.tolist(), (random.permutation(len(numbers)) % FOLDS).tolist(), strict=True))
    return np.array([fold_of_speaker[speaker] for speaker in speakers.tolist()], np.int64)


def _average_recall(labels: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    return float(np.mean([(found[labels == label] == label).mean() for label in np.unique(labels)]))
