"""What the templates show, computed from the state of the device and from the history."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from device.system.display import counted

_HOURS = 24
_CHART_HOURS = 24
_CHART_STEPS = 288
"""Points of a chart: one in five minutes."""
_GAP_STEPS = 2
"""Steps without a value after which the line of a chart is interrupted."""


@dataclass(frozen=True)
class Today:
    """Today's predictions, for the charts and the list of the page `/`."""

    total: int
    """Number of predictions."""
    labels: list[str]
    """Classes: those of the model, then those that it no longer has."""
    hours: Sequence[Mapping[str, int]]
    """Predictions per class, for each of 24 hours."""
    rows: list[Mapping[str, Any]]
    """The latest predictions, the newest first, as tables."""


def today(day: str, labels: Sequence[str], latest: Sequence[Mapping[str, Any]], past: Mapping[str, Any]) -> Today:
    """Today's predictions, from the history, or without one from the latest predictions of the device.

    Args:
        day: today, such as `2026-01-31`.
        labels: classes of the model.
        latest: the latest predictions of the device, as events.
        past: `history`, the state of the history; if it is on, also `hours`, 24 mappings from class to number, and
            `rows`, stored predictions as tables.
    """
    rows: list[Mapping[str, Any]]
    hours: list[dict[str, int]]
    if past["history"]["on"]:
        hours, rows = list(past["hours"]), list(past["rows"])
    else:
        rows = [row for row in latest if str(row.get("time", ""))[:10] == day]
        hours = [{} for _ in range(_HOURS)]
        for row in rows:
            hour, label = str(row["time"])[11:13], str(row.get("corrected") or row.get("label"))
            if hour.isdigit() and int(hour) < _HOURS:
                hours[int(hour)][label] = hours[int(hour)].get(label, 0) + 1
    return Today(sum(sum(counts.values()) for counts in hours), all_labels(labels, hours), hours, rows)


def all_labels(labels: Sequence[str], counts: Iterable[Mapping[str, int]]) -> list[str]:
    """The classes of the model, then others that were counted, in the order of their names."""
    return [*labels, *sorted({label for each in counts for label in each} - set(labels))]


def by_day(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Stored predictions by their local day, in their order: days can repeat where the clock was wrong."""
    return [(day, list(of_day)) for day, of_day in itertools.groupby(rows, lambda row: str(row["time"])[:10])]


def heat_counts(cells: Sequence[Sequence[Mapping[str, int]]], label: str = "") -> list[list[int]]:
    """Numbers of predictions by weekday and hour, of one class or of all.

    Args:
        cells: predictions per class, shape (7, 24).
        label: the class; empty for all.
    """
    return [[counts.get(label, 0) if label else sum(counts.values()) for counts in row] for row in cells]


@dataclass(frozen=True)
class Tile:
    """One number of the page `/health`."""

    title: str
    value: str
    unit: str = ""
    note: str = ""
    """What it means where that is not clear; may be empty."""
    warning: bool = False
    """Whether something is wrong."""


def health_tiles(status: Mapping[str, Any] | None, live: Mapping[str, Any]) -> list[Tile]:
    """The numbers about the running device; none if it does not run.

    Args:
        status: fields of `device.daemon.status.Status`; None if it cannot be read.
        live: the state of the device, see `LiveState.as_dict`.
    """
    events = live.get("health") or {} if live.get("connected") else {}
    health = {**(status or {}), **{name: each for name, each in events.items() if each is not None}}
    tiles = []
    if _is_number(health.get("uptime_s")):
        tiles.append(Tile("Running for", duration(health["uptime_s"])))
    if _is_number(health.get("temperature_c")):
        hot = health["temperature_c"] >= 80  # where a Raspberry Pi begins to slow down
        tiles.append(
            Tile("Processor", f"{health['temperature_c']:.0f}", "°C", "hot: give it air" if hot else "", warning=hot)
        )
    if health.get("low_voltage") is not None or health.get("slowed") is not None:
        low, slowed = bool(health.get("low_voltage")), bool(health.get("slowed"))
        note = "use the power supply made for this board" if low else "the processor is slowed down" if slowed else ""
        tiles.append(Tile("Power", "too low" if low else "slowed" if slowed else "good", "", note, low or slowed))
    if _is_number(health.get("memory_mb")):
        tiles.append(Tile("Memory", f"{health['memory_mb']:.0f}", "MB"))
    if _is_number(health.get("blocks_dropped")):
        dropped = int(health["blocks_dropped"])
        note = "the machine was too slow for them" if dropped else ""
        tiles.append(Tile("Audio dropped", str(dropped), "block" if dropped == 1 else "blocks", note, dropped > 0))
    if _is_number(health.get("microphone_losses")):
        losses = int(health["microphone_losses"])
        tiles.append(Tile("Microphone lost", str(losses), "time" if losses == 1 else "times", "", losses > 0))
    if _is_number(health.get("utterances")):
        tiles.append(Tile("Utterances", str(health["utterances"]), "", "since the start"))
    if health.get("utterances") and _is_number(health.get("latency_median_ms")):
        tiles.append(
            Tile(
                "Pause to light",
                f"{health['latency_median_ms']:.1f}",
                "ms",
                f"worst {health['latency_worst_ms']:.1f} ms",
            )
        )
    if _is_number(health.get("examples")):
        examples = int(health["examples"])
        used = "used for predictions" if health.get("examples_used") else "not used, as they do not help yet"
        tiles.append(
            Tile("Voice profile", str(examples), "example" if examples == 1 else "examples", used if examples else "")
        )
    if health.get("model"):
        tiles.append(Tile("Model", str(health["model"])))
    return tiles


@dataclass(frozen=True)
class Chart:
    """A line over the last 24 hours."""

    title: str
    summary: str
    """The line in words."""
    points: list[tuple[float, float | None]]
    """Time, 0 to 1, and value; no value interrupts the line."""
    low: float
    """Value at the bottom."""
    high: float
    """Value at the top."""


_CHARTS = (
    ("Temperature", "temperature_c", "°C", 5.0),
    ("Memory", "memory_mb", "MB", 20.0),
    ("Audio blocks dropped", "blocks_dropped", "", 5.0),
    ("Microphone lost", "microphone_losses", "", 5.0),
)
"""Title, key of a record, unit, and the smallest range, so that noise does not look like a mountain."""


def health_charts(records: Sequence[Mapping[str, Any]], now: datetime | None = None) -> list[Chart]:
    """Charts of the last 24 hours.

    Args:
        records: fields of `device.history.records.HealthRecord`, with the time as text, the earliest first.
        now: the right end of the charts; None for the present.
    """
    now = now or datetime.now(UTC)
    charts = []
    for title, name, unit, smallest in _CHARTS:
        values = [(datetime.fromisoformat(each["time"]), each[name]) for each in records if _is_number(each[name])]
        if not values:
            continue
        numbers = [value for _, value in values]
        low, high = min(numbers), max(numbers)
        spare = max(0.0, smallest - (high - low)) / 2
        latest = f"{numbers[-1]:.0f} {unit}".strip()
        summary = f"{latest}, {low:.0f} to {high:.0f} {unit}".strip() if high > low else f"{latest} all the time"
        bottom = 0.0 if not unit else low - spare  # counters begin at zero
        charts.append(Chart(title, summary, _steps(values, now), bottom, max(high + spare, bottom + smallest)))
    for title, name in (("Low voltage", "low_voltage"), ("Slowed down", "slowed")):
        marks = [
            (datetime.fromisoformat(each["time"]), float(each[name])) for each in records if each[name] is not None
        ]
        if any(value for _, value in marks):
            minutes = sum(value > 0 for _, value in marks)
            charts.append(Chart(title, f"for {counted(minutes, 'minute')}", _steps(marks, now), 0, 1))
    return charts


def _steps(values: Iterable[tuple[datetime, float]], now: datetime) -> list[tuple[float, float | None]]:
    """The highest value of each step of time, as points."""
    began = now - timedelta(hours=_CHART_HOURS)
    highest: dict[int, float] = {}
    for time, value in values:
        step = math.floor((time - began) / (now - began) * _CHART_STEPS)
        if 0 <= step < _CHART_STEPS:
            highest[step] = max(value, highest.get(step, value))
    points: list[tuple[float, float | None]] = []
    before: int | None = None
    for step, value in sorted(highest.items()):
        if before is not None and step - before > _GAP_STEPS:
            points.append((before / _CHART_STEPS, None))
        points.append((step / _CHART_STEPS, value))
        before = step
    return points


_SEVERITY = {"FAIL": 0, "WARN": 1, "OK": 2}


def by_severity(findings: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Findings of a check of every part, problems first, otherwise in their order."""
    return sorted(findings, key=lambda each: _SEVERITY.get(each["verdict"], 0))


def duration(seconds: float) -> str:
    """A duration for people in its two largest units, such as `3 h 20 min`."""
    minutes = int(seconds) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def upper_first(text: str) -> str:
    """A sentence that begins with a capital letter, as in the middle of another one it did not."""
    return text[:1].upper() + text[1:]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
