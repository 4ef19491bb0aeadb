"""Events of a daemon, and a history to put them into."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from device.history.store import History

NOON = datetime(2026, 3, 4, 12, tzinfo=timezone(timedelta(hours=1)))
"""A Wednesday."""
LABELS = ("negative", "neutral", "positive")


def event(number: int, moment: datetime = NOON, label: str = "neutral", **changes: Any) -> dict[str, Any]:
    """Return a `prediction` event."""
    probabilities = {**dict.fromkeys(LABELS, 0.1), label: 0.8}
    return {
        "event": "prediction", "number": number, "daemon": "d" * 32, "replayed": False, "lights_stay": False,
        "time": moment.isoformat(timespec="milliseconds"), "label": label, "probabilities": probabilities,
        "raw_probabilities": None, "audio_only": {"label": "positive", "probabilities": {"positive": 1.0}},
        "text_only": None, "adapted": False, "confident": True, "light": label, "start_s": 1.0, "seconds": 2.5,
        "ending": "pause", "ms_speech_to_light": 502.5, "ms_endpoint_to_light": 2.0, **changes,
    }  # fmt: skip


class Clock:
    """A clock that tests set."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


def opened(
    path: Path,
    *,
    keep_days: int = 30,
    max_mb: int = 200,
    words: bool = False,
    clock: Clock | None = None,
    durable: bool = False,
) -> History:
    """Open a history that does not wait for the disk, unless it is `durable`: nobody pulls the plug on a test."""
    history = History(path, keep_days=keep_days, max_mb=max_mb, words=words, clock=clock or Clock())
    if not durable:
        history._connection.execute("PRAGMA synchronous = OFF")
    return history


def content(folder: Path) -> bytes:
    """The bytes of all files in a folder."""
    return b"".join(each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file())


def utc(*values: int) -> datetime:
    return datetime(*values, tzinfo=UTC)  # type: ignore[arg-type,misc]  # a year, a month, and so on
