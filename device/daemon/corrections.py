"""Corrects the latest prediction of a running daemon: what was wrong is learnt at once."""

import threading

from device.adaptation.adapted_classifier import AdaptedClassifier, Learnt
from device.errors import ProfileError
from device.events import Prediction


class Corrections:
    """Remembers the latest prediction, and learns its class. All methods may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Held for a moment only: the listening thread waits for it."""
        self._classifier: AdaptedClassifier | None = None
        self._latest: Prediction | None = None
        self._corrected: tuple[Prediction, str] | None = None

    def loaded(self, classifier: AdaptedClassifier) -> None:
        """Learn for this classifier from now on."""
        with self._lock:
            self._classifier = classifier

    def predicted(self, prediction: Prediction) -> None:
        """Remember the latest prediction."""
        with self._lock:
            self._latest = prediction

    def correct(self, label: str) -> Learnt:
        """Learn the class of the latest prediction; may take a second. A second correction of it replaces the first.

        Raises:
            ProfileError: there is no such class, nothing was predicted yet, or the profile cannot be used or written.
        """
        with self._lock:
            classifier, latest = self._classifier, self._latest
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
            self._corrected = (latest, label)
        return learnt

    def take_corrected(self) -> str | None:
        """Return the right class of the latest prediction, once after it was learnt; else None."""
        with self._lock:
            corrected, self._corrected = self._corrected, None
            return corrected[1] if corrected is not None and corrected[0] is self._latest else None
