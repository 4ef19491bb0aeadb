"""Corrects the latest prediction of a running daemon: what was wrong is learnt at once."""

import threading
from collections import deque
from dataclasses import dataclass

from device.adaptation.adapted_classifier import AdaptedClassifier, Learnt
from device.errors import ProfileError
from device.events import Prediction

_MOST = 64
"""Number of corrections that wait until the listening thread takes them."""


@dataclass(frozen=True)
class Corrected:
    """What a person has named, and was learnt."""

    label: str
    """The right class."""
    later: int
    """Number of predictions that were made after the one that this corrects, because learning takes a while."""


class Corrections:
    """Remembers the latest prediction, and learns its class. All methods may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Held for a moment only: the listening thread waits for it."""
        self._classifier: AdaptedClassifier | None = None
        self._latest: Prediction | None = None
        self._number = 0
        """Number of predictions so far."""
        self._corrected: deque[tuple[int, str]] = deque(maxlen=_MOST)
        """Number of the prediction, and its right class."""

    def loaded(self, classifier: AdaptedClassifier) -> None:
        """Learn for this classifier from now on."""
        with self._lock:
            self._classifier = classifier

    def predicted(self, prediction: Prediction) -> None:
        """Remember the latest prediction."""
        with self._lock:
            self._latest = prediction
            self._number += 1

    def correct(self, label: str) -> Learnt:
        """Learn the class of the latest prediction; may take a second. A second correction of it replaces the first.

        Raises:
            ProfileError: there is no such class, nothing was predicted yet, or the profile cannot be used or written.
        """
        with self._lock:
            classifier, latest, number = self._classifier, self._latest, self._number
        if classifier is not None and classifier.path is None:
            raise ProfileError(
                "nothing is learnt, because the settings choose no voice profile",
                fix='remove profile = "none" under [classifier], and start again',
            )
        if classifier is None or latest is None or latest.features is None:
            raise ProfileError(
                "nothing was predicted yet", fix="speak, and wait for a prediction that can be corrected"
            )
        learnt = classifier.correct(latest.features, label)
        with self._lock:
            self._corrected.append((number, label))
        return learnt

    def take_corrected(self) -> list[Corrected]:
        """Return what was learnt since the last call, in this order."""
        with self._lock:
            taken = [Corrected(label, self._number - number) for number, label in self._corrected]
            self._corrected.clear()
        return taken
