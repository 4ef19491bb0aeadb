"""Connections of browsers: how many there may be, how long one may wait, and errors before any handler sees them."""

import asyncio
from collections import Counter
from collections.abc import Callable

from aiohttp import web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from device.web.render import phrase
from device.web.security import HEADERS
from device.web.services import Handler

MOST = 64
MOST_PER_ADDRESS = 48
"""Of one address, so that one machine cannot keep out all others; loopback addresses have no limit of their own."""
FIRST_REQUEST_LIMIT_S = 10.0
"""Seconds until the first request of a connection must be complete, but for its body."""
KEEP_ALIVE_S = 30.0


@web.middleware
async def note_arrival(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note that the first request of a connection has arrived in time."""
    if isinstance(request.protocol, Connection):
        request.protocol.arrived()
    return await handler(request)


class Connections:
    """Counts the connections, and makes the protocol of each.

    Args:
        server: aiohttp's server, which passes requests to the application.
    """

    def __init__(self, server: web.Server) -> None:
        self._server = server
        if (make_request := server.request_factory) is not None:
            server.request_factory = lambda message, *rest: make_request(_without_expectation(message), *rest)
        self._addresses: Counter[str] = Counter()

    def __call__(self) -> "Connection":
        """Make the protocol of a connection, before it is known whose it is."""
        return Connection(self, self._server)

    def __len__(self) -> int:
        return self._addresses.total()

    def join(self, address: str) -> bool:
        """Count a connection; return whether there is room for it."""
        own = MOST if address.startswith("127.") or address == "::1" else MOST_PER_ADDRESS
        if len(self) >= MOST or self._addresses[address] >= own:
            self._addresses += Counter()  # drops addresses without connections
            return False
        self._addresses[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection no more."""
        self._addresses[address] -= 1
        if self._addresses[address] <= 0:
            del self._addresses[address]


def _without_expectation(message: RawRequestMessage) -> RawRequestMessage:
    """Ignore expectations that nobody knows: aiohttp would respond itself, before any of our checks."""
    expected = message.headers.get("Expect")
    if expected is None or expected.lower() == "100-continue":
        return message
    headers = CIMultiDict(message.headers)
    headers.popall("Expect")
    return message._replace(headers=CIMultiDictProxy(headers))


class Connection(web.RequestHandler):
    """One connection: limited, and with our headers on errors that aiohttp itself finds, such as a bad request line."""

    __slots__ = ("_address", "_connections", "_deadline", "_when_lost")

    def __init__(self, connections: Connections, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=2.0,
            access_log=None,  # type: ignore[arg-type]  # None turns it off, as AppRunner's documentation describes
            auto_decompress=False,
        )
        self._connections = connections
        self._address: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._when_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection, or close it at once if there are too many."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        super().connection_made(transport)
        if not self._connections.join(address):
            self.force_close()
            return
        self._address = address
        self._deadline = asyncio.get_running_loop().call_later(FIRST_REQUEST_LIMIT_S, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another connection."""
        if self._address is not None:
            self._connections.leave(self._address)
            self._address = None
        if self._deadline is not None:
            self._deadline.cancel()
        if self._when_lost is not None:
            self._when_lost()
        super().connection_lost(exc)

    def call_when_lost(self, function: Callable[[], None]) -> None:
        """Call a function when the connection has ended, on which the handler of a request may not notice it."""
        self._when_lost = function

    def arrived(self) -> None:
        """The head of a request is complete; from now on aiohttp's own limits hold."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Make the response to what is no request: its status and our headers, and nothing about this program."""
        del message
        # A part of another response has been sent, or the client has gone: nobody reads this one.
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError
        if status >= 500 and not isinstance(exc, asyncio.CancelledError):
            self.log_exception("a request failed", exc_info=exc)
        response = web.Response(status=status, text=f"{status}: {phrase(status)}\n", headers=HEADERS)
        response.force_close()
        return response
