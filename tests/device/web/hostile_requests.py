"""Random requests that are almost valid, for the server of the page; `tests.system.fuzz_web` sends many of them."""

import contextlib
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from device.history.store import History
from device.web.access.passwords import write_password
from device.web.access.tokens import make_token
from tests.device.web.server import PASSWORD, START, FakeDaemon, Server, prediction, running
from tests.waiting import wait_until

_NOTHING_S = 0.2
"""Seconds without a byte after which the server waits for more of a request that is not complete."""
_WORDS = (
    "", "0", "-1", "1", "on", "off", "negative", "null", "true", "../", "..%2f", "%00", "%", "%zz", "%c0%ae", "\u00e4",
    "\u2028", "<script>", "' OR 1=1 --", "{{7*7}}", "${7*7}", "A" * 300, "2026-11-27", "9999-12-31", "0000-00-00",
    "99999999999999999999", "1e309", "NaN", "\x7f", "\r\nX: y", "//evil.example", "javascript:x", "[", "]", ";", "&",
    "=", "?", "#", " ", "+",
)  # fmt: skip
_NAMES = (
    "csrf", "muted", "label", "back", "password", "day", "low", "before", "limit", "weeks", "since", "until", "name",
)  # fmt: skip
_HEADERS = (
    "Host", "Origin", "Cookie", "Authorization", "Accept", "Content-Type", "Content-Length", "Transfer-Encoding",
    "Content-Encoding", "Connection", "Upgrade", "Expect", "Range", "If-None-Match", "If-Modified-Since", "TE",
    "Sec-Fetch-Site", "Sec-Fetch-Mode", "X-Forwarded-For", "X-HTTP-Method-Override", "Forwarded", "Referer",
    "Last-Event-ID",
)  # fmt: skip
_VALUES = (
    "localhost", "evil.example", "http://localhost", "null", "bytes=0-", "chunked", "gzip", "100-continue", "websocket",
    "close", "keep-alive", "h2c", '"a"', "*", "W/", "Bearer x", "Bearer", "Basic eDp5", "cross-site", "navigate",
    "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x", "text/html",
    "application/json", "edge-mcnn-session=x", "edge-mcnn-form=x; edge-mcnn-session=" + "y" * 100, "a=b; c", "=", ";;;",
)  # fmt: skip
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "X", "GET\t")


class Hostile:
    """Sends random requests.

    Args:
        server: the server.
        chance: the source of randomness.
        credentials: a header that half of the requests have, so that they come further.
        csrf: a token that forms have then.
    """

    def __init__(self, server: Server, chance: random.Random, credentials: str = "", csrf: str = "") -> None:
        self._server = server
        self._chance = chance
        self._credentials = credentials
        self._csrf = csrf
        self._paths = sorted(
            {str(route.resource.canonical) for route in server.app.router.routes() if route.resource is not None}
        )
        self._sessions = server.services.access.session_count

    def send(self, kind: str, count: int) -> Counter[str]:
        """Send requests of a kind; return how often each status came, `nothing` for none."""
        return Counter(self._status(KINDS[kind](self)) for _ in range(count))

    def check(self, statuses: Counter[str]) -> None:
        """Check that the server had no error, stores nothing more, did only what it may do, and still works."""
        server = self._server
        # 503: another export runs, whose client has gone.
        assert not [status for status in statuses if status.startswith("5") and status != "503"], statuses
        assert server.services.history.message == ""
        assert statuses["nothing"] < statuses.total() / 10, statuses
        assert server.services.access.session_count == self._sessions
        assert len(server.services.access.limit) <= 20
        assert len(server.connections) <= 64
        assert set(server.changes) <= {
            ("mute", True), ("mute", False), ("correct", "negative"), ("light", "negative"), ("check", True),
        }  # fmt: skip
        assert server.get("/login").status in (200, 303)

    def _status(self, content: bytes) -> str:
        """Send a request, and return the status of the response."""
        received = b""
        with (
            socket.create_connection(("127.0.0.1", self._server.port), timeout=_NOTHING_S) as connection,
            contextlib.suppress(TimeoutError, ConnectionError),
        ):
            connection.sendall(content)
            while b"\r\n\r\n" not in received and (part := connection.recv(65536)):
                received += part
        parts = received.split(b" ", 2)
        return parts[1].decode("ascii", "replace") if len(parts) > 1 else "nothing"

    def word(self) -> str:
        """A word that something may not expect."""
        chance = self._chance
        if chance.random() < 0.7:
            return chance.choice(_WORDS)
        return "".join(chr(chance.choice((chance.randrange(32, 127), chance.randrange(1, 0x2FFF)))) for _ in range(6))

    def path(self) -> str:
        """The path of a route, with random parts and a random query."""
        chance = self._chance
        path = chance.choice(self._paths).replace("{name}", quote(self.word(), safe="%"))
        if path == "/events":
            path = "/"  # an endless response; tests/device/web/test_stream.py has those
        if chance.random() < 0.2:
            path += quote(self.word(), safe="%/.")
        query = "&".join(
            f"{chance.choice(_NAMES)}={quote(self.word(), safe='%')}" for _ in range(chance.choice((0, 0, 1, 2, 5)))
        )
        return f"{path}?{query}" if query else path

    def header(self) -> str:
        """A header, with a line end."""
        value = self._chance.choice(_VALUES) if self._chance.random() < 0.7 else self.word()
        return f"{self._chance.choice(_HEADERS)}: {value}\r\n"

    def body(self, csrf: str) -> bytes:
        """A form."""
        chance = self._chance
        pairs = [f"{chance.choice(_NAMES)}={quote(self.word(), safe='%')}" for _ in range(chance.randrange(6))]
        return "&".join([*pairs, *([f"csrf={csrf}"] if csrf else [])]).encode("utf-8", "replace")

    def request(self, headers: int = 0, method: str = "") -> bytes:
        """A request for a random route."""
        method = method or self._chance.choice(_METHODS[:3])
        admitted = self._chance.random() < 0.5
        body = self.body(self._csrf if admitted else "")
        head = f"{method} {self.path()} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += f"{self._credentials}\r\n" if admitted and self._credentials else ""
        head += "".join(self.header() for _ in range(headers))
        if method == "POST":
            head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n".encode("utf-8", "replace") + (body if method == "POST" else b"")

    def damaged(self) -> bytes:
        """A request with bytes that are changed, removed or repeated."""
        content = bytearray(self.request(headers=self._chance.randrange(3)))
        for _ in range(self._chance.randrange(1, 5)):
            at = self._chance.randrange(len(content) + 1)
            what = self._chance.randrange(4)
            if what == 0:
                content[at:at] = self._chance.randbytes(self._chance.randrange(1, 20))
            elif what == 1:
                del content[at : at + self._chance.randrange(1, 20)]
            elif what == 2 and content:
                content[min(at, len(content) - 1)] ^= 1 << self._chance.randrange(8)
            else:
                content[at:at] = content[at : at + 40] * self._chance.randrange(1, 4)
        return bytes(content) + b"\r\n\r\n"


@contextlib.contextmanager
def attacked(folder: Path, chance: random.Random, *, password: bool) -> Iterator[Hostile]:
    """Run a server with a history and a fake daemon, with a password or without one."""
    token = ""
    if password:
        write_password(folder, PASSWORD)
        token = make_token(folder, "script")

    def history() -> History:
        return History(folder / "history.sqlite3", keep_days=30, max_mb=10, words=False)

    with FakeDaemon(folder / "events.sock", (*START, prediction(1))), running(folder, open_history=history) as server:
        wait_until(lambda: server.services.live.latest)
        if password:
            yield Hostile(server, chance, f"Authorization: Bearer {token}")
        else:
            csrf = server.csrf("/")
            yield Hostile(server, chance, f"Cookie: edge-mcnn-form={server.cookies['edge-mcnn-form']}", csrf)


KINDS: dict[str, Callable[[Hostile], bytes]] = {
    "queries": lambda hostile: hostile.request(method="GET"),
    "forms": lambda hostile: hostile.request(method="POST"),
    "headers": lambda hostile: hostile.request(headers=4),
    "methods": lambda hostile: hostile.request(method=hostile._chance.choice(_METHODS)),
    "damaged requests": Hostile.damaged,
}
"""How each kind of request is made."""
