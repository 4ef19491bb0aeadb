"""The application: its routes, what stands in front of them, and the tasks that run beside them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from aiohttp import web

from device.event_client import event_socket_paths
from device.web import api, pages
from device.web.connections import note_arrival
from device.web.past import CsvExport
from device.web.security import BODY_BYTES, MIDDLEWARES, add_headers
from device.web.services import SERVICES, Services
from device.web.sources.live import Event, EventsTask
from device.web.static_files import LOGIN_STYLE, read_static_files, static_handler


def own_names(configured: Sequence[str]) -> frozenset[str]:
    """Host names under which the page may be opened: of this machine, and those in the settings."""
    machine = socket.gethostname().lower().rstrip(".")
    short = machine.partition(".")[0]
    names = {"localhost", machine, short, f"{short}.local", *(name.lower().rstrip(".") for name in configured)}
    return frozenset(names - {""})


def create_app(services: Services, paths: Callable[[], Sequence[Path]] = event_socket_paths) -> web.Application:
    """Make the application.

    Args:
        services: what the handlers share.
        paths: events sockets of daemons, the first that responds is used.
    """
    app = web.Application(middlewares=(note_arrival, *MIDDLEWARES), client_max_size=BODY_BYTES)
    app[SERVICES] = services
    static = static_handler(read_static_files())
    app.on_response_prepare.append(add_headers)
    app.add_routes(
        [
            web.get("/", pages.live),
            web.get("/history", pages.history),
            web.get("/history.csv", CsvExport().respond, allow_head=False),
            web.get("/health", pages.health),
            web.get("/settings", pages.settings),
            web.get("/login", pages.login_page, name="login"),
            web.post("/login", pages.log_in, name="login"),
            web.post("/logout", pages.log_out),
            web.post("/mute", pages.mute),
            web.post("/correct", pages.correct),
            web.post("/light", pages.light),
            web.post("/check", pages.check),
            web.get("/events", api.events, allow_head=False),
            web.get("/api/status", api.status),
            web.get("/api/history", api.history),
            web.get("/api/day", api.day),
            web.get("/api/heat-map", api.heat_map),
            web.get(f"/static/{LOGIN_STYLE}", static, name="login-style"),
            web.get("/static/{name}", static),
        ]
    )

    async def tasks(_app: web.Application) -> AsyncIterator[None]:
        def store(event: Event) -> None:
            services.history.write(event, services.live.boot)

        reading = asyncio.create_task(EventsTask(paths, services.live, services.hub.publish, store).run())
        yield
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        await services.history.close()

    async def disconnect(_app: web.Application) -> None:
        services.hub.disconnect()

    services.daemon.on_check = lambda: services.hub.publish({"event": "check", "busy": services.daemon.is_checking})
    app.cleanup_ctx.append(tasks)
    app.on_shutdown.append(disconnect)
    return app
