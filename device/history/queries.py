"""What the history answers: pages of predictions, counts by day, hour and weekday, and the state of the device.

A query reads all its rows at once, so that no reader ever prevents the journal from being emptied.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from device.history.file import BUSY_S, damaged, file_bytes, translated_errors
from device.history.records import (
    Contents,
    Counts,
    Day,
    Filter,
    HealthRecord,
    Page,
    StoredPrediction,
)
from device.system.display import displayable

_COLUMNS = (
    "sequence, time_ms, offset_minutes, clock_doubtful, label, corrected, probabilities, confident, light, "
    "lights_stay, seconds, latency_ms, adapted, audio_only, text_only, text, daemons.daemon, number, boot"
)
# CROSS JOIN: the predictions are always the outer loop, in the order of their index.
_PREDICTIONS = f"SELECT {_COLUMNS} FROM predictions CROSS JOIN daemons ON daemons.id = predictions.daemon"  # noqa: S608  # constants
_NO_LIMIT = 2**63 - 1
_BATCH = 1000
_FIRST_DAY, _LAST_DAY = "0000-00-00", "9999-99-99"


def now() -> datetime:
    """Return the time with the offset of the local time."""
    return datetime.now(UTC).astimezone()


class HistoryQueries:
    """Everything that can be read from an open history.

    Every method raises `HistoryError` if the file cannot be read, and `DamagedHistoryError` if it is damaged.

    Args:
        connection: connection to the file.
        path: the file, for messages.
        clock: returns the time with the offset of the local time.
        busy_s: seconds that the connection waits for another process that writes, for messages.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Callable[[], datetime] = now,
        busy_s: float = BUSY_S,
    ) -> None:
        self.path = path
        self._connection = connection
        self._clock = clock
        self._busy_s = busy_s

    def contents(self) -> Contents:
        """Return what the history contains."""
        [[predictions, corrected, with_words]] = self._rows(
            "SELECT total(predictions), total(corrected), total(with_words) FROM hours"
        )
        [[health]] = self._rows("SELECT count(*) FROM health")
        ends = [
            self._rows(f"SELECT time_ms, offset_minutes FROM predictions ORDER BY sequence {order} LIMIT 1")  # noqa: S608  # constants
            for order in ("ASC", "DESC")
        ]
        first, last = (self._time(*rows[0]) if rows else None for rows in ends)
        return Contents(int(predictions), int(corrected), int(with_words), first, last, health, file_bytes(self.path))

    def labels(self) -> Counts:
        """Return the number of predictions per class, of all classes that any model predicted or a person named."""
        return dict(self._rows("SELECT label, sum(predictions) FROM hours GROUP BY label ORDER BY 2 DESC, 1"))

    def days(self) -> list[Day]:
        """Return all days with predictions, the latest date first."""
        return self._days("")

    def day(self, day: date) -> Day:
        """Return what was predicted on a local day."""
        return next(iter(self._days("WHERE day = ?", day.isoformat())), Day(day, {}))

    def hours(self, day: date) -> tuple[Counts, ...]:
        """Return the predictions per class for each hour of a local day.

        Returns:
            24 counts, by the hour that a clock on the wall shows: when daylight saving time ends, one of them covers
            two hours, and when it begins, one is empty.
        """
        rows = self._rows(
            "SELECT hour, label, sum(predictions) FROM hours WHERE day = ? GROUP BY 1, 2 ORDER BY 3 DESC, 2",
            day.isoformat(),
        )
        hours: tuple[dict[str, int], ...] = tuple({} for _ in range(24))
        with self._converting():
            for hour, label, count in rows:
                hours[hour][label] = count
        return hours

    def heat_map(self, weeks: int | None = None) -> tuple[tuple[Counts, ...], ...]:
        """Return the predictions by weekday and hour, without those at which the clock was certainly wrong.

        Args:
            weeks: how many of the last weeks count, today being the last day; None for all.

        Returns:
            Predictions per class, shape (7, 24): Monday first.
        """
        first = _FIRST_DAY
        if weeks is not None:
            first = (self._clock().date() - timedelta(days=7 * weeks - 1)).isoformat()
        rows = self._rows(
            "SELECT (strftime('%w', day) + 6) % 7, hour, label, sum(predictions) FROM hours "
            "WHERE clock_doubtful = 0 AND day >= ? GROUP BY 1, 2, 3 ORDER BY 4 DESC, 3",
            first,
        )
        cells: list[list[dict[str, int]]] = [[{} for _ in range(24)] for _ in range(7)]
        with self._converting():
            for weekday, hour, label, count in rows:
                cells[weekday][hour][label] = count
        return tuple(map(tuple, cells))

    def page(self, conditions: Filter | None = None, before: int | None = None, limit: int = 50) -> Page:
        """Return the latest predictions that fulfil the conditions.

        Args:
            conditions: which predictions; None for all.
            before: return those whose sequence is smaller; None to begin with the latest.
            limit: largest number of predictions, from 1 on.
        """
        conditions = conditions or Filter()
        where, values = ["sequence < ?"], [_NO_LIMIT if before is None else max(-_NO_LIMIT, min(before, _NO_LIMIT))]
        texts: list[str] = []
        # The first of these uses its index, which has the rows in order; `+` excludes the others from theirs.
        if conditions.day is not None:
            where.append("day = ?")
            texts.append(conditions.day.isoformat())
        if conditions.label is not None:
            where.append(f"{'+' * bool(texts)}coalesce(corrected, label) = ?")
            texts.append(storable(conditions.label))
        if conditions.low_confidence:
            where.append(f"{'+' * bool(texts)}confident = 0")
        rows = self._rows(
            f"{_PREDICTIONS} WHERE {' AND '.join(where)} ORDER BY sequence DESC LIMIT ?", *values, *texts, limit + 1
        )
        predictions = tuple(self._predictions(rows[:limit]))
        return Page(predictions, predictions[-1].sequence if len(rows) > limit else None)

    def health(self, hours: float) -> list[HealthRecord]:
        """Return the state of the device in the last hours, the earliest first."""
        first = self._clock().timestamp() / 60 - hours * 60
        rows = self._rows(
            "SELECT minute, offset_minutes, memory_mb, uptime_s, blocks_dropped, microphone_losses, temperature_c, "
            "low_voltage, slowed FROM health WHERE minute >= ? ORDER BY minute",
            first,
        )
        return [
            HealthRecord(
                self._time(60_000 * minute, offset), memory, uptime, dropped, losses, temperature, *map(_bit, bits)
            )
            for minute, offset, memory, uptime, dropped, losses, temperature, *bits in rows
        ]

    def count(self, since: date | None = None, until: date | None = None) -> int:
        """Return the number of predictions on local days from `since` to `until`, both included; None for no limit."""
        [[count]] = self._rows("SELECT total(predictions) FROM hours WHERE day BETWEEN ? AND ?", *_range(since, until))
        return int(count)

    def in_order(self, since: date | None = None, until: date | None = None) -> Iterator[StoredPrediction]:
        """Yield the predictions in the order of their arrival, without those that are added meanwhile.

        Args:
            since: first local day; None for no limit.
            until: last local day, included; None for no limit.
        """
        [[last]] = self._rows("SELECT coalesce(max(sequence), 0) FROM predictions")
        sequence = -1
        while True:
            rows = self._rows(
                f"{_PREDICTIONS} WHERE sequence > ? AND sequence <= ? AND +day BETWEEN ? AND ? "
                "ORDER BY sequence LIMIT ?",
                sequence, last, *_range(since, until), _BATCH,
            )  # fmt: skip
            yield from self._predictions(rows)
            if len(rows) < _BATCH:
                return
            sequence = rows[-1][0]

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with translated_errors(self.path, self._busy_s):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _converting(self) -> Iterator[None]:
        """Values that nothing here has written are a sign of a damaged file."""
        try:
            yield
        except (ValueError, TypeError, IndexError, OverflowError, RecursionError) as error:
            raise damaged(self.path, displayable(error)) from None

    def _days(self, where: str, *values: str) -> list[Day]:
        rows = self._rows(
            "SELECT day, label, sum(predictions), sum(low_confidence), sum(corrected), "  # noqa: S608  # constants
            f"sum(predictions * clock_doubtful) FROM hours {where} GROUP BY 1, 2 ORDER BY 1 DESC, 3 DESC, 2",
            *values,
        )
        labels: defaultdict[str, dict[str, int]] = defaultdict(dict)
        numbers: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        with self._converting():
            for day, label, count, *others in rows:
                labels[day][label] = count
                numbers[day] = [one + other for one, other in zip(numbers[day], others, strict=True)]
            return [Day(date.fromisoformat(day), counts, *numbers[day]) for day, counts in labels.items()]

    def _predictions(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[StoredPrediction]:
        for row in rows:
            (sequence, time_ms, offset, doubtful, label, corrected, probabilities, confident, light, stay, seconds,
             latency, adapted, audio_only, text_only, text, daemon, number, boot) = row  # fmt: skip
            if not all(
                isinstance(each, str) for each in (label, corrected or "", light or "", text or "", daemon, boot)
            ):
                raise damaged(self.path, "a text that is none")
            yield StoredPrediction(
                sequence, self._time(time_ms, offset), bool(doubtful), label, corrected, self._object(probabilities),
                bool(confident), light, bool(stay), seconds, latency, bool(adapted), self._modality(audio_only),
                self._modality(text_only), text, daemon, number, boot,
            )  # fmt: skip

    def _time(self, time_ms: int, offset_minutes: int) -> datetime:
        with self._converting():
            return local_time(time_ms, offset_minutes)

    def _object(self, text: str) -> dict[str, Any]:
        with self._converting():
            value = json.loads(text)
            if not isinstance(value, dict):
                raise TypeError("probabilities that are no JSON object")
            return value

    def _modality(self, text: str | None) -> Mapping[str, Any] | None:
        return None if text is None else self._object(text)


def local_time(time_ms: int, offset_minutes: int) -> datetime:
    """Return a time with the offset that the local time had.

    Raises:
        ValueError: the values are out of range.
        OverflowError: they are far out of range.
    """
    zone = timezone(timedelta(minutes=offset_minutes))
    return datetime(1970, 1, 1, tzinfo=UTC).astimezone(zone) + timedelta(milliseconds=time_ms)


def storable(text: str) -> str:
    """Return a text as it is stored: JSON can contain halves of surrogate pairs, which UTF-8 cannot represent."""
    return text.encode("utf-8", "replace").decode()


def _bit(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _range(since: date | None, until: date | None) -> tuple[str, str]:
    return since.isoformat() if since else _FIRST_DAY, until.isoformat() if until else _LAST_DAY
