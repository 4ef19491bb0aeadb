"""Images in a quarter of the memory: a byte for each colour, of which spectrogram images and files have 256 steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StoredImages:
    """Images that are read and written as float32, 0 to 1, like those of an array, and stored as bytes.

    Every value is one of n / 255, as `compute_image` and image files have them; it is the same, down to the last bit,
    when it is read.
    """

    pixels: NDArray[np.uint8]
    """Shape (images, height, width, 3), 0 to 255."""

    @classmethod
    def empty(cls, count: int, shape: tuple[int, ...]) -> "StoredImages":
        """Return so many images of a shape, (height, width, 3), without any content yet."""
        return cls(np.empty((count, *shape), np.uint8))

    @property
    def shape(self) -> tuple[int, ...]:
        """(images, height, width, 3)."""
        return self.pixels.shape

    def first(self, count: int) -> "StoredImages":
        """Return the first images; they share the memory."""
        return StoredImages(self.pixels[:count])

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        return np.asarray(self.pixels[index] / np.float32(255), np.float32)

    def __setitem__(self, index: Any, images: NDArray[np.float32]) -> None:
        self.pixels[index] = np.rint(images * 255)
