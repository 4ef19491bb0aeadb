"""Rows as a network reads them: images, word ids and labels side by side; independent of files and networks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.bundle import Companions
from device.front_end.tokens import Tokens
from training.images.spectrogram_images import ClipImages
from training.images.stored_images import StoredImages

SILENCE = 0
"""Index of the silent image among the images (`clip_images` puts it first)."""


@dataclass(frozen=True)
class Examples:
    """The inputs and the class of each row; many rows may share one image, which is stored once."""

    images: NDArray[np.float32] | StoredImages
    """Shape (distinct, ...): images, or a network's features of them; the first is the image of silence."""
    index: NDArray[np.int64]
    """Shape (rows,): index into `images` of each row."""
    ids: NDArray[np.int32]
    """Shape (rows, length): word ids."""
    labels: NDArray[np.int64]
    """Shape (rows,): index of the class."""
    copies: NDArray[np.float32] | None = None
    """Shape (augmented, copies, ...): images like `images` of augmented copies; None if nothing is augmented."""
    copies_index: NDArray[np.int64] | None = None
    """Shape (rows,): index into `copies` of each row, -1 for a row without copies; None if nothing is augmented."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> "Examples":
        """Return the examples at these row numbers; the images stay shared."""
        copies_index = None if self.copies_index is None else self.copies_index[rows]
        return Examples(self.images, self.index[rows], self.ids[rows], self.labels[rows], self.copies, copies_index)


def examples_of(data: ClipImages, companions: Companions, images: NDArray[np.float32] | StoredImages) -> Examples:
    """Return the rows of some clips.

    Args:
        data: the clips; each has one of the companions' labels.
        companions: labels and vocabulary.
        images: shape (distinct, ...), `data.images` or features of them.
    """
    tokens = Tokens(companions.vocabulary, companions.front_end)
    ids = np.stack([tokens.ids(clip.text) for clip in data.clips])
    labels = np.array([companions.labels.index(clip.label) for clip in data.clips], np.int64)
    return Examples(images, data.index, ids, labels)
