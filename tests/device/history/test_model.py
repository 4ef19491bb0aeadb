"""The history does what a plain list of rows does, whatever is called in whatever order."""

import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from device.history.records import Filter
from device.history.store import History
from tests.device.history.events import NOON, Clock, event, opened, utc

_KEEP_DAYS = 5
_YEAR = utc(2026, 1, 1)

labels = st.sampled_from(["neutral", "=positive", 'é,\n"', ""])
daemons = st.sampled_from(["a", "b"])
numbers = st.integers(0, 12)
offsets = st.sampled_from([-570, 0, 60, 120, 345])
hours = st.one_of(st.integers(-2, 2), st.integers(-200, 200), st.just(-600_000))
days = st.integers(-9, 9).map(lambda count: NOON.date() + timedelta(days=count))


@dataclass(frozen=True)
class Row:
    sequence: int
    daemon: str
    number: int
    boot: str
    time: datetime
    label: str
    confident: bool
    doubtful: bool
    text: str
    corrected: str | None = None

    @property
    def day(self) -> date:
        return self.time.date()

    @property
    def right_label(self) -> str:
        return self.label if self.corrected is None else self.corrected


class HistoryMachine(RuleBasedStateMachine):
    """Every rule does the same with a history and with a list."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="model")
        self.clock = Clock()
        self.rows: list[Row] = []
        self.erased_until = datetime(1970, 1, 1, tzinfo=NOON.tzinfo)
        self.boots: dict[str, str] = {}
        self.open()

    def open(self) -> None:
        self.history: History = opened(
            Path(self.folder.name) / "h.sqlite3", keep_days=_KEEP_DAYS, words=True, clock=self.clock
        )

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.history.close()
            self.folder.cleanup()

    @rule(
        number=numbers, daemon=daemons, hours=hours, offset=offsets, label=labels, confident=st.booleans(),
        replayed=st.booleans(), text=st.text(st.characters(exclude_categories=["Cs"])),
    )  # fmt: skip
    def add(
        self, number: int, daemon: str, hours: int, offset: int, label: str, confident: bool, replayed: bool, text: str
    ) -> None:
        boot = "one boot"
        time = (NOON + timedelta(hours=hours)).astimezone(timezone(timedelta(minutes=offset)))
        given = event(number, time, label, daemon=daemon, confident=confident, replayed=replayed, text=text)
        is_known = any((row.daemon, row.number) == (daemon, number) for row in self.rows)
        is_erased = replayed and time < self.erased_until
        earlier = [row.time for row in self.rows if not replayed or row.daemon == daemon]
        expected = not is_known and not is_erased
        assert self.history.add(given, boot) == expected
        if expected:
            doubtful = time < max(earlier, default=time) or time < _YEAR
            sequence = max((row.sequence for row in self.rows), default=0) + 1
            self.rows.append(Row(sequence, daemon, number, boot, time, label, confident, doubtful, text))

    @rule(daemon=daemons, number=numbers, label=labels)
    def correct(self, daemon: str, number: int, label: str) -> None:
        changed = False
        for place, row in enumerate(self.rows):
            if (row.daemon, row.number) == (daemon, number) and row.corrected != label:
                self.rows[place] = replace(row, corrected=label)
                changed = True
        assert self.history.correct(daemon, number, label) == changed

    @rule(count=st.integers(0, 3))
    def days_pass(self, count: int) -> None:
        self.clock.moment += timedelta(days=count)

    @rule()
    def retain(self) -> None:
        first = self.clock.moment.date() - timedelta(days=_KEEP_DAYS - 1)
        last = max((row.sequence for row in self.rows if row.day < first and not row.doubtful), default=0)
        self.remove(lambda row: row.sequence < last if row.doubtful else row.day < first, self.history.retain)

    @rule(before=st.none() | days)
    def erase(self, before: date | None) -> None:
        until = self.clock.moment
        if before is not None and before <= until.date():
            until = datetime.combine(before, datetime.min.time()).astimezone()
        self.erased_until = max(self.erased_until, until)
        self.remove(lambda row: before is None or row.day < before, lambda: self.history.erase(before=before))

    def remove(self, is_removed: Callable[[Row], bool], task: Callable[[], int]) -> None:
        left = [row for row in self.rows if not is_removed(row)]
        assert task() == len(self.rows) - len(left)
        self.rows = left

    @precondition(lambda self: self.rows)
    @rule()
    def open_again(self) -> None:
        self.history.close()
        self.open()

    @rule(day=st.none() | days, label=st.none() | labels, low=st.booleans(), limit=st.integers(1, 5))
    def pages(self, day: date | None, label: str | None, low: bool, limit: int) -> None:
        expected = [
            row.sequence
            for row in reversed(self.rows)
            if day in (None, row.day) and label in (None, row.right_label) and not (low and row.confident)
        ]
        found: list[int] = []
        before = None
        while True:
            page = self.history.page(Filter(day, label, low), before, limit)
            found += [each.sequence for each in page.predictions]
            if (before := page.before) is None:
                break
            assert len(page.predictions) == limit
        assert found == expected

    @rule(since=st.none() | days, until=st.none() | days)
    def export(self, since: date | None, until: date | None) -> None:
        expected = [
            row for row in self.rows if (since is None or since <= row.day) and (until is None or row.day <= until)
        ]
        stream = io.StringIO(newline="")
        assert self.history.export(stream, since=since, until=until) == len(expected)
        assert self.history.count(since, until) == len(expected)
        stream.seek(0)
        table = list(csv.DictReader(stream))
        for cells, row in zip(table, expected, strict=True):
            assert cells["label"] == row.label.replace("=", "'=")
            assert datetime.fromisoformat(cells["time"]) == row.time
            assert not cells["text"].startswith(("=", "+", "-", "@", "\t", "\r"))
            assert cells["text"].removeprefix("'") == row.text.removeprefix("'")
            assert json.loads(cells["probabilities"])[row.label] == 0.8

    @invariant()
    def everything_is_the_same(self) -> None:
        if not hasattr(self, "history"):
            return
        rows = self.rows
        found = list(self.history.in_order())
        assert [
            Row(e.sequence, e.daemon, e.number, e.boot, e.time, e.label, e.confident, e.clock_doubtful, e.text or "",
                e.corrected)
            for e in found
        ] == rows  # fmt: skip
        assert [e.time.utcoffset() for e in found] == [row.time.utcoffset() for row in rows]
        assert dict(self.history.labels()) == Counter(row.right_label for row in rows)
        stored = self.history.days()
        assert [each.day for each in stored] == sorted({row.day for row in rows}, reverse=True)
        for each in stored:
            on_day = [row for row in rows if row.day == each.day]
            assert each == self.history.day(each.day)
            assert dict(each.labels) == Counter(row.right_label for row in on_day)
            assert list(each.labels.values()) == sorted(each.labels.values(), reverse=True)
            assert each.low_confidence == sum(not row.confident for row in on_day)
            assert each.corrected == sum(row.corrected is not None for row in on_day)
            assert each.clock_doubtful == sum(row.doubtful for row in on_day)
            assert [dict(hour) for hour in self.history.hours(each.day)] == [
                Counter(row.right_label for row in on_day if row.time.hour == hour) for hour in range(24)
            ]
        for weeks in (1, None):
            first = date.min if weeks is None else self.clock.moment.date() - timedelta(days=6)
            cells = self.history.heat_map(weeks)
            assert {(day, hour): dict(cells[day][hour]) for day in range(7) for hour in range(24)} == {
                (day, hour): Counter(
                    row.right_label
                    for row in rows
                    if (row.day.weekday(), row.time.hour) == (day, hour) and not row.doubtful and row.day >= first
                )
                for day in range(7)
                for hour in range(24)
            }
        contents = self.history.contents()
        assert (contents.predictions, contents.with_words) == (len(rows), len(rows))
        assert (contents.first, contents.last) == ((rows[0].time, rows[-1].time) if rows else (None, None))


HistoryMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestHistory = HistoryMachine.TestCase
