"""What pages and scripts get from the history; what a query contains is checked before."""

import asyncio
import contextlib
import io
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from aiohttp import web

from device.errors import EdgeMcnnError, HistoryError
from device.history import csv_export
from device.history.records import Day, Filter
from device.history.store import History
from device.web.services import services_of
from device.web.stream import send

ROWS = 50
"""Number of predictions on a page."""
_MOST_ROWS = 500
_WEEKS, _MOST_WEEKS = 12, 530
_HEALTH_HOURS = 24
_CSV_ROWS = 1000
_LONGEST_LABEL = 200


async def today(request: web.Request) -> dict[str, Any]:
    """What the page with today shows: `today`, `hours`, `rows`, and `day`."""
    return await of_day(request, datetime.now().astimezone().date())


async def of_day(request: web.Request, day: date | None = None) -> dict[str, Any]:
    """The numbers and the latest predictions of a day; of the one in the query without `day`."""
    wanted = day or _date(request.query.get("day", "")) or datetime.now().astimezone().date()

    def read(history: History) -> dict[str, Any]:
        page = history.page(Filter(day=wanted), None, _MOST_ROWS)
        return {
            "today": _day(history.day(wanted)),
            "hours": history.hours(wanted),
            "rows": [each.as_table() for each in page.predictions],
        }

    nothing = {"today": _day(Day(wanted, {})), "hours": [{}] * 24, "rows": []}
    return await _read(request, nothing, read, day=wanted.isoformat())


async def selected(request: web.Request) -> dict[str, Any]:
    """What the page with the past shows, as its query selects."""
    wanted = {name: request.query.get(name, "")[:_LONGEST_LABEL] for name in ("day", "label", "low", "before")}
    day = _date(wanted["day"])
    conditions = Filter(day, wanted["label"] or None, wanted["low"] not in ("", "0"))
    before = _number(wanted["before"], "before", 2**63 - 1)
    limit = max(_number(request.query.get("limit", ""), "limit", _MOST_ROWS) or ROWS, 1)

    def read(history: History) -> dict[str, Any]:
        page = history.page(conditions, before, limit)
        return {"rows": [each.as_table() for each in page.predictions], "next": page.before}

    return await _read(request, {"rows": [], "next": None}, read, wanted=wanted)


async def overview(request: web.Request) -> dict[str, Any]:
    """What was predicted when: days, hours of the selected day, weekdays, and all classes that there are."""
    day = _date(request.query.get("day", ""))
    weeks = _number(request.query.get("weeks", ""), "weeks", _MOST_WEEKS) or _WEEKS

    def read(history: History) -> dict[str, Any]:
        return {
            "days": [_day(each) for each in history.days()],
            "hours": history.hours(day) if day is not None else [],
            "heat_map": history.heat_map(weeks),
            "classes": list(history.labels()),
        }

    nothing: dict[str, Any] = {"days": [], "hours": [], "heat_map": [[{}] * 24] * 7, "classes": []}
    return await _read(request, nothing, read, weeks=weeks)


async def health(request: web.Request) -> dict[str, Any]:
    """The health of the last day, a table for each minute."""

    def read(history: History) -> dict[str, Any]:
        records = history.health(_HEALTH_HOURS)
        return {"past": [{**asdict(each), "time": each.time.isoformat(timespec="minutes")} for each in records]}

    return await _read(request, {"past": []}, read)


class CsvExport:
    """Sends the history as CSV, one export at a time, in parts between which predictions are stored."""

    def __init__(self) -> None:
        self._running = asyncio.Lock()

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Handle `/history.csv`."""
        since, until = (_date(request.query.get(name, "")) for name in ("since", "until"))
        thread = services_of(request).history
        if self._running.locked():
            raise HistoryError("another export runs", fix="try again in a moment")
        async with self._running:
            rows = await thread.read(lambda history: history.in_order(since, until))
            part = await thread.read(lambda _: _csv(rows, first=True))
            response = web.StreamResponse(
                headers={
                    "Content-Type": "text/csv; charset=utf-8",
                    "Content-Disposition": 'attachment; filename="edge-mcnn-history.csv"',
                }
            )
            await response.prepare(request)
            while part:
                await send(response, part.encode())
                part = await thread.read(lambda _: _csv(rows, first=False))
            return response


def _csv(rows: Iterator[Any], *, first: bool) -> str:
    """The next part of the table; empty after its end."""
    stream = io.StringIO()
    count = csv_export.write(itertools.islice(rows, _CSV_ROWS), stream)
    text = stream.getvalue()
    return text if first else text.partition("\n")[2] if count else ""


async def _read(
    request: web.Request, nothing: Mapping[str, Any], read: Callable[[History], dict[str, Any]], **context: Any
) -> dict[str, Any]:
    """Read the history; if that does not work, the page shows why, and nothing from it."""
    thread = services_of(request).history
    found = dict(nothing)
    if thread.is_on:
        with contextlib.suppress(EdgeMcnnError):  # `as_dict` has the message
            found = await thread.read(read)
    return {**context, **found, "history": thread.as_dict()}


def _day(day: Day) -> dict[str, Any]:
    return {**asdict(day), "day": day.day.isoformat(), "predictions": day.predictions}


def _date(text: str) -> date | None:
    """A date in a query; None if it is empty."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise web.HTTPBadRequest(text="a date is written like 2026-11-27") from None


def _number(text: str, name: str, largest: int) -> int | None:
    """A number in a query; None if it is empty."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= largest):
        raise web.HTTPBadRequest(text=f"{name} is a number up to {largest}")
    return int(text)
