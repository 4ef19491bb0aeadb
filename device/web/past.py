"""What pages and scripts get from the history; the numbers are checked before it is read."""

import contextlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from aiohttp import web

from device.errors import EdgeMcnnError
from device.history.records import Filter
from device.web.services import services_of
from device.web.views import MOST_DOTS

ROWS = 50
_MOST_ROWS = 500
_WEEKS = 12
_LARGEST = 2**53


async def today(request: web.Request) -> dict[str, Any]:
    """What the page with today shows."""
    day = datetime.now().astimezone().date()
    return await _read(
        request,
        {"hours": [], "rows": []},
        lambda store: {"hours": store.hours(day), "rows": store.page(Filter(day=day), None, MOST_DOTS)},
        day=day.isoformat(),
    )


async def selected(request: web.Request) -> dict[str, Any]:
    """What the page with the past shows, as its query selects."""
    wanted = {"day": "", "label": "", "low": "", "before": ""}
    wanted.update({name: value for name, value in request.query.items() if name in wanted})
    day = _date(wanted["day"]) if wanted["day"] else None
    before = _number(wanted["before"]) if wanted["before"] else None

    def read(store: Any) -> dict[str, Any]:
        return {
            "rows": store.page(Filter(day, wanted["label"] or None, bool(wanted["low"])), before, ROWS),
            "days": store.days(),
            "heat_map": store.heat_map(_WEEKS),
            "hours": store.hours(day) if day is not None else [],
        }

    return await _read(request, {"rows": [], "days": [], "heat_map": [], "hours": []}, read, wanted=wanted)


async def health(request: web.Request) -> dict[str, Any]:
    """The health of the last day."""
    return await _read(request, {"past": []}, lambda store: {"past": store.health(24)})


async def _read(
    request: web.Request, nothing: Mapping[str, Any], read: Callable[[Any], dict[str, Any]], **context: Any
) -> dict[str, Any]:
    """Read the history; if that does not work, the page shows why, and nothing from it."""
    thread = services_of(request).history
    found = dict(nothing)
    if thread.is_on:
        with contextlib.suppress(EdgeMcnnError):  # `as_dict` has the message
            found = await thread.read(read)
    return {**context, **found, "history": thread.as_dict()}


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise web.HTTPBadRequest(text="a date is written like 2026-11-27") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise web.HTTPBadRequest(text="before is not a number")
    return int(text)
