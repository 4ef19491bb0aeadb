"""Answers to publish, and what is told of it."""

import threading
from typing import Any

LIMIT_S = 30
REACHED = "is told each answer"
"""What is said of a broker."""


def answer(number: int) -> dict[str, Any]:
    """One that is told apart by `seconds`."""
    return {
        "time": "2026-01-01T12:00:00.000+00:00", "label": "positive",
        "probabilities": {"positive": 0.75, "neutral": 0.15, "negative": 0.1},
        "text": "secret words", "seconds": float(number),
    }  # fmt: skip


class Told:
    """Lines that were announced."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def wait_for(self, part: str, times: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: sum(part in line for line in self.lines) >= times, LIMIT_S), (
                self.lines
            )
