"""Rows as a network reads them: pictures, word ids and labels side by side. Knows neither files nor networks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.bundle import Companions
from device.front_end.tokens import Tokens
from training.images.spectrogram_images import ClipImages

SILENCE = 0
"""Place of the silent picture among the pictures (`clip_images` puts it first)."""


@dataclass(frozen=True)
class Examples:
    """What a network reads, row by row; many rows may share one picture, which is held once."""

    images: NDArray[np.float32]
    """Shape (distinct, ...): pictures, or a network's features of them; the first is the picture of silence."""
    index: NDArray[np.int64]
    """Shape (rows,): each row's place in `pictures`."""
    ids: NDArray[np.int32]
    """Shape (rows, length): word ids."""
    labels: NDArray[np.int64]
    """Shape (rows,): index of the class."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> "Examples":
        """The examples at these row numbers; the pictures stay shared."""
        return Examples(self.images, self.index[rows], self.ids[rows], self.labels[rows])


def examples_of(data: ClipImages, companions: Companions, pictures: NDArray[np.float32]) -> Examples:
    """The rows of some clips.

    Args:
        data: the clips, each with a label that the companions know.
        companions: labels and vocabulary.
        pictures: shape (distinct, ...), `data.images` or features of them.
    """
    tokens = Tokens(companions.vocabulary, companions.front_end)
    ids = np.stack([tokens.ids(clip.text) for clip in data.clips])
    labels = np.array([companions.labels.index(clip.label) for clip in data.clips], np.int64)
    return Examples(pictures, data.index, ids, labels)
