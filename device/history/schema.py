"""The tables of the history, and their migrations from earlier versions.

A version is never edited once it was released: add a migration to the next one instead.
"""

import sqlite3
from pathlib import Path

from device.errors import HistoryError
from device.system.display import displayable

APPLICATION_ID = 0x65646D63
"""Marks a SQLite file as a history of edge-mcnn: "edmc" in ASCII."""

_COUNT = """INSERT INTO hours VALUES (
            new.day, new.hour, coalesce(new.corrected, new.label), new.clock_doubtful,
            1, 1 - new.confident, new.corrected IS NOT NULL, new.text IS NOT NULL
        )
        ON CONFLICT DO UPDATE SET
            predictions = predictions + 1,
            low_confidence = low_confidence + excluded.low_confidence,
            corrected = corrected + excluded.corrected,
            with_words = with_words + excluded.with_words;"""
"""Counts the new row of a prediction in its hour."""
_DISCOUNT = """UPDATE hours SET
            predictions = predictions - 1,
            low_confidence = low_confidence - (1 - old.confident),
            corrected = corrected - (old.corrected IS NOT NULL),
            with_words = with_words - (old.text IS NOT NULL)
        WHERE day = old.day AND hour = old.hour AND label = coalesce(old.corrected, old.label)
            AND clock_doubtful = old.clock_doubtful;
        DELETE FROM hours
        WHERE day = old.day AND hour = old.hour AND label = coalesce(old.corrected, old.label)
            AND clock_doubtful = old.clock_doubtful AND predictions = 0;"""
"""Takes the old row of a prediction out of the count of its hour."""
_VERSION_1 = (
    """
    CREATE TABLE daemons (
        id INTEGER PRIMARY KEY,
        daemon TEXT NOT NULL UNIQUE,  -- random, of each start
        boot TEXT NOT NULL            -- boot id of the kernel
    )
    """,
    """
    CREATE TABLE predictions (
        sequence INTEGER PRIMARY KEY,  -- in the order of arrival, whatever the clock showed
        daemon INTEGER NOT NULL REFERENCES daemons (id),
        number INTEGER NOT NULL,       -- of this daemon's predictions, from 1 on
        time_ms INTEGER NOT NULL,      -- UTC, milliseconds since 1970
        offset_minutes INTEGER NOT NULL,  -- local time minus UTC
        day TEXT NOT NULL,             -- local date, 2026-01-31
        hour INTEGER NOT NULL,         -- of the local time, 0 to 23
        clock_doubtful INTEGER NOT NULL,
        label TEXT NOT NULL,
        corrected TEXT,                -- the class that a person named
        probabilities TEXT NOT NULL,   -- JSON, by class
        confident INTEGER NOT NULL,
        light TEXT,                    -- the class whose light was to show it
        lights_stay INTEGER NOT NULL,  -- whether the lights stayed as they were
        seconds REAL,                  -- of the utterance
        latency_ms REAL,               -- from the end of speech to the light
        adapted INTEGER NOT NULL,      -- to a voice profile
        audio_only TEXT,               -- JSON: label, probabilities
        text_only TEXT,                -- likewise
        text TEXT,                     -- the words, if the settings store them
        UNIQUE (daemon, number)
    )
    """,
    "CREATE INDEX predictions_day ON predictions (day)",
    "CREATE INDEX predictions_label ON predictions (coalesce(corrected, label))",
    "CREATE INDEX predictions_low_confidence ON predictions (confident) WHERE confident = 0",
    "CREATE INDEX predictions_clock_doubtful ON predictions (clock_doubtful) WHERE clock_doubtful = 1",
    # Counts, so that a page over a million predictions reads some thousand rows.
    """
    CREATE TABLE hours (
        day TEXT NOT NULL,
        hour INTEGER NOT NULL,
        label TEXT NOT NULL,           -- the corrected class, else the predicted one
        clock_doubtful INTEGER NOT NULL,
        predictions INTEGER NOT NULL,
        low_confidence INTEGER NOT NULL,
        corrected INTEGER NOT NULL,
        with_words INTEGER NOT NULL,
        PRIMARY KEY (day, hour, label, clock_doubtful)
    ) WITHOUT ROWID
    """,
    f"""
    CREATE TRIGGER count_added AFTER INSERT ON predictions BEGIN
        {_COUNT}
    END
    """,
    f"""
    CREATE TRIGGER count_removed AFTER DELETE ON predictions BEGIN
        {_DISCOUNT}
    END
    """,
    f"""
    CREATE TRIGGER count_corrected AFTER UPDATE OF corrected ON predictions BEGIN
        {_DISCOUNT}
        {_COUNT}
    END
    """,
    """
    CREATE TABLE health (
        minute INTEGER PRIMARY KEY,    -- UTC, minutes since 1970
        offset_minutes INTEGER NOT NULL,
        memory_mb REAL,
        uptime_s REAL,
        blocks_dropped INTEGER,
        microphone_losses INTEGER,
        temperature_c REAL,
        low_voltage INTEGER,
        slowed INTEGER
    )
    """,
    # What the daemon repeats to a new reader is not stored again once it was erased.
    "CREATE TABLE erased (until_ms INTEGER NOT NULL)",
    "INSERT INTO erased VALUES (0)",
)
_MIGRATIONS = (_VERSION_1,)
"""Statements that lead to version 1, 2, and so on, each from the version before."""
VERSION = len(_MIGRATIONS)
"""Version of the tables, the `user_version` of the file."""


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables in an empty file, or bring those of an earlier version to the present one.

    Args:
        connection: connection in autocommit mode.
        path: its file, for messages.

    Raises:
        HistoryError: the file was written by a newer version, or by another program.
    """
    if _version(connection, path) == VERSION:
        return
    if _version(connection, path) == 0:
        # Both must precede the first table. Removed pages can be returned to the disk without copying all others.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in _MIGRATIONS[_version(connection, path) :]:  # another process may have been faster
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Version of the tables in the file; 0 for an empty file."""
    # In one statement, which no other process that creates the tables can come between.
    version, application, tables = connection.execute(
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) "
        "FROM pragma_user_version, pragma_application_id"
    ).fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise HistoryError(f"{displayable(path)}: is a database of another program", fix="name a history of edge-mcnn")
    if version > VERSION:
        raise HistoryError(
            f"{displayable(path)}: was written by a newer edge-mcnn (version {version} of the file; this one reads up "
            f"to {VERSION})",
            fix="install that version again: pip install --upgrade edge-mcnn",
        )
    return int(version)
