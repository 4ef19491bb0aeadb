"""Histories of every earlier version are brought to the present one with all that they contain."""

import re
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from device.history import schema
from device.history.schema import APPLICATION_ID, VERSION
from tests.device.history.events import Clock, event, opened

VERSIONS = sorted((Path(__file__).parents[2] / "fixtures" / "history").glob("version-*.sql"))
"""The output of `.dump` of the first release of each version, with the two numbers that `.dump` leaves out."""


def load(script: Path, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script.read_text("utf-8"))
    connection.close()


def tables(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {name: re.sub(r"\s+|--.*", "", sql) for name, sql in rows}


def test_there_is_one_for_each_version() -> None:
    assert [each.stem for each in VERSIONS] == [f"version-{number}" for number in range(1, VERSION + 1)]


@pytest.mark.parametrize("script", VERSIONS, ids=lambda script: script.stem)
def test_an_earlier_version_is_read(script: Path, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    load(script, path)
    with opened(path) as history:
        assert history.labels() == {"neutral": 1, "negative": 1, "positive": 1}
        assert [day.day for day in history.days()] == [date(2026, 10, 25)]
        latest, corrected, first = history.page().predictions
        assert (first.label, first.confident, first.text, first.boot) == ("neutral", True, "it's late", "boot-1")
        assert (corrected.label, corrected.corrected, corrected.time.isoformat()) == (
            "positive", "negative", "2026-10-25T02:30:00+01:00",
        )  # fmt: skip
        assert latest.clock_doubtful
        assert latest.audio_only == {"label": "positive", "probabilities": {"positive": 0.9}}
        assert [each.memory_mb for each in history.health(1e9)] == [229.3]
        assert not history.add(event(1, daemon="daemon-1"), "boot-1")
        assert history.add(event(9, daemon="daemon-1"), "boot-1")
        assert history.erase() == 4
    with opened(tmp_path / "new.sqlite3"):
        assert tables(path) == tables(tmp_path / "new.sqlite3")


def test_the_version_is_marked_in_the_file(tmp_path: Path) -> None:
    with opened(tmp_path / "h.sqlite3", durable=True) as history:
        assert history._rows("PRAGMA synchronous") == [(2,)], "a prediction that was confirmed survives a power failure"
        assert history._rows("PRAGMA user_version") == [(VERSION,)]
        assert history._rows("PRAGMA application_id") == [(APPLICATION_ID,)]
        assert history._rows("PRAGMA auto_vacuum") == [(2,)]
        assert history._rows("PRAGMA journal_mode") == [("wal",)]


def test_two_processes_begin_a_history_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite3"

    def be_later(statement: str) -> None:
        if "sqlite_schema" in statement and not path.stat().st_size:
            with opened(path):
                pass

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version")
        connection.set_trace_callback(be_later)
        schema.migrate(connection, path)
        connection.set_trace_callback(None)
        assert path.stat().st_size, "the other one was first"
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "h.sqlite3"
    with opened(path) as history:
        history.add(event(1), "boot")
    before = tables(path)
    present = schema._MIGRATIONS
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    monkeypatch.setattr(schema, "_MIGRATIONS", (*present, ("CREATE TABLE more (a)", "INSERT INTO none VALUES (1)")))
    with pytest.raises(Exception, match="no such table"):
        opened(path)
    assert tables(path) == before
    monkeypatch.setattr(schema, "_MIGRATIONS", (*present, ("CREATE TABLE more (a)",)))
    with opened(path, clock=Clock()) as history:
        assert history._rows("SELECT * FROM more") == []
        assert history.contents().predictions == 1
    with opened(path):
        assert "more" in tables(path)
