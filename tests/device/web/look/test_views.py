"""What the templates show."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from device.daemon.self_check import summary
from device.web.look import views

NOW = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)
LABELS = ["negative", "positive"]


def row(time: str, label: str, corrected: str | None = None) -> dict[str, Any]:
    return {"time": time, "label": label, "corrected": corrected}


def test_today_without_a_history_is_what_the_daemon_repeats() -> None:
    latest = [
        row("2026-01-31T19:05:00+01:00", "positive"), row("2026-01-31T19:01:00+01:00", "positive", "negative"),
        row("2026-01-31T08:00:00+01:00", "calm"), row("2026-01-30T23:59:59+01:00", "positive"), {"label": "positive"},
    ]  # fmt: skip
    today = views.today("2026-01-31", LABELS, latest, {"history": {"on": False}})
    assert today.total == 3
    assert today.labels == ["negative", "positive", "calm"]
    assert today.hours[19] == {"positive": 1, "negative": 1}
    assert today.hours[8] == {"calm": 1}
    assert [each["time"][11:13] for each in today.rows] == ["19", "19", "08"]


def test_today_with_a_history_is_what_is_stored() -> None:
    hours: list[dict[str, int]] = [{} for _ in range(24)]
    hours[7] = {"positive": 600}
    past = {"history": {"on": True}, "hours": hours, "rows": [row("2026-01-31T07:00:00+01:00", "positive")]}
    today = views.today("2026-01-31", LABELS, [row("2026-01-31T19:05:00+01:00", "negative")], past)
    assert (today.total, len(today.rows)) == (600, 1)


def test_days_stay_in_their_order() -> None:
    rows = [row("2026-01-31T07:00", "a"), row("2026-01-31T06:00", "b"), row("2026-01-02T06:00", "c")]
    assert [(day, len(of_day)) for day, of_day in views.by_day(rows)] == [("2026-01-31", 2), ("2026-01-02", 1)]


def test_heat_counts_are_of_all_classes_or_of_one() -> None:
    cells = [[{"negative": 2, "positive": 3}, {}]]
    assert views.heat_counts(cells) == [[5, 0]]
    assert views.heat_counts(cells, "positive") == [[3, 0]]


def record(minutes_ago: float, **values: Any) -> dict[str, Any]:
    names = ("memory_mb", "blocks_dropped", "microphone_losses", "temperature_c", "low_voltage", "slowed")
    time = (NOW - timedelta(minutes=minutes_ago)).isoformat(timespec="minutes")
    return {"time": time, **dict.fromkeys(names), **values}


def test_a_chart_is_interrupted_where_nothing_was_stored() -> None:
    records = [record(minutes, temperature_c=50.0) for minutes in (600, 595, 60, 55)]
    [chart] = views.health_charts(records, NOW)
    assert chart.summary == "50 °C all the time"
    assert [value for _, value in chart.points] == [50.0, 50.0, None, 50.0, 50.0]
    assert all(0 <= x <= 1 for x, _ in chart.points)
    assert chart.low < 50 < chart.high


def test_a_chart_has_the_highest_value_of_each_step_and_few_points() -> None:
    records = [record(minutes, temperature_c=80.0 if minutes == 700 else 50.0) for minutes in range(1439, 0, -1)]
    [chart] = views.health_charts(records, NOW)
    assert len(chart.points) <= 288
    assert max(value or 0 for _, value in chart.points) == 80
    assert chart.summary == "50 °C, 50 to 80 °C"


def test_low_voltage_has_a_chart_only_if_there_was_any() -> None:
    assert views.health_charts([record(5, low_voltage=False)], NOW) == []
    [chart] = views.health_charts([record(6, low_voltage=True), record(5, low_voltage=False)], NOW)
    assert (chart.title, chart.summary) == ("Low voltage", "for 1 minute")


def test_tiles_name_what_is_wrong() -> None:
    health = {
        "temperature_c": 83.0,
        "low_voltage": True,
        "slowed": True,
        "blocks_dropped": 2,
        "memory_mb": float("nan"),
    }
    tiles = {tile.title: tile for tile in views.health_tiles(None, {"connected": True, "health": health})}
    assert tiles["Processor"].warning
    assert tiles["Power"].value == "too low"
    assert tiles["Audio dropped"].warning
    assert "Memory" not in tiles


def test_tiles_of_a_status_without_events() -> None:
    tiles = {
        tile.title: tile.value
        for tile in views.health_tiles({"memory_mb": 229.3}, {"connected": False, "health": {"memory_mb": 1}})
    }
    assert tiles == {"Memory": "229"}
    assert views.health_tiles(None, {"connected": False}) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 min"), (3599, "59 min"), (3600, "1 h 0 min"), (90_000, "1 d 1 h"), (86_399, "23 h 59 min")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert views.duration(seconds) == text


def finding(verdict: str, topic: str) -> dict[str, str]:
    return {"topic": topic, "verdict": verdict, "message": "", "fix": ""}


def test_findings_are_summed_up_and_problems_come_first() -> None:
    findings = [
        finding("OK", "settings"), finding("WARN", "lights"), finding("FAIL", "model"), finding("WARN", "level"),
        finding("FAIL", "memory"), finding("FAIL", "model"), finding("OK", "service"),
    ]  # fmt: skip
    ordered = [each["topic"] for each in views.by_severity(findings)]
    assert ordered == ["model", "memory", "model", "lights", "level", "settings", "service"]
    assert summary(findings) == "Fix first: model, memory."
    assert summary(findings[:2]) == "It works, with warnings: lights."
    assert summary(findings[:1]) == "No problems found."
