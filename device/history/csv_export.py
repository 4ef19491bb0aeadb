"""Predictions as CSV, for spreadsheets and programs."""

import csv
import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from device.history.records import StoredPrediction

COLUMNS = (
    "time", "label", "corrected", "probability", "confident", "light", "lights_stay", "seconds", "ms_speech_to_light",
    "adapted", "audio_only", "text_only", "text", "probabilities", "clock_doubtful", "sequence", "daemon", "number",
    "boot",
)  # fmt: skip
"""Columns of the table, in their order."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # also those of full width
"""With these a spreadsheet takes a text for a formula, which can run programs."""
_STEP = 1000


class TextStream(Protocol):
    """Where text is written to, such as an open file."""

    def write(self, text: str, /) -> object:
        """Write text."""


def write(
    predictions: Iterable[StoredPrediction], stream: TextStream, progress: Callable[[int], None] = lambda _count: None
) -> int:
    """Write predictions as CSV with a line of column names; a text that a spreadsheet would run gets an apostrophe.

    Args:
        predictions: the predictions.
        stream: text stream.
        progress: called with the number of predictions written so far, now and then.

    Returns:
        Number of predictions.
    """
    table = csv.writer(stream)
    table.writerow(COLUMNS)
    count = 0
    for count, each in enumerate(predictions, 1):
        table.writerow(map(_cell, _values(each)))
        if count % _STEP == 0:
            progress(count)
    progress(count)
    return count


def _values(each: StoredPrediction) -> tuple[Any, ...]:
    return (
        each.time.isoformat(timespec="milliseconds"), each.label, each.corrected, each.probabilities.get(each.label),
        each.confident, each.light, each.lights_stay, each.seconds, each.latency_ms, each.adapted,
        each.audio_only and each.audio_only.get("label"), each.text_only and each.text_only.get("label"), each.text,
        json.dumps(each.probabilities, ensure_ascii=False), each.clock_doubtful, each.sequence, each.daemon,
        each.number, each.boot,
    )  # fmt: skip


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
