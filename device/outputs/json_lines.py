"""Predictions as lines, one each: JSON for other programs, or plain for a log."""

import json
from typing import Any

from device.events import Prediction

NO_WORDS = "(no words; answered by the sound alone)"
UNSURE = "unsure"


def as_table(prediction: Prediction, lit_at: float) -> dict[str, Any]:
    """What is told of a prediction.

    Args:
        prediction: the answer.
        lit_at: `time.monotonic()` when its light was on.
    """
    return {
        "time": prediction.time.isoformat(timespec="milliseconds"),
        "label": prediction.label,
        "probabilities": {label: round(value, 4) for label, value in prediction.probabilities.items()},
        "confident": prediction.confident,
        "light": prediction.light,
        "text": prediction.text,
        "start_s": round(prediction.utterance.start_s, 3),
        "seconds": round(prediction.utterance.end_s - prediction.utterance.start_s, 3),
        "ending": prediction.utterance.ending,
        "ms_speech_to_light": round(prediction.ms_since_speech(lit_at), 1),
        "ms_endpoint_to_light": round(prediction.ms_since_endpoint(lit_at), 1),
    }


def as_plain_line(table: dict[str, Any], *, words: bool) -> str:
    """The table as a line for people; what was said is in it only with `words`, that nothing was always."""
    doubt = "" if table["confident"] else f"  {UNSURE}"
    said = f"  \u201c{table['text']}\u201d" if words and table["text"] else "" if table["text"] else f"  {NO_WORDS}"
    return f"{table['time'][11:19]}  {table['label']:10}{table['probabilities'][table['label']]:4.0%}{doubt}{said}"


def as_line(table: dict[str, Any]) -> str:
    """The table as one line of JSON."""
    return json.dumps(table, ensure_ascii=False)
