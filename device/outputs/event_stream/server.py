"""Sends lines to every program that is connected to a Unix socket, and never waits for any of them.

What is published goes into a buffer for each reader; one thread moves it from there into the sockets. A reader whose
buffer is full is disconnected. Nothing is ever read from a socket.
"""

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from device.system.permissions import AUDIO_GROUP, share_with_group
from device.system.unix_server import UnixServer

BUFFER_BYTES = 256 * 1024
"""Bytes that may wait for one reader, beside those in the kernel's own buffer."""
MOST_READERS = 32
"""Number of programs that may be connected at the same time; further ones are disconnected at once."""
PAST = 64
"""Number of earlier lines that a new reader gets."""
_RETRY_S = 1.0
"""Seconds before the next reader is accepted when that failed, for example for lack of file descriptors."""
_LAST_LIMIT_S = 0.3
"""Seconds in which readers must accept what waits for them when the server ends."""


class EventServer(UnixServer):
    """Sends lines to readers; a context manager. Without the context, lines are only remembered for new readers.

    Args:
        path: the socket. If another daemon serves it already, this one does not.
        tick: called in the server's thread before the first reader is served, and then every `period_s` seconds as
            long as there are readers.
        period_s: see `tick`.
        buffer_bytes: bytes that may wait for one reader.
    """

    def __init__(
        self, path: Path, tick: Callable[[], None], period_s: float, *, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        super().__init__(path, "events")
        self._tick = tick
        self._period_s = period_s
        self._buffer_bytes = buffer_bytes
        self._lock = threading.Lock()
        """Held for a moment only: the listening thread waits for it."""
        self._current: dict[str, bytes] = {}
        self._past: deque[bytes] = deque(maxlen=PAST)
        self._readers: dict[int, _Reader] = {}
        self._poll = select.poll()
        self._wake: int | None = None
        self._last_at: float | None = None
        """When the server ends; None before `finish`."""
        self.joined = 0
        """Number of readers that have been connected since the start."""

    @property
    def watched(self) -> bool:
        """Whether any reader is connected."""
        return bool(self._readers)

    def publish(self, line: bytes, *, current: str = "", joined: int | None = None) -> None:
        """Send a line to the readers. Does not wait; may be called from any thread.

        Args:
            line: the line, with its end.
            current: name of a state that this line describes: a new reader gets the latest line of each name, in the
                order in which the names were used first. Empty for an event.
            joined: value of `joined` at which the line was made: readers that were connected later do not get it.
                None for all.
        """
        with self._lock:
            if current:
                self._current[current] = line
            self._send(line, joined)

    def publish_past(self, line: bytes, past: bytes, *, replaces: int | None = None) -> None:
        """Send a line to the readers, and remember what later readers get instead; otherwise as `publish`.

        Args:
            line: the line, with its end.
            past: one or more lines for later readers.
            replaces: which of them `past` replaces: 0 the last one that was added, 1 that before it, and so on up to
                `PAST` - 1. None to add it.
        """
        with self._lock:
            if replaces is None:
                self._past.append(past)
            else:
                self._past[-1 - replaces] = past
            self._send(line, None)

    def finish(self, limit_s: float) -> None:
        """Accept no more readers, send what is waiting, as far as the limit in seconds allows, and end."""
        limit_s = min(limit_s, _LAST_LIMIT_S)
        with self._lock:
            if not self._stopping.is_set():
                self._last_at = time.monotonic() + limit_s
                self._stopping.set()
                self._wake_up()
        if self._listener is not None:
            self._thread.join(limit_s)  # the process may end right after this

    def __exit__(self, *details: object) -> None:
        self.finish(0)
        super().__exit__(*details)

    def _send(self, line: bytes, joined: int | None) -> None:
        """Put a line into the buffers; the lock is held."""
        for reader in self._readers.values():
            if joined is None or reader.number <= joined:
                reader.put(line, self._buffer_bytes)
        if self._readers:
            self._wake_up()

    def _wake_up(self) -> None:
        """Wake the server's thread; the lock is held, so that its descriptor is not closed meanwhile."""
        if self._wake is not None:
            os.eventfd_write(self._wake, 1)

    def _permit(self) -> None:
        share_with_group(self._path, AUDIO_GROUP)

    def _serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(wake, select.POLLIN)
        self._poll.register(listener, select.POLLIN)
        with self._lock:
            self._wake = wake
        try:
            self._serve_until_stopped(listener, wake)
            self._poll.unregister(listener)
            self._flush()  # however late this thread gets its turn
            while self._readers and (left_s := (self._last_at or 0.0) - time.monotonic()) > 0:
                for reader in [reader for reader in self._readers.values() if not reader.size]:
                    self._disconnect(reader)
                self._handle(self._poll.poll(left_s * 1000) if self._readers else [], wake)
                self._flush()
        finally:
            for reader in list(self._readers.values()):
                self._disconnect(reader)
            with self._lock:
                self._wake = None
            os.close(wake)

    def _serve_until_stopped(self, listener: socket.socket, wake: int) -> None:
        tick_at = 0.0
        while not self._stopping.is_set():
            wait_ms = max(tick_at - time.monotonic(), 0.0) * 1000 if self._readers else None
            if self._handle(self._poll.poll(wait_ms), wake) and not self._stopping.is_set():
                if not self._readers:
                    tick_at = 0.0
                if time.monotonic() >= tick_at:  # first, so that the new reader gets a current state
                    self._tick()
                    tick_at = time.monotonic() + self._period_s
                self._accept_from(listener)
            if self._readers and time.monotonic() >= tick_at:
                self._tick()
                tick_at = time.monotonic() + self._period_s
            self._flush()

    def _handle(self, events: list[tuple[int, int]], wake: int) -> bool:
        """Take in what the kernel reports, and return whether a reader is connecting."""
        connects = False
        for descriptor, event in events:
            if descriptor == wake:
                os.eventfd_read(wake)
            elif (reader := self._readers.get(descriptor)) is None:
                connects = True
            elif event & ~select.POLLOUT:  # it has gone
                self._disconnect(reader)
        return connects

    def _accept_from(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:  # it has gone already
            return
        except OSError:
            self._stopping.wait(_RETRY_S)
            return
        if len(self._readers) < MOST_READERS:
            self._accept(connection)
        else:
            connection.close()

    def _accept(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with self._lock:
            self.joined += 1
            reader = _Reader(connection, self.joined)
            for line in self._current.values():
                reader.put(line, self._buffer_bytes)
            for past in self._past_within(self._buffer_bytes // 2):
                reader.put(past, self._buffer_bytes)
            self._readers[connection.fileno()] = reader
        self._poll.register(connection, 0)  # the end of a connection is reported in any case

    def _past_within(self, limit: int) -> list[bytes]:
        """Return the latest of the past lines that together are not longer than this, oldest first."""
        found: list[bytes] = []
        for past in reversed(self._past):
            limit -= len(past)
            if limit < 0:
                break
            found.insert(0, past)
        return found

    def _flush(self) -> None:
        """Move what is waiting into the sockets, as far as they accept it."""
        for reader in list(self._readers.values()):
            if not self._send_waiting(reader):
                self._disconnect(reader)

    def _send_waiting(self, reader: "_Reader") -> bool:
        """Send what is waiting for a reader, without waiting for it; return whether it stays connected."""
        while True:
            with self._lock:
                if reader.overflowed:
                    return False
                content = reader.take()
            if not content:
                break
            try:
                sent = reader.connection.send(content, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                break
            except OSError:
                return False
            with self._lock:
                reader.sent(sent)
        if reader.blocked != bool(content):
            reader.blocked = bool(content)
            self._poll.modify(reader.connection, select.POLLOUT if content else 0)
        return True

    def _disconnect(self, reader: "_Reader") -> None:
        self._poll.unregister(reader.connection)
        with self._lock:
            del self._readers[reader.connection.fileno()]
        reader.connection.close()


class _Reader:
    """A connected program, and the lines that wait for it; the server's lock protects all of it.

    Args:
        connection: its socket.
        number: how many readers had been connected with this one, since the start of the server.
    """

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection = connection
        self.number = number
        self.size = 0
        """Bytes that are waiting."""
        self.overflowed = False
        """Whether too much was waiting: it gets nothing more."""
        self.blocked = False
        """Whether its socket accepts nothing at the moment; for the server's thread alone."""
        self._lines: deque[bytes] = deque()
        self._content = memoryview(b"")

    def put(self, line: bytes, limit: int) -> None:
        """Add a line, or drop all of them if more bytes than the limit would be waiting."""
        if self.size + len(line) > limit:
            self.overflowed = True
            self._lines.clear()
        if not self.overflowed:
            self.size += len(line)
            self._lines.append(line)

    def take(self) -> memoryview:
        """Return what is to be sent next; empty if nothing is waiting."""
        if not self._content and self._lines:
            self._content = memoryview(b"".join(self._lines))
            self._lines.clear()
        return self._content

    def sent(self, size: int) -> None:
        """Remove from what is waiting what has been sent."""
        self._content = self._content[size:]
        self.size -= size
