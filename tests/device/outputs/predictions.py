"""Predictions as the daemon makes them, for tests of outputs, and a recorder of what outputs announce."""

import threading
from datetime import UTC, datetime
from typing import Any

import numpy as np

from device.events import Prediction, Preview, Utterance
from device.front_end.spectrogram import MAGMA
from device.outputs.json_lines import as_table
from tests.waiting import LIMIT_S

LABELS = ("negative", "neutral", "positive")
UTTERANCE = Utterance(start_s=1.0, speech_end_s=2.4, end_s=3.0, arrived_at=100.0, ending="silence")
LIT_AT = 100.025
"""When the light was on, 25 ms after the end of the utterance."""
# Bright at the bottom, dark at the top, as speech is.
IMAGE = np.repeat(MAGMA[np.linspace(255, 0, 64).astype(int)][:, None] / np.float32(255), 64, axis=1)


def prediction(
    label: str, text: str = "i love it", labels: tuple[str, ...] = LABELS, probability: float = 0.7
) -> Prediction:
    """A prediction with this probability for the label, the rest shared by the other labels."""
    rest = (1 - probability) / max(len(labels) - 1, 1)
    probabilities = {name: probability if name == label else rest for name in labels}
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Prediction(time, label, probabilities, text, UTTERANCE, image=IMAGE)


def preview(label: str, light: str | None = None, text: str = "i love") -> Preview:
    """A preview 0.9 s after the start of the utterance, whose most probable class is this label, with 0.6."""
    return Preview(label, prediction(label, probability=0.6).probabilities, text, 1.0, 1.9, light)


def numbered_prediction(number: int, text: str = "secret words") -> Prediction:
    """A prediction that is identified by the length of its utterance, `seconds` in its JSON object."""
    utterance = Utterance(0.0, 0.0, float(number), arrived_at=100.0, ending="silence")
    probabilities = {"positive": 0.75, "neutral": 0.15, "negative": 0.1}
    return Prediction(datetime(2026, 1, 1, 12, tzinfo=UTC), "positive", probabilities, text, utterance)


def numbered_table(number: int, *, words: bool = True) -> dict[str, Any]:
    """The JSON object of a numbered prediction, with or without its words."""
    table = as_table(numbered_prediction(number), LIT_AT)
    return table if words else {name: value for name, value in table.items() if name != "text"}


class Announcements:
    """Records the lines that an output announces."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def wait_for(self, part: str, times: int = 1) -> None:
        """Wait until this part has been announced so many times."""
        with self._changed:
            assert self._changed.wait_for(lambda: sum(part in line for line in self.lines) >= times, LIMIT_S), (
                self.lines
            )
