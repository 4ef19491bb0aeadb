"""What is stored, for how long, and that what is erased is gone."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from device.errors import HistoryError
from device.history.records import Filter
from device.history.store import History
from tests.device.history.events import LABELS, NOON, Clock, content, event, opened, utc

BERLIN = ZoneInfo("Europe/Berlin")
HEALTH = {
    "memory_mb": 229.3, "uptime_s": 3600.5, "blocks_dropped": 2, "microphone_losses": 1, "temperature_c": 51.2,
    "low_voltage": False, "slowed": None, "model": "sentiment",
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite3"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with opened(path) as history:
        yield history


def numbers(history: History, conditions: Filter | None = None) -> list[int]:
    return [each.number for each in reversed(history.page(conditions, limit=1000).predictions)]


def test_a_prediction_is_stored_with_all_that_a_page_shows(path: Path) -> None:
    moment = datetime(2026, 3, 4, 12, 30, 1, 250_000, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    given = event(7, moment, "positive", text="i love it", adapted=True, lights_stay=True, light=None, confident=False)
    with opened(path, words=True) as history:
        assert history.add(given, "boot")
    with opened(path) as history:
        [stored] = history.page().predictions
    assert (stored.time, stored.time.utcoffset()) == (moment, timedelta(hours=5, minutes=45))
    assert (stored.label, stored.corrected) == ("positive", None)
    assert stored.probabilities == given["probabilities"]
    assert list(stored.probabilities) == list(given["probabilities"])
    assert stored.audio_only == given["audio_only"]
    assert stored.text_only is None
    assert (stored.confident, stored.adapted, stored.lights_stay, stored.clock_doubtful) == (False, True, True, False)
    assert (stored.light, stored.seconds, stored.latency_ms, stored.text) == (None, 2.5, 502.5, "i love it")
    assert (stored.daemon, stored.number, stored.boot) == ("d" * 32, 7, "boot")
    table = json.loads(json.dumps(stored.as_table()))
    assert {name: table[name] for name in given if name in table} == {
        name: given[name] for name in table if name in given
    }


def test_words_are_stored_only_if_the_settings_say_so(history: History, path: Path) -> None:
    history.add(event(1, text="zebracrossing"), "boot")
    assert history.page().predictions[0].text is None
    assert history.contents().with_words == 0
    assert b"zebracrossing" not in content(path.parent)


def test_each_prediction_is_stored_once(history: History) -> None:
    assert history.add(event(1), "boot")
    assert not history.add(event(1, label="positive"), "boot")
    assert not history.add(event(1, replayed=True), "boot")
    assert history.add(event(1, daemon="e" * 32), "boot")
    assert history.labels() == {"neutral": 2}


def test_nothing_is_added_with_0_days_and_what_is_there_stays(path: Path, history: History) -> None:
    history.add(event(1, NOON - timedelta(days=1000)), "boot")
    with opened(path, keep_days=0) as reader:
        assert not reader.add(event(2), "boot")
        reader.add_health(HEALTH)
        assert reader.retain() == 0
        assert numbers(reader) == [1]
        assert reader.health(1) == []


def test_corrections(history: History) -> None:
    history.add(event(1), "boot")
    assert history.correct("d" * 32, 1, "negative")
    assert not history.correct("d" * 32, 1, "negative")
    assert history.labels() == {"negative": 1}
    assert history.correct("d" * 32, 1, "positive")
    assert not history.correct("d" * 32, 2, "positive")
    assert not history.correct("e" * 32, 1, "positive")
    assert not history.correct("d" * 32, 2**70, "positive")
    [stored] = history.page().predictions
    assert (stored.label, stored.corrected) == ("neutral", "positive")
    assert history.day(NOON.date()).corrected == history.contents().corrected == 1
    assert history.labels() == {"positive": 1}


@pytest.mark.parametrize(
    "label", ["", "'; DROP TABLE hours; --", "fröhlich 🎉", "nul\0nul", "\x1b[31m", "a" * 10_000, "ß\n"]
)
def test_labels_of_any_characters(label: str, history: History) -> None:
    history.add(event(1, label=label, light=label), "boot")
    history.correct("d" * 32, 1, label)
    [stored] = history.page(Filter(label=label, day=NOON.date())).predictions
    assert (stored.label, stored.corrected, stored.light, stored.probabilities[label]) == (label, label, label, 0.8)
    assert history.labels() == {label: 1}


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_spreadsheet_runs_no_text(first: str, history: History) -> None:
    history.add(event(1, label=f"{first}1+1"), "boot")
    stream = io.StringIO(newline="")
    history.export(stream)
    stream.seek(0)
    [row] = csv.DictReader(stream)
    assert row["label"] == f"'{first}1+1"


def test_halves_of_surrogate_pairs_are_replaced(history: History) -> None:
    history.add({**event(1, label="a\ud800"), "daemon": "\ud800"}, "\udfff")
    assert history.correct("\ud800", 1, "\ud800")
    [stored] = history.page(Filter(label="\ud800")).predictions
    assert (stored.label, stored.corrected, dict(stored.probabilities)["a?"]) == ("a?", "?", 0.8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": "yesterday"}, "Invalid isoformat string"),
        ({"time": "2026-03-04T12:00:00"}, "without a time zone"),
        ({"time": 5}, "fromisoformat"),
        ({"number": "1"}, "a number that is not one"),
        ({"number": 2**63}, "a number that is not one"),
        ({"number": -1}, "a number that is not one"),
        ({"label": None}, "'encode'"),
        ({"probabilities": [0.5]}, "cannot be stored"),
        ({"probabilities": {"a": object()}}, "not JSON serializable"),
    ],
)
def test_impossible_events_are_refused(changes: dict[str, Any], message: str, history: History) -> None:
    with pytest.raises(HistoryError, match=message):
        history.add(event(1) | changes, "boot")
    assert numbers(history) == []


@pytest.mark.parametrize("name", ["time", "label", "probabilities", "number", "daemon", "confident"])
def test_events_without_a_necessary_value_are_refused(name: str, history: History) -> None:
    given = event(1)
    del given[name]
    with pytest.raises(HistoryError, match=f"no '{name}'"):
        history.add(given, "boot")


def test_later_versions_may_add_and_leave_out_values(history: History) -> None:
    given = event(1, new={"a": 1})
    for name in (
        "audio_only",
        "text_only",
        "light",
        "lights_stay",
        "replayed",
        "adapted",
        "seconds",
        "ms_speech_to_light",
    ):
        del given[name]
    assert history.add(given, "boot")
    assert history.page().predictions[0].seconds is None


def test_a_clock_that_jumps_back_is_noticed_and_the_order_is_that_of_arrival(history: History) -> None:
    for number, minutes in ((1, 0), (2, 10), (3, 5), (4, 9), (5, 10), (6, 11)):
        history.add(event(number, NOON + timedelta(minutes=minutes)), "boot")
    history.add(event(7, utc(1970, 1, 1)), "new boot")
    history.add(event(8, NOON), "new boot")
    history.add(event(9, NOON - timedelta(days=1), daemon="e" * 32), "third boot")
    assert numbers(history) == list(range(1, 10))
    assert [each.number for each in history.page().predictions if each.clock_doubtful] == [7, 4, 3]
    assert history.day(date(1970, 1, 1)).clock_doubtful == 1
    assert sum(map(len, (hour for day in history.heat_map() for hour in day))) == 2


def test_repeated_predictions_of_another_daemon_are_not_doubtful(history: History) -> None:
    history.add(event(1, NOON), "boot")
    history.add(event(1, NOON - timedelta(minutes=5), daemon="e" * 32, replayed=True), "boot")
    history.add(event(2, NOON - timedelta(minutes=6), daemon="e" * 32, replayed=True), "boot")
    assert [each.clock_doubtful for each in history.page().predictions] == [True, False, False]


def test_the_day_of_25_hours_and_the_missing_hour(history: History) -> None:
    autumn, spring = utc(2026, 10, 24, 22), utc(2026, 3, 28, 23)
    for number in range(25):
        history.add(event(number, (autumn + timedelta(hours=number)).astimezone(BERLIN), "neutral"), "boot")
    for number in range(100, 123):
        moment = (spring + timedelta(hours=number - 100)).astimezone(BERLIN)
        history.add(event(number, moment, daemon="e" * 32), "earlier boot")
    assert [sum(hour.values()) for hour in history.hours(date(2026, 10, 25))] == [1, 1, 2, *[1] * 21]
    assert [sum(hour.values()) for hour in history.hours(date(2026, 3, 29))] == [1, 1, 0, *[1] * 21]
    assert [day.predictions for day in history.days()] == [25, 23]
    assert history.day(date(2026, 10, 25)).clock_doubtful == 0
    sunday = history.heat_map()[6]
    assert [sum(hour.values()) for hour in sunday] == [2] * 24


def test_the_most_frequent_class_is_first(history: History) -> None:
    for number, label in enumerate(("positive", "neutral", "positive", "anger", "anger", "positive")):
        history.add(event(number, label=label), "boot")
    expected = [("positive", 3), ("anger", 2), ("neutral", 1)]
    wednesday = history.heat_map(1)[2]
    assert list(wednesday[12].items()) == expected
    assert wednesday[13] == {}
    assert list(history.labels().items()) == expected


def test_the_heat_map_of_some_weeks_ends_today(history: History) -> None:
    for number, days in enumerate((0, 6, 7, 13, 14)):
        history.add(event(10 - number, NOON - timedelta(days=days)), f"boot {days}")
    totals = [sum(sum(hour.values()) for day in history.heat_map(weeks) for hour in day) for weeks in (1, 2, None)]
    assert totals == [2, 4, 5]


def test_pages_are_stable_while_predictions_arrive(history: History) -> None:
    for number in range(1, 26):
        history.add(event(number, label=LABELS[number % 3], confident=number % 2 == 0), "boot")
    seen, before = [], None
    while True:
        page = history.page(before=before, limit=10)
        seen += [each.number for each in page.predictions]
        history.add(event(100 + len(seen)), "boot")
        if (before := page.before) is None:
            break
    assert seen == list(range(25, 0, -1))
    odd = Filter(label=LABELS[1], low_confidence=True)
    assert numbers(history, odd)[:4] == [1, 7, 13, 19]
    assert numbers(history, Filter(day=NOON.date(), low_confidence=True))[:3] == [1, 3, 5]
    assert numbers(history, Filter(day=date(2026, 3, 5))) == []
    assert history.page(before=-(2**80)).predictions == ()
    assert history.page(before=2**80, limit=5).before is not None
    first = history.page(limit=28)
    assert (len(first.predictions), first.before) == (28, None)


@pytest.mark.parametrize(
    ("conditions", "index"),
    [
        (Filter(), "INTEGER PRIMARY KEY"),
        (Filter(day=NOON.date(), label="a", low_confidence=True), "predictions_day"),
        (Filter(label="a"), "predictions_label"),
        (Filter(label="a", low_confidence=True), "predictions_label"),
        (Filter(low_confidence=True), "predictions_low_confidence"),
    ],
)
def test_pages_read_no_more_than_they_show(
    conditions: Filter, index: str, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[tuple[str, Any]] = []

    def note(query: str, *values: Any) -> list[Any]:
        queries.append((query, values))
        return []

    monkeypatch.setattr(history, "_rows", note)
    history.page(conditions)
    [(query, values)] = queries
    plan = [row[3] for row in history._connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert index in plan[0], plan
    assert not [step for step in plan if "TEMP B-TREE" in step or "SCAN" in step]


def test_health_is_stored_once_a_minute(path: Path) -> None:
    clock = Clock()
    with opened(path, clock=clock) as history:
        for seconds in range(0, 180, 10):
            clock.moment = NOON + timedelta(seconds=seconds)
            history.add_health({**HEALTH, "uptime_s": seconds})
        history.add_health({"blocks_dropped": 2**80, "temperature_c": None, "memory_mb": "much"})
        found = history.health(1)
        assert [(each.time, each.uptime_s) for each in found] == [
            (NOON + timedelta(minutes=m), 60 * m) for m in range(3)
        ]
        assert (found[0].memory_mb, found[0].blocks_dropped, found[0].microphone_losses) == (229.3, 2, 1)
        assert (found[0].temperature_c, found[0].low_voltage, found[0].slowed) == (51.2, False, None)
        assert found[0].time.utcoffset() == timedelta(hours=1)
        clock.moment = NOON + timedelta(minutes=61)
        assert [each.uptime_s for each in history.health(1)] == [60, 120]
    with opened(path, clock=Clock()) as again:
        again.add_health({"uptime_s": 1})
        assert len(again.health(1)) == 3


def test_days_are_retained(path: Path) -> None:
    clock = Clock()
    with opened(path, keep_days=3, clock=clock) as history:
        for number, days in enumerate((4, 3, 2, 1, 0)):
            clock.moment = NOON - timedelta(days=days)
            history.add(event(number, clock.moment), "boot")
            history.add_health(HEALTH)
        assert history.retain() == 2
        assert [day.day.day for day in history.days()] == [4, 3, 2]
        assert len(history.health(24 * 30)) == 4
        assert history.retain() == 0
        clock.moment = NOON + timedelta(days=100)
        assert history.retain() == 3
        assert history.contents().predictions == len(history.health(24 * 300)) == 0
        assert history._rows("SELECT count(*) FROM daemons") == [(0,)]


def test_predictions_at_a_wrong_clock_are_as_old_as_those_after_them(path: Path) -> None:
    clock = Clock()
    with opened(path, keep_days=2, clock=clock) as history:
        history.add(event(1, utc(1970, 1, 1)), "boot")
        history.add(event(2, NOON), "boot")
        history.add(event(3, utc(1980, 1, 1)), "boot")
        assert history.retain() == 0
        clock.moment = NOON + timedelta(days=2)
        history.add(event(4, clock.moment), "boot")
        assert history.retain() == 2
        assert numbers(history) == [3, 4]
        clock.moment = utc(1970, 1, 2)
        assert history.retain() == 0


def test_the_file_shrinks_to_the_largest_size(path: Path) -> None:
    with opened(path, max_mb=1) as history:
        number = 0
        while history.retain() == 0:
            for _ in range(500):
                number += 1
                history.add(event(number, NOON + timedelta(seconds=number)), "boot")
        assert number > 2000
        left = [each.number for each in history.in_order()]
        assert left == list(range(number - len(left) + 1, number + 1))
        assert len(left) > 1500
        assert path.stat().st_size < 1_000_000
        assert history.labels() == {"neutral": len(left)}


SECRETS = ("zebracrossing", "quicksandlabel", "walruscorrection", "a1b2c3d4daemon", "bootoftheotter")


def fill_with_secrets(history: History, first: int = 1, moment: datetime = NOON) -> None:
    words, label, correction, daemon, boot = SECRETS
    for number in range(first, first + 300):
        history.add(event(number, moment, label, text=f"{words} {number}", daemon=daemon), boot)
        history.correct(daemon, number, correction)


def test_erased_content_is_in_no_file(path: Path) -> None:
    damaged = path.with_name(f"{path.name}.damaged-2026-01-01")
    with opened(path, words=True) as history, opened(path) as other:
        fill_with_secrets(history)
        history.add_health(HEALTH)
        damaged.write_text(SECRETS[0])
        assert other.labels() == {SECRETS[2]: 300}
        assert all(secret.encode() in content(path.parent) for secret in SECRETS)
        assert history.erase() == 300
        assert not [secret for secret in SECRETS if secret.encode() in content(path.parent)]
        assert not damaged.exists()
        for each in (history, other):
            assert each.contents().predictions == each.contents().health == 0
            assert each.page().predictions == ()
            assert (each.labels(), each.days()) == ({}, [])
        assert history.erase() == 0
        assert other.add(event(1), "boot")
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]


def test_a_part_is_erased_by_local_days(path: Path) -> None:
    clock = Clock(NOON + timedelta(days=1))
    with opened(path, words=True, clock=clock) as history:
        midnight = NOON.replace(hour=0)
        fill_with_secrets(history, moment=midnight - timedelta(milliseconds=1))
        clock.moment = midnight - timedelta(minutes=1)
        history.add_health(HEALTH)
        clock.moment = midnight
        history.add_health(HEALTH)
        history.add(event(1, midnight), "boot")
        assert history.erase(before=NOON.date()) == 300
        assert numbers(history) == [1]
        assert len(history.health(24)) == 1
        assert not [secret for secret in SECRETS if secret.encode() in content(path.parent)]
        for day in (date.min, date(4, 2, 29)):
            assert history.erase(before=day) == 0
        assert history.erase(before=date.max) == 1
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_the_daemon_repeats_after_an_erasure_is_not_stored_again(path: Path) -> None:
    clock = Clock(NOON + timedelta(minutes=1))
    with opened(path, clock=clock) as history:
        history.add(event(1), "boot")
        history.erase()
    with opened(path, clock=clock) as history:
        assert not history.add(event(1, replayed=True), "boot")
        assert not history.add(event(2, replayed=True), "boot"), "it was not even stored when it was erased"
        assert history.add(event(3, NOON + timedelta(minutes=2), replayed=True), "boot")
        history.erase(before=date.max)
        assert not history.add(event(3, NOON, replayed=True), "boot")
        assert history.add(event(4, NOON + timedelta(minutes=3), replayed=True), "boot")
        assert history._rows("SELECT count(*) FROM erased") == [(1,)]


def test_a_prediction_that_waited_for_the_erasing_is_not_stored(path: Path) -> None:
    clock = Clock(NOON + timedelta(minutes=1))
    with opened(path, clock=clock) as history, opened(path, clock=clock) as other:
        history.add(event(1), "boot")
        statements: list[str] = []

        def erase_first(statement: str) -> None:
            statements.append(statement)
            if statement == "BEGIN IMMEDIATE":
                other.erase()

        history._connection.set_trace_callback(erase_first)
        assert not history.add(event(2), "boot")
        history._connection.set_trace_callback(None)
        assert "BEGIN IMMEDIATE" in statements
        assert numbers(history) == []
        assert history.add(event(3), "boot"), "the clock may have been ahead when it was erased"


def test_removal_by_age_leaves_nothing_readable_in_the_file(path: Path) -> None:
    clock = Clock()
    with opened(path, words=True, keep_days=1, clock=clock) as history:
        fill_with_secrets(history)
        clock.moment += timedelta(days=1)
        assert history.retain() == 300
        assert SECRETS[0].encode() not in content(path.parent)


def test_reading_does_not_prevent_writing_and_erasing(path: Path, history: History) -> None:
    for number in range(1, 2501):
        history.add(event(number, label=SECRETS[1]), "boot")
    with opened(path) as reader:
        rows = reader.in_order()
        assert next(rows).number == 1
        assert history.add(event(3000, label=SECRETS[1]), "boot")
        assert history.erase() == 2501
        assert SECRETS[1].encode() not in content(path.parent)
        assert len(list(rows)) == 999, "those that were read already, and not those that are gone or new"


def test_a_program_that_reads_without_end_is_named_as_the_problem(
    path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.add(event(1), "boot")
    monkeypatch.setattr("device.history.store.BUSY_S", 0.1)
    history._connection.execute("PRAGMA busy_timeout = 1")
    reader = sqlite3.connect(path)
    assert reader.execute("BEGIN").connection.execute("SELECT count(*) FROM predictions").fetchone() == (1,)
    with pytest.raises(HistoryError, match="another program") as caught:
        history.erase()
    assert "end that program" in caught.value.fix
    reader.close()
    assert history.erase() == 0
    assert b"neutral" not in content(path.parent)


def test_a_program_that_writes_without_end(path: Path, history: History) -> None:
    history._connection.execute("PRAGMA busy_timeout = 1")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(HistoryError, match="another program has used it"):
        history.add(event(1), "boot")
    writer.close()
    assert history.add(event(1), "boot")
