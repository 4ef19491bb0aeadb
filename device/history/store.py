"""The history: predictions and corrections that `edge-mcnn web` stores in a SQLite file, and their removal.

For example:

    with History(history_path(), keep_days=30, max_mb=200, words=False) as history:
        history.add(event, boot)  # returns when the prediction is on the disk
        print(history.day(date.today()).labels)
        history.erase()
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from device.errors import HistoryError, UnusablePredictionError
from device.history import csv_export
from device.history.file import (
    BUSY_S,
    file_bytes,
    open_history,
    remove_damaged,
    translated_errors,
)
from device.history.queries import HistoryQueries, local_time, now, storable
from device.system.display import displayable

_SOFTWARE_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""The year of this software: a clock that shows an earlier time has not been set."""
_BATCH = 500
"""Predictions that one transaction removes, so that others can write in between, and the journal stays small."""
_HEALTH_DAYS = 30
_FULL_SHARE = 0.9
"""What is left of the largest size when predictions are removed because of it, so that this happens seldom."""
_IN_MEMORY_BYTES = 32 << 20
"""Files up to this size are compacted in memory; larger ones in temporary files."""
_OLDEST = "TRUE ORDER BY sequence"
_MOST = 2**63 - 1
"""Largest number that SQLite stores."""


class History(HistoryQueries):
    """The stored predictions; a context manager that closes the file.

    Several processes may have the file open. An object may be used by any thread, but by one at a time.

    Every method raises `HistoryError` if the file cannot be used, because the disk is full for example, and
    `DamagedHistoryError` if it is damaged; what was stored before is unchanged.

    Args:
        path: the file, which is created for its owner alone if it is missing.
        keep_days: days for which predictions are stored, the present one included; 0 to add none. What is stored can
            be read and erased nevertheless.
        max_mb: largest size of the file, MB.
        words: whether to store the words of predictions.
        clock: returns the time with the offset of the local time.
        busy_s: seconds that an operation waits while another process writes. Reading waits for none that writes, but
            for one that uses the file exclusively.

    Raises:
        HistoryError: the file cannot be opened or created, is no history, or was written by a newer version.
        DamagedHistoryError: it is damaged; the fix moves it aside, and a new one can be begun.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_days: int,
        max_mb: int,
        words: bool,
        clock: Callable[[], datetime] = now,
        busy_s: float = BUSY_S,
    ) -> None:
        super().__init__(open_history(path, busy_s), path, clock, busy_s)
        self._file = _identity(path)
        self._keep_days = keep_days
        self._max_bytes = max_mb * 1_000_000
        self._words = words
        self._latest: dict[tuple[str, str], int | None] = {}
        """Latest time of what is stored, by kind (`boot` or `daemon`) and its name, milliseconds since 1970."""
        self._health_minute: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing else can be called after it."""
        with contextlib.suppress(sqlite3.Error):  # everything that was confirmed is on the disk
            self._connection.close()

    def is_removed(self) -> bool:
        """Whether the file is no longer in its place, so that what is stored now would be lost when it is closed."""
        return _identity(self.path) != self._file

    def add(self, prediction: Mapping[str, Any], boot: str) -> bool:
        """Store a prediction; when this returns, it survives a power failure.

        Args:
            prediction: a `prediction` event of the daemon.
            boot: boot id of the kernel under which it was made, from the event `hello`.

        Returns:
            False if nothing was stored: it is stored already, the daemon has repeated what was erased, or `keep_days`
            is 0.

        Raises:
            UnusablePredictionError: the event lacks a value, or has an impossible one.
            HistoryError: as for all methods.
        """
        if self._keep_days == 0:
            return False
        try:
            row = self._row(prediction)
            daemon, replayed = storable(str(prediction["daemon"])), bool(prediction.get("replayed"))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UnusablePredictionError(
                f"a prediction cannot be stored ({displayable(reason)})",
                fix="install the same version of edge-mcnn for the daemon and the page",
            ) from None
        boot, time_ms = storable(boot), row["time_ms"]
        erased_before = self._erased_until_ms()
        with self._transaction() as connection:
            known = connection.execute("SELECT id FROM daemons WHERE daemon = ?", (daemon,)).fetchone()
            stored = "SELECT 1 FROM predictions WHERE daemon = ? AND number = ?"
            if known is not None and connection.execute(stored, (known[0], row["number"])).fetchone():
                return False
            erased_until = self._erased_until_ms()
            # A new prediction is compared only if this has waited for the erasing: the clock may have been ahead then.
            if (replayed or erased_until != erased_before) and time_ms < erased_until:
                return False
            # Repeated predictions can be older than what another daemon of the same boot has added meanwhile.
            latest = self._latest_ms("daemon", daemon) if replayed else self._latest_ms("boot", boot)
            is_early = latest is not None and time_ms < latest
            row["clock_doubtful"] = is_early or time_ms < _milliseconds(_SOFTWARE_TIME)
            if known is None:
                added = connection.execute("INSERT INTO daemons (daemon, boot) VALUES (?, ?)", (daemon, boot))
                known = (added.lastrowid,)
            row["daemon"] = known[0]
            names = ", ".join(row)
            connection.execute(
                f"INSERT INTO predictions ({names}) VALUES ({', '.join(f':{name}' for name in row)})",  # noqa: S608  # names
                row,
            )
        for key in (("daemon", daemon), ("boot", boot)):
            known_ms = self._latest.get(key)
            if key in self._latest:
                self._latest[key] = time_ms if known_ms is None else max(time_ms, known_ms)
        return True

    def _erased_until_ms(self) -> int:
        """Time of the last erasing, milliseconds since 1970."""
        [[until_ms]] = self._rows("SELECT until_ms FROM erased")
        return int(until_ms)

    def correct(self, daemon: str, number: int, label: str) -> bool:
        """Note the class that a person named for a prediction.

        Returns:
            Whether that changed anything: False if the prediction is not stored, or has this correction already.
        """
        label = storable(label)
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE predictions SET corrected = ? WHERE number = ? AND corrected IS NOT ? "
                "AND daemon = (SELECT id FROM daemons WHERE daemon = ?)",
                (label, max(-_MOST, min(number, _MOST)), label, storable(daemon)),
            )
        return changed.rowcount > 0

    def add_health(self, health: Mapping[str, Any]) -> None:
        """Store the state of the device, unless there is one for this minute; see the event `health`."""
        moment = self._clock()
        minute = int(moment.timestamp() // 60)
        if self._keep_days == 0 or minute == self._health_minute:
            return
        names = (
            "memory_mb", "uptime_s", "blocks_dropped", "microphone_losses", "temperature_c", "low_voltage", "slowed",
        )  # fmt: skip
        values = [_number(health.get(name)) for name in names]
        with self._transaction() as connection:
            connection.execute(
                f"INSERT OR IGNORE INTO health VALUES (?, ?{', ?' * len(names)})",  # noqa: S608  # a number of them
                (minute, _offset_minutes(moment), *values),
            )
        self._health_minute = minute

    def retain(self) -> int:
        """Remove what is older than `keep_days` allows, then the oldest while the file is larger than `max_mb`.

        A prediction is as old as its local day. One at which the clock was certainly wrong is removed with those that
        arrived after it. A clock that is years ahead would remove everything, so call this once an hour, and not in
        the first minutes after the start, when the clock of a Raspberry Pi may not be set.

        Returns:
            Number of predictions that were removed; none if `keep_days` is 0.
        """
        if self._keep_days == 0:
            return 0
        removed = self._remove_old() + self._remove_while_large()
        if removed:
            self._latest.clear()
            with translated_errors(self.path, self._busy_s):
                # It steps once per page, and only a script takes all steps of a statement without columns.
                self._connection.executescript("PRAGMA incremental_vacuum")
            self._checkpoint(wait_s=0)
        return removed

    def erase(self, *, before: date | None = None) -> int:
        """Remove predictions and the state of the device so that their content is in no file any more.

        The content is overwritten, the file is compacted, and the journal beside it is emptied. Damaged histories that
        were moved aside are removed, too: they may contain what is to be erased. Other processes may have the file
        open. What the daemon repeats to a new reader is not stored again.

        Args:
            before: erase what is from earlier local days; None to erase everything.

        Returns:
            Number of predictions that were erased.

        Raises:
            HistoryError: as for all methods. Predictions may have been removed already, but their content may still be
                in a file: call this again.
        """
        moment = self._clock()
        until = _milliseconds(moment)
        if before is not None and before <= moment.date():
            day = max(before, date(1971, 1, 1))  # the local time of earlier ones may be out of range
            until = _milliseconds(datetime.combine(day, datetime.min.time()).astimezone())
        with self._transaction() as connection:
            connection.execute("UPDATE erased SET until_ms = max(until_ms, ?)", (until,))
            if before is None:
                connection.execute("DELETE FROM health")
            else:
                connection.execute(
                    "DELETE FROM health WHERE date((minute + offset_minutes) * 60, 'unixepoch') < ?",
                    (before.isoformat(),),
                )
        erased = self._remove(_OLDEST) if before is None else self._remove("day < ?", before.isoformat())
        self._latest.clear()
        self._health_minute = None
        self._compact()
        self._checkpoint(wait_s=BUSY_S)
        remove_damaged(self.path)
        return erased

    def export(
        self,
        stream: csv_export.TextStream,
        *,
        since: date | None = None,
        until: date | None = None,
        progress: Callable[[int], None] = lambda _count: None,
    ) -> int:
        """Write predictions as CSV, in the order of their arrival; other processes can write meanwhile.

        Args:
            stream: text stream, which should encode to UTF-8 and not translate line ends.
            since: first local day; None for no limit.
            until: last local day, included; None for no limit.
            progress: called with the number of predictions written so far.

        Returns:
            Number of predictions written.
        """
        return csv_export.write(self.in_order(since, until), stream, progress)

    def _row(self, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a row by their columns, without those that depend on other rows."""
        moment = datetime.fromisoformat(prediction["time"])
        offset = moment.utcoffset()
        if offset is None:
            raise ValueError("a time without a time zone")
        number = prediction["number"]
        if not isinstance(number, int) or not 0 <= number <= _MOST:
            raise ValueError("a number that is not one")
        time_ms, offset_minutes = _milliseconds(moment), _offset_minutes(moment)
        local = local_time(time_ms, offset_minutes)
        text = prediction.get("text") if self._words else None
        light = prediction.get("light")
        return {
            "number": number,
            "time_ms": time_ms,
            "offset_minutes": offset_minutes,
            "day": local.date().isoformat(),
            "hour": local.hour,
            "label": storable(prediction["label"]),
            "probabilities": _json(prediction["probabilities"]),
            "confident": bool(prediction["confident"]),
            "light": None if light is None else storable(light),
            "lights_stay": bool(prediction.get("lights_stay")),
            "seconds": _number(prediction.get("seconds")),
            "latency_ms": _number(prediction.get("ms_speech_to_light")),
            "adapted": bool(prediction.get("adapted")),
            "audio_only": _json(prediction.get("audio_only")),
            "text_only": _json(prediction.get("text_only")),
            "text": None if text is None else storable(text),
        }

    def _latest_ms(self, kind: str, name: str) -> int | None:
        """Latest time of the predictions of a boot or of a daemon; None if none is stored."""
        if (kind, name) not in self._latest:
            found: int | None = None
            rows = f"FROM predictions CROSS JOIN daemons ON daemons.id = predictions.daemon WHERE daemons.{kind} = ?"
            # Every daemon in the table has predictions, so this finds one near the end of the index.
            if self._connection.execute(f"SELECT 1 FROM daemons WHERE {kind} = ?", (name,)).fetchone():  # noqa: S608  # ours
                day = f"(SELECT date(day, '-2 days') {rows} ORDER BY day DESC LIMIT 1)"  # offsets differ by 26 hours
                latest = f"SELECT max(time_ms) {rows} AND day >= {day}"
                [found] = self._connection.execute(latest, (name, name)).fetchone()
            self._latest[kind, name] = found
        return self._latest[kind, name]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write: everything in the block, on the disk when it ends, or nothing."""
        with translated_errors(self.path, self._busy_s):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself
                        self._connection.execute("ROLLBACK")

    def _remove(self, condition: str, *values: str | int, most: int = _MOST) -> int:
        """Remove predictions, one batch after the other; return their number."""
        removed = 0
        while removed < most:
            with self._transaction() as connection:
                batch = connection.execute(
                    "DELETE FROM predictions WHERE sequence IN "  # noqa: S608  # conditions of ours
                    f"(SELECT sequence FROM predictions WHERE {condition} LIMIT ?)",
                    (*values, min(_BATCH, most - removed)),
                ).rowcount
                self._remove_unused_daemons(connection)
            removed += batch
            if batch < _BATCH:
                break
        return removed

    def _remove_unused_daemons(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM daemons WHERE NOT EXISTS (SELECT 1 FROM predictions WHERE daemon = daemons.id)")

    def _remove_old(self) -> int:
        moment = self._clock()
        first_day = (moment.date() - timedelta(days=self._keep_days - 1)).isoformat()
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM health WHERE minute < ?",
                (int(moment.timestamp() // 60) - min(self._keep_days, _HEALTH_DAYS) * 24 * 60,),
            )
        [[last]] = self._rows("SELECT max(sequence) FROM predictions WHERE day < ? AND clock_doubtful = 0", first_day)
        if last is None:
            return 0
        return self._remove("day < ? AND +clock_doubtful = 0", first_day) + self._remove(
            "clock_doubtful = 1 AND sequence < ?", last
        )

    def _remove_while_large(self) -> int:
        removed = 0
        if self._used_bytes() > self._max_bytes:
            while self._used_bytes() > self._max_bytes * _FULL_SHARE:
                batch = self._remove(_OLDEST, most=_BATCH)
                removed += batch
                if batch == 0:
                    break
        return removed

    def _used_bytes(self) -> int:
        """Size that the file has without its free pages, which are about to be returned to the disk."""
        pages, free, size = (
            self._rows(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _compact(self) -> None:
        in_memory = file_bytes(self.path) <= _IN_MEMORY_BYTES
        self._rows(f"PRAGMA temp_store = {'MEMORY' if in_memory else 'FILE'}")
        self._rows("VACUUM")

    def _checkpoint(self, wait_s: float) -> None:
        """Copy the journal into the file and empty it.

        Args:
            wait_s: seconds to wait for processes that read; 0 to leave the rest to a later time.

        Raises:
            HistoryError: a process still reads after that time.
        """
        end = time.monotonic() + wait_s
        while True:
            [[busy, _, _]] = self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
            if not busy or not wait_s:
                return
            if time.monotonic() > end:
                raise HistoryError(
                    f"{displayable(self.path)}: another program has read it for more than {BUSY_S} s, so what was "
                    "erased is still in the file beside it",
                    fix="end that program, then erase again",
                )
            time.sleep(0.05)


def _identity(path: Path) -> tuple[int, int] | None:
    """What another file of the same name does not have; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _offset_minutes(moment: datetime) -> int:
    return (moment.utcoffset() or timedelta(0)) // timedelta(minutes=1)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else storable(json.dumps(dict(value), separators=(",", ":"), ensure_ascii=False))
