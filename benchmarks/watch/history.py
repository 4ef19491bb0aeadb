"""Measures the history with a million predictions: how fast it stores, shows, exports and removes them, and its size.

    python -m benchmarks.watch.history [PREDICTIONS] [FOLDER]

FOLDER is on the disk to measure; without it, the folder for temporary files. Prints a page in Markdown.
"""

import io
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from device.history.records import Filter
from device.history.store import History

_LABELS = ("negative", "neutral", "positive")
_A_DAY = 1500
"""Predictions of a day on which people talk often: a million are nearly two years."""
_COMMITS = 300
_REPEATS = 5
LAST = datetime(2027, 6, 15, 18, tzinfo=UTC)
_GOALS_MS = {"a day: counts, hours and the first page": 100.0, "heat map of everything": 300.0}


@dataclass(frozen=True)
class Commits:
    """The cost of storing one prediction."""

    full_ms: float
    """Median milliseconds until it is on the disk, so that it survives a power failure."""
    normal_ms: float
    """Median milliseconds without waiting for the disk, so that it survives the end of the process alone."""
    written_bytes: float
    """Bytes that the process writes for each, the copies of the journal into the file included."""


def event(number: int, moment: datetime, chance: random.Random, daemon: str = "0" * 32) -> dict[str, Any]:
    """Return a `prediction` event as the daemon publishes it."""
    shares = [chance.random() for _ in _LABELS]
    probabilities = {name: round(share / sum(shares), 4) for name, share in zip(_LABELS, shares, strict=True)}
    label = max(probabilities, key=lambda name: probabilities[name])
    modality = {"label": label, "probabilities": probabilities}
    return {
        "event": "prediction", "number": number, "daemon": daemon, "replayed": False, "lights_stay": False,
        "time": moment.isoformat(timespec="milliseconds"), "label": label, "probabilities": probabilities,
        "raw_probabilities": None, "audio_only": modality, "text_only": modality, "adapted": False,
        "confident": probabilities[label] > 0.4, "light": label, "start_s": 1.0, "seconds": 2.0, "ending": "pause",
        "ms_speech_to_light": 502.0, "ms_endpoint_to_light": 2.0,
    }  # fmt: skip


def moments(count: int) -> Iterator[datetime]:
    """Yield times until `LAST`, `_A_DAY` predictions a day between 7 and 22 o'clock."""
    first = (LAST - timedelta(days=-(-count // _A_DAY) - 1)).replace(hour=7)
    for number in range(count):
        day, place = divmod(number, _A_DAY)
        yield first + timedelta(days=day, hours=15 * place / _A_DAY)


def fill(history: History, count: int) -> float:
    """Store predictions without waiting for the disk; return the milliseconds for each."""
    history._connection.execute("PRAGMA synchronous = OFF")
    chance = random.Random(1)  # noqa: S311  # no secret
    started = time.perf_counter()
    for number, moment in enumerate(moments(count), 1):
        history.add(event(number, moment, chance), "boot")
    history._connection.execute("PRAGMA synchronous = FULL")
    return (time.perf_counter() - started) / count * 1000


def commits(folder: Path) -> Commits:
    """Measure single commits on the disk of a folder."""
    chance = random.Random(2)  # noqa: S311  # no secret
    costs = {}
    with opened(folder / "commits.sqlite3") as history:
        for number, level in enumerate(("FULL", "NORMAL")):
            history._connection.execute(f"PRAGMA synchronous = {level}")
            durations = []
            for place in range(_COMMITS):
                each = event(1 + number * _COMMITS + place, LAST + timedelta(seconds=place), chance)
                durations.append(_milliseconds(partial(history.add, each, "boot")))
            costs[level] = statistics.median(durations)
        before = _written_bytes()
        for place in range(10 * _COMMITS):
            history.add(event(10_000 + place, LAST + timedelta(seconds=place), chance), "boot")
        written = (_written_bytes() - before) / (10 * _COMMITS)
    return Commits(costs["FULL"], costs["NORMAL"], written)


def queries(history: History) -> dict[str, float]:
    """Milliseconds of what a page shows, by its name: the median, each time from a connection that has read nothing."""
    today, middle = LAST.date(), history.contents().predictions // 2
    tasks: dict[str, Callable[[History], object]] = {
        "a day: counts, hours and the first page": lambda opened: (
            opened.day(today), opened.hours(today), opened.page(Filter(day=today), limit=100)
        ),
        "heat map of everything": lambda opened: opened.heat_map(),
        "heat map of the last 8 weeks": lambda opened: opened.heat_map(8),
        "all days": lambda opened: opened.days(),
        "the latest page": lambda opened: opened.page(limit=100),
        "a page in the middle": lambda opened: opened.page(before=middle, limit=100),
        "a page with a low confidence": lambda opened: opened.page(Filter(low_confidence=True), limit=100),
        "the first prediction after a start": lambda opened: opened.add(
            event(1, LAST, random.Random(3), f"{time.monotonic_ns():032}"), "boot"  # noqa: S311  # no secret
        ),
        "a class that was never predicted": lambda opened: opened.page(Filter(label="joy"), limit=100),
        "number, first and last": lambda opened: opened.contents(),
    }  # fmt: skip
    found = {}
    for name, task in tasks.items():
        durations = []
        for _ in range(_REPEATS):
            with opened(history.path) as other:
                durations.append(_milliseconds(lambda: task(other)))  # noqa: B023  # called at once
        found[name] = statistics.median(durations)
    return found


def opened(path: Path, *, keep_days: int = 3650, max_mb: int = 100_000) -> History:
    """Open a history whose clock shows `LAST`."""
    return History(path, keep_days=keep_days, max_mb=max_mb, words=False, clock=lambda: LAST)


def _milliseconds(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return (time.perf_counter() - started) * 1000


def _written_bytes() -> int:
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["wchar"])


def _seconds(task: Callable[[], object]) -> float:
    return _milliseconds(task) / 1000


def report(count: int, folder: Path) -> Iterator[str]:
    """Measure, and yield the lines of the page."""
    path = folder / "history.sqlite3"
    cost = commits(folder)
    yield f"# A history of {count:,} predictions"
    yield ""
    versions = f"SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}"
    yield f"{versions}, {platform.machine()}, {os.cpu_count()} cores."
    yield ""
    yield "| storing one prediction | |"
    yield "|---|---:|"
    yield f"| until it survives a power failure (`synchronous = FULL`) | {cost.full_ms:.2f} ms |"
    yield f"| until it survives the end of the process (`NORMAL`) | {cost.normal_ms:.2f} ms |"
    yield f"| bytes written | {cost.written_bytes / 1000:.0f} kB |"
    with opened(path) as history:
        yield f"| with {count:,} predictions, without the disk | {fill(history, count):.2f} ms |"
        size = path.stat().st_size
        yield f"| size in the file | {size / count:.0f} bytes |"
        yield ""
        yield "| query | ms | goal, ms |"
        yield "|---|---:|---:|"
        for name, found in queries(history).items():
            goal = f"{_GOALS_MS[name]:.0f}" if name in _GOALS_MS else ""
            yield f"| {name} | {found:.1f} | {goal} |"
        yield ""
        yield "| task | s | file after it, MB |"
        yield "|---|---:|---:|"
        yield f"| export as CSV | {_seconds(lambda: history.export(io.StringIO())):.1f} | {size / 1e6:.0f} |"
        middle = (LAST - timedelta(days=count / _A_DAY / 2)).date()
        seconds = _seconds(lambda: history.erase(before=middle))
        yield f"| erase the first half | {seconds:.1f} | {path.stat().st_size / 1e6:.0f} |"
    with opened(path, max_mb=max(1, round(size / 4e6))) as history:
        seconds = _seconds(history.retain)
        yield f"| reduce it to a quarter by `max_mb` | {seconds:.1f} | {path.stat().st_size / 1e6:.0f} |"
        seconds = _seconds(history.erase)
        yield f"| erase the rest | {seconds:.1f} | {path.stat().st_size / 1e6:.0f} |"


if __name__ == "__main__":
    _place = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(prefix="history", dir=_place) as _folder:
        for _line in report(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, Path(_folder)):
            print(_line, flush=True)
