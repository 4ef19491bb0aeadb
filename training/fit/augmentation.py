"""Augmented copies of the train recordings: whether a training has some, and which belong to which row."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from device.errors import TrainingError
from device.system.display import displayable
from training.data.clips import TRAIN
from training.data.corpus import Corpus
from training.data.reading.linked_files import is_image
from training.fit.settings import TrainingSettings
from training.images.augmentation import AUGMENTATION_VERSION
from training.images.augmented_copies import Augmentation, augmented_features
from training.images.examples import Examples
from training.images.feature_cache import FeatureCache
from training.images.spectrogram_images import ClipImages

AUGMENTED_BELOW = 200
"""Number of train recordings from which on nothing is augmented unless the settings require it."""


@dataclass(frozen=True)
class TrainCopies:
    """Augmented copies of the train recordings of some clips."""

    features: NDArray[np.float32]
    """Shape (recordings, copies, n): the trunk's features of the copies."""
    index: NDArray[np.int64]
    """Shape (clips,): index into `features` of each clip; -1 for a clip without copies."""

    @property
    def count(self) -> int:
        """Number of copies of each recording."""
        return self.features.shape[1]

    @property
    def description(self) -> str:
        """What distinguishes the copies from those of another training with the same seed and recordings."""
        return f"{self.count} copies ({AUGMENTATION_VERSION})"

    def add_to(self, examples: Examples, rows: NDArray[np.int64]) -> Examples:
        """Return examples with their copies.

        Args:
            examples: rows to train on.
            rows: shape (examples,): which of the clips each example is.
        """
        return replace(examples, copies=self.features, copies_index=self.index[rows])


def check_augmentation(corpus: Corpus, settings: TrainingSettings) -> None:
    """Check that there are recordings to augment if the settings require it, before any work begins.

    Raises:
        TrainingError: the train clips have finished images instead of recordings, or no audio.
    """
    if not settings.augment:
        return
    train = {clip.audio for clip in corpus.clips if clip.split == TRAIN} - {None}
    if any(file is not None and not is_image(file) for file in train):
        return
    has = "finished images instead of recordings" if train else "no recordings"
    raise TrainingError(
        f"{displayable(corpus.name)}: the train rows have {has}, so they cannot be augmented",
        fix="leave out --augment, or name the recordings in the column audio or with --audio-root",
    )


def train_copies(
    data: ClipImages, settings: TrainingSettings, features: FeatureCache, folder: Path | None, console: Console
) -> TrainCopies | None:
    """Compute augmented copies of the train recordings, and print how many, unless they are turned off.

    Without a setting there are copies if there are fewer than `AUGMENTED_BELOW` train recordings. A recording that
    validation uses as well is augmented for its train rows only.

    Args:
        data: the clips, whose recordings are readable.
        settings: `augment`, seed and front end.
        features: computes the features of images.
        folder: folder of the image cache; None caches nothing.
        console: console for progress.

    Returns:
        The copies; None if nothing is augmented.

    Raises:
        TrainingError: `augmented_features` raises it.
    """
    if settings.augment is False:
        return None
    train = [clip.audio if clip.split == TRAIN else None for clip in data.clips]
    recordings = list(dict.fromkeys(file for file in train if file is not None and not is_image(file)))
    if not recordings or (settings.augment is None and len(recordings) >= AUGMENTED_BELOW):
        return None
    augmentation = Augmentation(seed=settings.seed)
    line = (
        f"each epoch uses {len(recordings)} train recordings, about half of them as one of {augmentation.copies} "
        "augmented copies"
    )
    if settings.augment is None:
        line += f", because there are fewer than {AUGMENTED_BELOW}; --no-augment turns this off"
    console.print(line, soft_wrap=True)
    found = augmented_features(recordings, augmentation, settings.front_end, features, console, folder)
    rows = {file: row for row, file in enumerate(recordings)}
    return TrainCopies(found, np.array([-1 if file is None else rows.get(file, -1) for file in train], np.int64))
