"""The real application on a port of its own, with a fake daemon; for the tests of the server and of the page."""

import asyncio
import contextlib
import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from device.daemon.self_check import Checked
from device.history.store import History
from device.settings.schema import Settings
from device.web.access.access import Access
from device.web.access.login_limit import LoginLimit
from device.web.app import create_app, own_names
from device.web.connections import Connections
from device.web.services import Services
from device.web.sources.daemon_requests import DaemonRequests
from device.web.sources.history_thread import HistoryThread
from device.web.sources.live import LiveState
from device.web.stream import Hub
from tests.waiting import LIMIT_S, wait_until

LABELS = ("negative", "neutral", "positive")
PASSWORD = "correct horse"  # noqa: S105  # of a server that ends with its test
HELLO = {
    "event": "hello", "protocol": 1, "version": "0.2.0", "daemon": "d" * 32, "boot": "b" * 32, "labels": list(LABELS),
    "gate_dbfs": -60.0, "hold_s": 5.0, "mel_bands": 64, "column_s": 0.032, "db_floor": 80.0, "words": False,
    "learns": True,
}  # fmt: skip
STATE = {
    "event": "state", "state": "healthy", "reason": "", "fix": "", "microphone": "USB PnP Sound Device", "rate": 48000
}  # fmt: skip
HEALTH = {
    "event": "health", "memory_mb": 229.3, "uptime_s": 3600.5, "blocks_dropped": 0, "microphone_losses": 0,
    "model": "sentiment", "temperature_c": 51.2, "low_voltage": False, "slowed": False,
}  # fmt: skip
START = (HELLO, STATE, {"event": "mute", "muted": False}, HEALTH)


def prediction(number: int, label: str = "negative", **changes: Any) -> dict[str, Any]:
    """A `prediction` event."""
    rest = {each: 0.1 for each in LABELS if each != label}
    return {
        "event": "prediction", "number": number, "daemon": "d" * 32, "lights_stay": False, "replayed": False,
        "time": f"2026-11-27T10:{number % 60:02}:00.000+00:00", "label": label, "probabilities": {label: 0.8, **rest},
        "raw_probabilities": None, "audio_only": None, "text_only": None, "adapted": False, "confident": True,
        "light": label, "start_s": 0.0, "seconds": 1.5, "ending": "silence", "ms_speech_to_light": 640.0,
        "ms_endpoint_to_light": 1.0, **changes,
    }  # fmt: skip


class FakeDaemon:
    """Serves an events socket from a thread; each reader gets what was sent last, then what is sent.

    Args:
        path: the socket.
        start: the first events for each reader.
    """

    def __init__(self, path: Path, start: tuple[Mapping[str, Any], ...] = START) -> None:
        self.path = path
        self.start = start
        self.readers: list[socket.socket] = []
        self._sending = threading.Lock()
        """Held until a new reader has its first events."""

    def __enter__(self) -> "FakeDaemon":
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(LIMIT_S)
        self.drop()

    def send(self, *events: Mapping[str, Any]) -> None:
        """Send events to all readers; wait for one if there is none yet."""
        self.send_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in events))

    def send_bytes(self, content: bytes) -> None:
        """Send anything to all readers; wait for one if there is none yet."""
        wait_until(lambda: self.readers, message="nobody reads the events")
        with self._sending:
            for reader in self.readers:
                reader.sendall(content)

    def drop(self) -> None:
        """Close all connections."""
        while self.readers:
            self.readers.pop().close()

    def _serve(self) -> None:
        while True:
            try:
                reader, _ = self._listener.accept()
            except OSError:
                return
            with self._sending, contextlib.suppress(OSError):
                reader.settimeout(LIMIT_S)
                reader.sendall(b"".join(json.dumps(event).encode() + b"\n" for event in self.start))
                self.readers.append(reader)


@dataclass
class Response:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    cookies: list[str]
    text: str


@dataclass
class Server:
    """A running server, and one client of it with its cookies."""

    port: int
    services: Services
    app: web.Application
    connections: Connections
    loop: asyncio.AbstractEventLoop
    changes: list[tuple[str, Any]]
    """What was requested from the daemon."""
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """Send a request with the cookies, and store those in the response."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if not self.cookies:
            sent = {}
        if form is not None:
            body = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        sent.update(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace") if not _endless(response) else ""
        finally:
            connection.close()
        cookies = response.headers.get_all("Set-Cookie", [])
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return Response(response.status, dict(response.headers), cookies, text)

    def get(self, path: str, **headers: str) -> Response:
        """Get a path; names of headers are written with underscores."""
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def csrf(self, path: str = "/login") -> str:
        """The token of the forms of a page."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(path).text)
        assert found is not None
        return found[1]

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Response:
        """Send a form with its token."""
        token = self.csrf("/login" if path == "/login" else "/")
        return self.request("POST", path, {"csrf": token, **form}, headers=headers)

    def log_in(self, password: str = PASSWORD) -> Response:
        """Log in."""
        return self.post("/login", {"password": password})

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the event loop."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(LIMIT_S)

    def raw(self, content: bytes) -> bytes:
        """Send bytes on a connection, and return the response to them, or what came of it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as connection:
            received = b""
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # it has responded before it has read all
                connection.sendall(content)
            with contextlib.suppress(ConnectionResetError):  # what came before counts
                while not _is_complete(received) and (part := connection.recv(65536)):
                    received += part
            return received


def _is_complete(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and (length is None or len(body) >= int(length[1]))


def _endless(response: http.client.HTTPResponse) -> bool:
    return response.headers.get("Content-Type", "").startswith("text/event-stream")


FINDINGS = (
    {"topic": "settings", "verdict": "OK", "message": "defaults", "fix": ""},
    {"topic": "lights", "verdict": "WARN", "message": "no LED will light up", "fix": "nothing to fix"},
    {"topic": "microphone", "verdict": "FAIL", "message": "no microphone found", "fix": "plug one in"},
)


def checked(change: Callable[[str, Any], None], changes: list[tuple[str, Any]]) -> Checked:
    """The result of a check; it is noted, and `change` may raise instead."""
    change("check", True)
    changes.append(("check", True))
    return Checked(FINDINGS, 0.0)


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    login_needed: bool = False,
    open_history: Callable[[], History] | None = None,
    settings: Settings | None = None,
    limit: LoginLimit | None = None,
    socket_path: Path | None = None,
    tls: ssl.SSLContext | None = None,
    status: Mapping[str, Any] | None = None,
    change: Callable[[str, Any], None] = lambda _name, _value: None,
) -> Iterator[Server]:
    """Run the application in a thread, on a free port of the loopback address.

    Args:
        folder: folder of its password, sessions and tokens.
        login_needed: whether a login is needed without a password, too.
        open_history: opens the history; None for none.
        settings: the settings; None for the defaults.
        limit: limit on attempts to log in.
        socket_path: events socket of the daemon; `folder` / "events.sock" without one.
        tls: certificate; None for http, which `Server` sends.
        status: status of the daemon; None for no daemon.
        change: called with each request to the daemon: `mute`, `correct`, `light` or `check`, and its value; may raise.
    """
    started: dict[str, Any] = {}
    ready = threading.Event()
    ended = asyncio.Event()
    changes: list[tuple[str, Any]] = []

    def noting(name: str) -> Callable[[Any], tuple[Any, str]]:
        def note(value: Any) -> tuple[Any, str]:
            change(name, value)
            changes.append((name, value))
            return value, f"{name} is {value} now"

        return note

    async def serve() -> None:
        services = Services(
            settings=settings or Settings(),
            settings_file=None,
            access=Access(folder, login_needed=login_needed, limit=limit),
            live=LiveState(),
            hub=Hub(),
            history=HistoryThread(open_history),
            daemon=DaemonRequests(
                noting("mute"),
                noting("correct"),
                noting("light"),
                lambda: None if status is None else dict(status),
                lambda: checked(change, changes),
            ),
            names=own_names(()),
        )
        app = create_app(services, lambda: [socket_path or folder / "events.sock"])
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        assert runner.server is not None
        connections = Connections(runner.server, tls)
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            started["server"] = Server(port, services, app, connections, loop, changes)
            try:
                async with connections.accepting(listener):
                    ready.set()
                    await ended.wait()
            finally:
                await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="server")
    thread.start()
    assert ready.wait(LIMIT_S)
    try:
        yield started["server"]
    finally:
        started["server"].loop.call_soon_threadsafe(ended.set)
        thread.join(LIMIT_S)
        assert not thread.is_alive()
