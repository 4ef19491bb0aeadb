"""Connections of browsers: how many there may be, how long one may wait, and errors before any handler sees them."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from device.web.access.login_limit import LOOPBACK, network
from device.web.render import phrase
from device.web.security import HEADERS
from device.web.services import Handler

MOST = 64
MOST_PER_ADDRESS = 48
"""Of one `network`, so that one machine cannot keep out all others; this machine has no limit of its own."""
FIRST_REQUEST_LIMIT_S = 10.0
"""Seconds until the first request of a connection must be complete, but for its body."""
KEEP_ALIVE_S = 30.0
UNREAD_LIMIT_S = 30.0
"""Seconds for which a client may accept nothing of what was sent to it."""
_RETRY_S = 1.0
"""Seconds before the next connection is accepted when that failed, for example for lack of file descriptors."""
_LOG = logging.getLogger(__name__)


@web.middleware
async def note_arrival(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note that the first request of a connection has arrived in time."""
    if isinstance(request.protocol, Connection):
        request.protocol.arrived()
    return await handler(request)


class Connections:
    """Accepts connections, counts them, and serves them.

    asyncio's own servers cannot be limited: they accept any number of connections on which no TLS handshake comes, and
    need 300 kB for each.

    Args:
        server: aiohttp's server, which passes requests to the application.
        tls: certificate; None for http.
    """

    def __init__(self, server: web.Server, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls
        if (make_request := server.request_factory) is not None:
            server.request_factory = lambda message, *rest: make_request(_without_expectation(message), *rest)
        self._networks: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._networks.total()

    @contextlib.asynccontextmanager
    async def accepting(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve the connections that arrive at a listening socket while the context lasts."""
        listener.setblocking(False)
        task = asyncio.create_task(self._accept(listener))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def join(self, client: str) -> bool:
        """Count a connection of a network; return whether there is room for it."""
        own = MOST if client == LOOPBACK else MOST_PER_ADDRESS
        if len(self) >= MOST or self._networks[client] >= own:
            self._networks += Counter()  # drops networks without connections
            return False
        self._networks[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Count a connection no more."""
        self._networks[client] -= 1
        if self._networks[client] <= 0:
            del self._networks[client]

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as opening:
            while True:
                try:
                    connection, peer = await loop.sock_accept(listener)
                except OSError:
                    await asyncio.sleep(_RETRY_S)
                    continue
                client = network(str(peer[0]))
                if self.join(client):
                    opening.create_task(self._open(connection, client))
                else:
                    connection.close()

    async def _open(self, connection: socket.socket, client: str) -> None:
        """Make the protocol of a connection, after its TLS handshake."""
        protocol = Connection(self, self._server, client)
        try:
            # aiohttp waits without a limit for a client that does not read; the kernel ends such a connection.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNREAD_LIMIT_S * 1000))
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else FIRST_REQUEST_LIMIT_S,
            )
        except OSError:  # no TLS, or the client has gone
            pass
        except Exception as error:  # noqa: BLE001  # of one connection, without which the others go on
            _LOG.warning("a connection could not be opened: %s", error)
        finally:
            if not protocol.is_open:
                self.leave(client)


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

    __slots__ = ("_client", "_connections", "_deadline", "_when_lost", "is_open")

    def __init__(self, connections: Connections, server: web.Server, client: str) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=2.0,
            access_log=None,  # type: ignore[arg-type]  # None turns it off, as AppRunner's documentation describes
            auto_decompress=False,
        )
        self._connections = connections
        self._client = client
        self._deadline: asyncio.TimerHandle | None = None
        self._when_lost: Callable[[], None] | None = None
        self.is_open = False
        """Whether the connection was opened: its end is noticed from then on."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection."""
        super().connection_made(transport)
        self.is_open = True
        self._deadline = asyncio.get_running_loop().call_later(FIRST_REQUEST_LIMIT_S, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another connection."""
        self._connections.leave(self._client)
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
