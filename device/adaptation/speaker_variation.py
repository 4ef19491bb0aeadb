"""How the speakers of the training corpora differ: what a bundle carries for adapting to a voice.

`device.adaptation.speaker_adaptation` computes with it. It is stored as JSON with arrays in base64, so that it is one
of the texts of a bundle.
"""

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.bundle import SPEAKER_VARIATION_FILE, Companions
from device.errors import BundleError
from device.system.display import as_json

_MOST_VALUES = 1 << 20
"""Largest number of elements of an embedding, and of the directions."""
MOST_FEATURES = 256
"""Largest number of features of an utterance."""
LARGEST_FEATURE = 100.0
"""Largest absolute value of a feature. Those of speech are far smaller, because they are scaled to a variance of about
1 within a kind; without a limit a single defective recording would decide about everything."""
_MOST_KINDS = 1000
_LARGEST = 1e6
"""Larger absolute values in a bundle are damaged."""
_SMALLEST_VARIANCE = 1e-6
"""Smaller variances between speakers are damaged: their reciprocal has to remain a number."""
_OUTPUT_LIMIT = 1e30
"""Absolute value that replaces an infinite output of a network."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpeakerStatistics:
    """What the speakers of the training corpora have in common, and how far they differ.

    The classes of a model may consist of several kinds, as negative does of anger, sadness and fear.
    """

    means: Floats
    """Mean of each kind, shape (kinds, n)."""
    classes: NDArray[np.int64]
    """Index of the class that each kind belongs to, shape (kinds,)."""
    between_speakers: Floats
    """Variance of the offset that all kinds of a speaker share, shape (n,); above 0."""
    between_kinds: Floats
    """Variance of the offset of a single kind of a speaker, shape (n,); above 0."""
    strength: float = 0.2
    """Factor of the evidence: the dimensions are not quite independent, and a network has used the same audio already.
    """


@dataclass(frozen=True, eq=False)
class SpeakerVariation:
    """Directions of the embedding of a network, and what the training speakers show along them."""

    layer: str
    """Name of the layer whose output is the embedding; the names of nested models before it, with slashes between."""
    centre: Floats
    """Embedding that has the features 0, shape (n,)."""
    directions: Floats
    """Matrix of shape (n, features)."""
    statistics: SpeakerStatistics
    """Means and variances of the features."""

    def features(self, embeddings: NDArray[Any]) -> Floats:
        """Return the features of embeddings of shape (utterances, n), as (utterances, features); always finite."""
        if not np.abs(embeddings).max(initial=0) <= _OUTPUT_LIMIT:  # NaN is not either
            embeddings = np.clip(np.nan_to_num(embeddings), -_OUTPUT_LIMIT, _OUTPUT_LIMIT)
        found = np.asarray((embeddings - self.centre) @ self.directions, np.float64)
        return np.minimum(np.maximum(found, -LARGEST_FEATURE), LARGEST_FEATURE)

    def to_json(self) -> str:
        """Return the entry of a bundle. The directions are rounded to 16 bits, each row with a scale of its own."""
        scales = np.abs(self.directions).max(axis=1)
        scales[scales == 0] = 1
        own = self.statistics
        return as_json(
            {
                "layer": self.layer,
                "centre": _packed(self.centre, "<f4"),
                "scales": _packed(scales, "<f4"),
                "directions": _packed(self.directions / scales[:, None], "<f2"),
                "means": [[round(float(value), 4) for value in row] for row in own.means],
                "classes": own.classes.tolist(),
                "between_speakers": [round(float(value), 4) for value in own.between_speakers],
                "between_kinds": [round(float(value), 4) for value in own.between_kinds],
                "strength": own.strength,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "SpeakerVariation":
        """Read what `to_json` returns.

        Raises:
            BundleError: not such an entry.
        """
        try:
            table = json.loads(text)
            centre, scales = (_unpacked(table[name], "<f4", 1) for name in ("centre", "scales"))
            means = _numbers(table["means"], 2)
            shares = _unpacked(table["directions"], "<f2", 1).reshape(len(centre), means.shape[1])
            directions = shares * scales.reshape(len(centre), 1)
            classes = np.asarray(table["classes"])
            between = [_numbers(table[name], 1) for name in ("between_speakers", "between_kinds")]
            strength = float(_numbers(table["strength"], 0))
            layer = _name(table["layer"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError):
            raise _damaged("expected a JSON object with layer, directions and statistics") from None
        kinds, count = means.shape
        if classes.dtype != np.int64 or classes.shape != (kinds,) or not 1 <= kinds <= _MOST_KINDS:
            raise _damaged("not a class for each kind")
        # Compared with the number of kinds first: a range up to any number may not fit into memory.
        if not 0 <= classes.max() < kinds or not np.array_equal(np.unique(classes), np.arange(classes.max() + 1)):
            raise _damaged("a class has no kind")
        if any(each.shape != (count,) or (each < _SMALLEST_VARIANCE).any() for each in between):
            raise _damaged("not a variance above 0 for each feature")
        if not 0 < strength <= 1:
            raise _damaged("the strength is not above 0 and at most 1")
        return cls(layer, centre, directions, SpeakerStatistics(means, classes, between[0], between[1], strength))


def speaker_variation(companions: Companions) -> SpeakerVariation | None:
    """Read the speaker variation of a model; None if it has none.

    Raises:
        BundleError: it is damaged, or of another number of classes.
    """
    if companions.speaker_variation is None:
        return None
    found = SpeakerVariation.from_json(companions.speaker_variation)
    if int(found.statistics.classes.max()) + 1 != len(companions.labels):
        raise _damaged("of another number of classes")
    return found


def _packed(values: Floats, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def _unpacked(text: Any, dtype: str, dimensions: int) -> Floats:
    if not isinstance(text, str) or len(text) > 8 * _MOST_VALUES:
        raise TypeError("not an array in base64")
    stored = np.frombuffer(base64.b64decode(text, validate=True), dtype)
    with np.errstate(invalid="ignore"):  # numpy warns about some kinds of NaN, which is refused
        return _checked(stored.astype(np.float64), dimensions)


def _numbers(values: Any, dimensions: int) -> Floats:
    """Return nested JSON lists of numbers as an array; texts and truth values are refused."""
    array = np.asarray(values)
    if array.dtype.kind not in "if":
        raise TypeError("not numbers")
    return _checked(array.astype(np.float64), dimensions)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a name")
    return value


def _checked(array: Floats, dimensions: int) -> Floats:
    if array.ndim != dimensions or array.size > _MOST_VALUES or (array.ndim == 2 and array.shape[1] > MOST_FEATURES):
        raise ValueError("shape")
    if not all(map(math.isfinite, (array.min(initial=0), array.max(initial=0)))) or np.abs(array).max() > _LARGEST:
        raise ValueError("not finite")
    return array


def _damaged(what: str) -> BundleError:
    return BundleError(f"{SPEAKER_VARIATION_FILE}: {what}", fix="copy the model again, or convert it again")
