"""The real web server with a scripted daemon, and a browser that counts every fault as a failure."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from device.daemon.self_check import Checked, Finding
from device.history.store import History
from device.settings.schema import HistorySettings, Settings
from device.web.access.access import Access
from device.web.app import create_app
from device.web.services import Services
from device.web.sources.daemon_requests import DaemonRequests
from device.web.sources.history_thread import HistoryThread
from device.web.sources.live import LiveState
from device.web.stream import Hub
from tests.waiting import LIMIT_S
from tests.web_page.scripted_daemon import DAEMON, ScriptedDaemon


@dataclass
class Rig:
    """A server that is running, with its daemon."""

    url: str
    """Address of the page, without a slash at the end."""
    daemon: ScriptedDaemon
    requests: list[tuple[str, Any]]
    """What the page has requested of the daemon: `mute`, `correct`, `light` or `check`, and the value."""
    stop: Callable[[], None]
    """End the server, as if its machine had lost its network."""
    start: Callable[[], None]
    """Start it again at the same address."""
    pages: Callable[[], int]
    """Number of pages that are connected."""
    latest: Callable[[], int]
    """Number of the latest prediction that the server has received; 0 for none."""
    status: dict[str, Any] | None = field(default=None)
    """What `edge-mcnn status` would print; a test may set it."""
    muting: str = "muted: the microphone is closed"
    """What the daemon answers when it is muted or unmuted; a test may set it."""
    check: Callable[[], Sequence[Finding]] = lambda: ()
    """What a check of every part finds; a test may set it, wait in it, or raise an error."""


@contextlib.contextmanager
def running(folder: Path, daemon: ScriptedDaemon, *, history: Path | None = None) -> Iterator[Rig]:
    """Serve the page at a free port until the context is left.

    Args:
        folder: for the files of the server.
        daemon: the daemon, which the caller starts.
        history: a file with the history; None for no history.
    """
    server = _Server(folder, daemon, history)
    server.start()
    try:
        yield server.rig
    finally:
        server.stop()


class _Server:
    """The server on a thread with an event loop."""

    def __init__(self, folder: Path, daemon: ScriptedDaemon, history: Path | None) -> None:
        self._folder, self._daemon, self._history = folder, daemon, history
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ended: asyncio.Event | None = None
        self._services: Services | None = None
        self.rig = Rig("", daemon, [], self.stop, self.start, self._pages, self._latest)

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="web server")
        self._thread.start()
        assert ready.wait(LIMIT_S), "the server did not start"
        self.rig.url = f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        if self._thread is None or self._loop is None or self._ended is None:
            return
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), "the server did not end"
        self._thread = None

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        path = self._history
        settings = replace(Settings(), history=HistorySettings(keep_days=30 if path else 0))
        services = Services(
            settings=settings,
            settings_file=None,
            access=Access(self._folder, login_needed=False),
            live=LiveState(),
            hub=Hub(),
            history=HistoryThread(
                None if path is None else lambda: History(path, keep_days=60, max_mb=200, words=True)
            ),
            daemon=DaemonRequests(self._mute, self._correct, self._light, lambda: self.rig.status, self._check),
            names=frozenset({"localhost"}),
        )
        self._services = services
        app = create_app(services, lambda: [self._daemon.path])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        assert site._server is not None
        self._port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # of asyncio's server
        ready.set()
        await self._ended.wait()
        await runner.cleanup()

    def _pages(self) -> int:
        assert self._services is not None
        return len(self._services.hub)

    def _latest(self) -> int:
        assert self._services is not None
        latest = self._services.live.latest
        return latest[-1]["number"] if latest else 0

    def _mute(self, muted: bool) -> tuple[bool, str]:
        self.rig.requests.append(("mute", muted))
        self._daemon.send({"event": "mute", "muted": muted})
        return muted, self.rig.muting

    def _correct(self, label: str) -> None:
        self.rig.requests.append(("correct", label))
        self._daemon.send({"event": "corrected", "number": self._daemon.latest, "daemon": DAEMON, "label": label})

    def _light(self, label: str) -> None:
        self.rig.requests.append(("light", label))

    def _check(self) -> Checked:
        self.rig.requests.append(("check", True))
        return Checked(self.rig.check(), 0.0)
