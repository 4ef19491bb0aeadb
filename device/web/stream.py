"""Passes events on to the open pages as Server-Sent Events; a page that reads too slowly is disconnected."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterator

from aiohttp import web

from device.web.sources.live import Event

MOST_CLIENTS = 20
BUFFER_BYTES = 256 * 1024
"""Bytes that may wait for a page; then it is disconnected."""
_SEND_LIMIT_S = 30.0
_HEARTBEAT_S = 15.0
_HEARTBEAT = b": \n\n"
"""A comment, by which both sides notice that the other one has gone."""


def encoded(event: Event) -> bytes:
    """An event as a message of an event stream."""
    return f"event: {event['event']}\ndata: {json.dumps(event)}\n\n".encode()


async def send(response: web.StreamResponse, content: bytes) -> None:
    """Send a part of a response.

    Raises:
        TimeoutError: the client does not read.
        ConnectionError: the client has gone.
    """
    async with asyncio.timeout(_SEND_LIMIT_S):
        await response.write(content)


class Client:
    """What waits for one page.

    Args:
        session: what the page was opened with; the client is closed when that ends.
        disconnect: ends the connection at once, from the event loop.
    """

    def __init__(self, session: str, disconnect: Callable[[], None]) -> None:
        self.session = session
        self._disconnect = disconnect
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, message: bytes) -> None:
        """Let a message wait, or disconnect if too much waits already."""
        if self._size + len(message) > BUFFER_BYTES:
            self.disconnect()
        elif not self._closed:
            self._waiting.append(message)
            self._size += len(message)
            self._changed.set()

    def disconnect(self) -> None:
        """End the connection at once."""
        self._closed = True
        self._waiting.clear()
        self._changed.set()
        self._disconnect()

    async def next(self) -> bytes | None:
        """Wait for messages; a heartbeat if there are none for a while, None if the client is closed."""
        if not self._waiting and not self._closed:
            self._changed.clear()
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                return _HEARTBEAT
        if self._closed:
            return None
        messages = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        return messages


class Hub:
    """The open pages."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()

    def __len__(self) -> int:
        return len(self._clients)

    @contextlib.contextmanager
    def joined(self, client: Client) -> Iterator[None]:
        """Pass events on to a page while the context lasts; the caller has checked `is_full`."""
        self._clients.add(client)
        try:
            yield
        finally:
            self._clients.discard(client)

    @property
    def is_full(self) -> bool:
        """Whether no further page gets events."""
        return len(self._clients) >= MOST_CLIENTS

    def publish(self, event: Event) -> None:
        """Pass an event on to every page."""
        if self._clients:
            message = encoded(event)
            for client in list(self._clients):
                client.put(message)

    def disconnect(self, session: str | None = None) -> None:
        """Disconnect the pages that were opened with a session; None for all of them."""
        for client in list(self._clients):
            if session is None or client.session == session:
                client.disconnect()
