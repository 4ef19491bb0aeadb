"""Answers as the daemon gives them, for tests of what shows them."""

from datetime import UTC, datetime

import numpy as np

from device.events import Prediction, Utterance
from device.front_end.spectrogram import MAGMA

LABELS = ("negative", "neutral", "positive")
UTTERANCE = Utterance(start_s=1.0, speech_end_s=2.4, end_s=3.0, arrived_at=100.0, ending="silence")
# Bright below, dark above, as speech is.
PICTURE = np.repeat(MAGMA[np.linspace(255, 0, 64).astype(int)][:, None] / np.float32(255), 64, axis=1)


def prediction(label: str, text: str = "i love it", labels: tuple[str, ...] = LABELS) -> Prediction:
    """70 % for the label, the rest for the others."""
    rest = 0.3 / max(len(labels) - 1, 1)
    probabilities = {name: 0.7 if name == label else rest for name in labels}
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Prediction(time, label, probabilities, text, UTTERANCE, image=PICTURE)
