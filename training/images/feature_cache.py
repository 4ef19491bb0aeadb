"""Features of images from a network's frozen trunk, computed once and not in every epoch, and cached in a folder.

A cached row is found by a digest of the trunk and by the image's name, which contains a digest of recording and front
end (see `ImageCache`); so a cached row is always valid, and whatever has changed is computed again. The name of an
image that is not in the folder itself is that of the image that it was made from, a `#`, and how it was made. This
module is independent of recordings and words.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import AudioError
from training.images.array_cache import read_arrays, write_arrays

_BATCH_SIZE = 32
"""Images per call of the trunk."""


class FeatureCache:
    """Computes the features of images with a frozen trunk, and caches them.

    Args:
        trunk: Keras model, images (batch, height, width, 3) -> features (batch, n).
        folder: folder of the image cache; the features are stored in it, in one folder for each trunk. None stores
            none.
    """

    length: int
    """Number of features of an image."""

    def __init__(self, trunk: Any, folder: Path | None) -> None:
        self._trunk = trunk
        self._folder = None if folder is None else folder / f"features-{digest(trunk)[:16]}"
        self.length = int(trunk.output_shape[-1])
        self._cached: dict[str, NDArray[np.float32]] = {}
        if self._folder is not None:
            self._read(self._folder)

    def compute(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the features of images, shape (n, height, width, 3), 0 to 1; returns shape (n, features)."""
        starts = range(0, len(images), _BATCH_SIZE)
        parts = [self._trunk.predict_on_batch(images[start : start + _BATCH_SIZE]) for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, self.length), np.float32)

    def rows(
        self, names: Sequence[str], load: Callable[[Sequence[int]], Sequence[NDArray[np.float32] | AudioError]]
    ) -> list[NDArray[np.float32] | AudioError]:
        """Return the features of some images from the cache; missing ones are computed and cached.

        Args:
            names: names of the images; an image with an empty name is never in the cache.
            load: returns the images at these positions among the names, or the error of a recording.

        Returns:
            For each name its features, shape (n,), or the error of its recording.

        Raises:
            TrainingError: the disk is full or the folder cannot be written to; the cache is unchanged.
        """
        found: dict[int, NDArray[np.float32] | AudioError] = {
            position: self._cached[name] for position, name in enumerate(names) if name in self._cached
        }
        missing = [position for position in range(len(names)) if position not in found]
        loaded = dict(zip(missing, load(missing), strict=True))
        found.update({position: each for position, each in loaded.items() if isinstance(each, AudioError)})
        images = {position: each for position, each in loaded.items() if not isinstance(each, AudioError)}
        if images:
            features = self.compute(np.stack(list(images.values())))
            self._store([names[position] for position in images], features)
            found.update(zip(images, features, strict=True))
        return [found[position] for position in range(len(names))]

    def _store(self, names: Sequence[str], features: NDArray[np.float32]) -> None:
        """Write features, shape (names, n), to the folder, all of them or none."""
        if self._folder is None:
            return
        path = self._folder / f"{hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16]}.npz"
        write_arrays(path, names=np.array(names, np.str_), features=features)

    def _read(self, folder: Path) -> None:
        """Read the cached features; a file that is damaged, or whose images have all been removed, is deleted."""
        for path in sorted(folder.glob("*.npz")):
            cached = read_arrays(path) or {}
            names, features = cached.get("names", np.zeros(0, np.str_)).tolist(), cached.get("features", np.zeros(0))
            if features.dtype != np.float32 or features.shape != (len(names), self.length):
                names = []
            if any((folder.parent / str(name).partition("#")[0]).exists() for name in names):
                self._cached.update(zip(names, features, strict=True))
            else:
                path.unlink(missing_ok=True)


def digest(trunk: Any) -> str:
    """Return the SHA-256 of everything that a trunk's features depend on: its layers with settings, and its weights."""
    # Without names: Keras numbers some of them differently each time a network is built.
    layers = [
        (type(layer).__name__, {key: value for key, value in layer.get_config().items() if key != "name"})
        for layer in trunk.layers
    ]
    found = hashlib.sha256(json.dumps(layers, sort_keys=True, default=str).encode())
    for weight in trunk.get_weights():
        found.update(np.ascontiguousarray(weight).tobytes())
    return found.hexdigest()
