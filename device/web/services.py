"""What the handlers of requests share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from device.settings.schema import Settings
from device.web.access.access import Access, Visitor
from device.web.sources.daemon_requests import DaemonRequests
from device.web.sources.history_thread import HistoryThread
from device.web.sources.live import LiveState
from device.web.stream import Hub


@dataclass(frozen=True)
class Services:
    """What the handlers of requests share, and what tests replace."""

    settings: Settings
    """The settings that the server was started with."""
    settings_file: Path | None
    """Where they are from; None for the defaults."""
    access: Access
    live: LiveState
    hub: Hub
    history: HistoryThread
    daemon: DaemonRequests
    names: frozenset[str]
    """Host names, in lower case, under which the page may be opened, besides addresses."""


SERVICES = web.AppKey("services", Services)
VISITOR = web.RequestKey("visitor", Visitor)
"""Who sends a request; missing if that person has not logged in."""
CSRF = web.RequestKey("csrf", str)
"""The token for the forms of the response."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def services_of(request: web.Request) -> Services:
    """The services of the application that serves a request."""
    return request.app[SERVICES]


def visitor_of(request: web.Request) -> Visitor:
    """Who sends a request, which the middlewares have admitted."""
    return request[VISITOR]
