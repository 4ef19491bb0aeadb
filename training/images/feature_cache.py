"""What a network's frozen trunk sees in pictures: numbers that are computed once, not in every epoch, and can be kept.

A kept row is found by a digest of the trunk and by the picture's name, which holds a digest of recording and front end
(see `ImageCache`); so what is found is right, and whatever has changed is computed anew. This module knows pictures
and a trunk, neither recordings nor words.
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

_AT_ONCE = 32
"""Pictures that the trunk is given at once."""


class FeatureCache:
    """The features that a frozen trunk gives of pictures.

    Args:
        trunk: pictures (batch, height, width, 3) -> features (batch, n).
        folder: of pictures; the features are kept in it, one folder for each trunk. None keeps none.
    """

    def __init__(self, trunk: Any, folder: Path | None) -> None:
        self._trunk = trunk
        self._folder = None if folder is None else folder / f"features-{digest(trunk)[:16]}"
        self._length = int(trunk.output_shape[-1])
        self._kept: dict[str, NDArray[np.float32]] = {}
        if self._folder is not None:
            self._read(self._folder)

    def of(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the features of pictures, shape (n, height, width, 3), 0 to 1; gives shape (n, features)."""
        starts = range(0, len(pictures), _AT_ONCE)
        parts = [self._trunk.predict_on_batch(pictures[start : start + _AT_ONCE]) for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, self._length), np.float32)

    def rows(
        self, names: Sequence[str], draw: Callable[[Sequence[int]], Sequence[NDArray[np.float32] | AudioError]]
    ) -> list[NDArray[np.float32] | AudioError]:
        """The features of some pictures, those kept or computed now and kept.

        Args:
            names: of the pictures; an empty one names nothing that is kept.
            draw: gives the pictures at these places among the names, or what is wrong with the recording.

        Returns:
            For each name its features, shape (n,), or what was wrong.

        Raises:
            TrainingError: the disk is full or the folder cannot be written to; what was kept before stays.
        """
        found: dict[int, NDArray[np.float32] | AudioError] = {
            place: self._kept[name] for place, name in enumerate(names) if name in self._kept
        }
        missing = [place for place in range(len(names)) if place not in found]
        drawn = dict(zip(missing, draw(missing), strict=True))
        found.update({place: each for place, each in drawn.items() if isinstance(each, AudioError)})
        pictures = {place: each for place, each in drawn.items() if not isinstance(each, AudioError)}
        if pictures:
            features = self.of(np.stack(list(pictures.values())))
            self._keep([names[place] for place in pictures], features)
            found.update(zip(pictures, features, strict=True))
        return [found[place] for place in range(len(names))]

    def _keep(self, names: Sequence[str], features: NDArray[np.float32]) -> None:
        """Write features, shape (names, n), to the folder, all of them or none."""
        if self._folder is None:
            return
        path = self._folder / f"{hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:16]}.npz"
        write_arrays(path, names=np.array(names, np.str_), features=features)

    def _read(self, folder: Path) -> None:
        """Read what is kept; a file that is damaged, or all of whose pictures are gone, is removed."""
        for path in sorted(folder.glob("*.npz")):
            kept = read_arrays(path) or {}
            names, features = kept.get("names", np.zeros(0, np.str_)).tolist(), kept.get("features", np.zeros(0))
            if features.dtype != np.float32 or features.shape != (len(names), self._length):
                names = []
            there = [(folder.parent / str(name)).exists() for name in names]
            if any(there):
                self._kept.update(zip(names, features, strict=True))
            else:
                path.unlink(missing_ok=True)


def digest(trunk: Any) -> str:
    """SHA-256 of all that a trunk's answers depend on: its layers with their settings, and its weights."""
    # Names are left out: Keras numbers some of them anew each time a network is built.
    layers = [
        (type(layer).__name__, {key: value for key, value in layer.get_config().items() if key != "name"})
        for layer in trunk.layers
    ]
    found = hashlib.sha256(json.dumps(layers, sort_keys=True, default=str).encode())
    for weight in trunk.get_weights():
        found.update(np.ascontiguousarray(weight).tobytes())
    return found.hexdigest()
