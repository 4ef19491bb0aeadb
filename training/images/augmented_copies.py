"""Augmented copies of recordings, as features of a network's frozen trunk: computed once, and cached with the images.

Each copy depends on the seed, its number and the bytes of the recording only, so that another order, name or number of
recordings changes none of them. This module is independent of words, labels and networks.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.errors import AudioError, TrainingError
from device.front_end.parameters import FrontEnd
from training.data.reading.audio import read_recording
from training.images.augmentation import AUGMENTATION_VERSION, augment
from training.images.feature_cache import FeatureCache
from training.images.image_cache import ImageCache
from training.images.spectrogram import compute_image
from training.parallel import on_all_cores

_AT_ONCE = 128
"""Copies whose images are in memory at once on their way to features."""


@dataclass(frozen=True)
class Augmentation:
    """How many copies of each recording there are, and what they depend on."""

    copies: int = 8
    """Number of augmented copies of each recording, besides the recording itself."""
    seed: int = 1
    """Seed of the copies."""

    @property
    def key(self) -> str:
        """What a copy of a recording depends on besides its number, as a short text."""
        return f"augmented-{AUGMENTATION_VERSION}-{self.seed}"


def augmented_features(
    recordings: Sequence[Path],
    augmentation: Augmentation,
    front_end: FrontEnd,
    features: FeatureCache,
    console: Console,
    folder: Path | None = None,
) -> NDArray[np.float32]:
    """Compute the features of augmented copies of recordings, on all cores.

    Ctrl-C leaves the features that are finished in the cache, if there is one.

    Args:
        recordings: readable recordings.
        augmentation: number and seed of the copies.
        front_end: settings of the images.
        features: computes the features of the images, and caches them if it has a folder.
        console: console for progress.
        folder: folder of the image cache, which names the recordings in the cache of the features; None caches none.

    Returns:
        Shape (recordings, copies, n), float32.

    Raises:
        TrainingError: a recording has become unreadable, or the folder cannot be written to.
    """
    cache = None if folder is None else ImageCache(folder, front_end)

    def images(wanted: tuple[Path, tuple[int, ...]]) -> list[NDArray[np.float32]] | AudioError:
        recording, numbers = wanted
        try:
            return _images_of_copies(recording, numbers, augmentation, front_end)
        except AudioError as error:
            return error

    def names(recording: Path) -> list[str]:
        name = "" if cache is None else cache.path(recording).name
        return [f"{name}#{augmentation.key}-{number}" if name else "" for number in range(augmentation.copies)]

    def load(some: Sequence[Path], positions: Sequence[int]) -> list[NDArray[np.float32] | AudioError]:
        numbers: dict[Path, list[int]] = {}
        for position in positions:
            recording, number = divmod(position, augmentation.copies)
            numbers.setdefault(some[recording], []).append(number)
        with on_all_cores(images, [(recording, tuple(each)) for recording, each in numbers.items()]) as results:
            loaded: list[NDArray[np.float32] | AudioError] = []
            for each, result in zip(numbers.values(), results, strict=True):
                loaded += [result] * len(each) if isinstance(result, AudioError) else result
        return loaded

    found = np.empty((len(recordings), augmentation.copies, features.length), np.float32)
    step = max(1, _AT_ONCE // augmentation.copies)
    with Progress(console=console) as progress:
        task = progress.add_task("augmented copies", total=len(recordings) * augmentation.copies)
        for start in range(0, len(recordings), step):
            some = recordings[start : start + step]
            try:
                rows = features.rows(
                    [name for recording in some for name in names(recording)],
                    partial(load, some),
                )
            except AudioError as error:
                raise _unreadable(error) from None
            for position, row in enumerate(rows):
                if isinstance(row, AudioError):
                    raise _unreadable(row)
                found[start + position // augmentation.copies, position % augmentation.copies] = row
            progress.advance(task, len(rows))
    return found


def _images_of_copies(
    recording: Path, numbers: Sequence[int], augmentation: Augmentation, front_end: FrontEnd
) -> list[NDArray[np.float32]]:
    """Compute the images of the copies with these numbers, each of shape (height, width, 3), 0 to 1.

    Raises:
        AudioError: the recording cannot be used.
    """
    samples = read_recording(recording, front_end.sample_rate)
    try:
        content = int.from_bytes(hashlib.sha256(recording.read_bytes()).digest()[:8], "big")
    except OSError as error:
        raise AudioError(f"{recording}: cannot be read ({error.strerror})") from None
    generators = (np.random.default_rng([augmentation.seed, content, number]) for number in numbers)
    return [compute_image(augment(samples, random, front_end.sample_rate), front_end) for random in generators]


def _unreadable(error: AudioError) -> TrainingError:
    """Return the error for a recording that was readable a moment ago."""
    return TrainingError(error.message, fix=error.fix or "start the training again; finished work is not repeated")
