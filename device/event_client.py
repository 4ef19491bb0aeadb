"""Reads the events of a running daemon: what it detects, as it happens. Needs only the standard library.

For example:

    with EventReader.connect() as events:
        for event in events:
            if event["event"] == "prediction":
                print(event["label"], event["probabilities"])

docs/events.md describes the events. A reader that falls behind is disconnected by the daemon.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from device.daemon.status import SERVICE_SOCKET, socket_path
from device.errors import NoDaemonError, StatusError
from device.outputs.event_stream.messages import PROTOCOL
from device.system.paths import cannot_use
from device.system.permissions import AUDIO_GROUP, how_to_join

_NAME = "events.sock"
_HELLO_LIMIT_S = 5.0
"""Seconds in which a daemon must send its first event."""
_PART = 1 << 16
_LONGEST = 1 << 20
"""Bytes of a line; a daemon's are shorter."""


def own_event_socket(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Event socket of a daemon with this environment; None if it has no runtime directory."""
    path = socket_path(environment)
    return None if path is None else path.with_name(_NAME)


def event_socket_paths(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Event sockets to try, the best one first: that of the service, then that of this user's own `listen`."""
    service, own = SERVICE_SOCKET.with_name(_NAME), own_event_socket(environment)
    return [service] if own in (None, service) else [service, own]


class EventReader:
    """An iterator over the events of a daemon, the first of which is `hello`; a context manager.

    It ends when the daemon closes the connection: after the event `end`, or without it if the daemon was killed or
    this reader has fallen behind. One thread at a time may iterate; any thread may call `close`, which ends that.

    Args:
        connection: a connection to the socket.
        path: the socket, for messages.

    Raises:
        StatusError: the daemon does not send the events of this version, or serves too many programs.
    """

    def __init__(self, connection: socket.socket, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._buffer = bytearray()
        self._searched = 0
        connection.settimeout(_HELLO_LIMIT_S)
        hello = self._next()
        if hello is None:
            raise StatusError(f"{path}: too many programs read the events now", fix="end one of them, and try again")
        if hello.get("event") != "hello" or hello.get("protocol") != PROTOCOL:
            raise self._unknown()
        connection.settimeout(None)
        self.hello: Mapping[str, Any] = hello
        """The first event, which describes the daemon. It has no classes while the models are being loaded."""
        self._is_first = True

    @classmethod
    def connect(cls, path: Path | None = None) -> Self:
        """Connect to a daemon.

        Args:
            path: its event socket; None for the first of `event_socket_paths` at which there is a daemon.

        Raises:
            NoDaemonError: no daemon is running there.
            StatusError: this user may not read its events, it is of another version, or serves too many programs.
        """
        paths = event_socket_paths() if path is None else [path]
        refused: StatusError | None = None
        for each in paths:
            try:
                return cls._connected(each)
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            except PermissionError:
                fix = f"only members of the group {AUDIO_GROUP} may read the events; {how_to_join(AUDIO_GROUP)}"
                refused = StatusError(f"{each}: permission denied", fix=fix)
            except (TimeoutError, BlockingIOError):
                raise StatusError(f"{each}: the daemon does not respond", fix="restart the daemon") from None
            except OSError as error:
                raise cannot_use(each, error, StatusError, fix="name the event socket of a daemon") from None
        raise refused or NoDaemonError(
            f"no daemon is running (no response on {paths[-1]})", fix="start one: edge-mcnn listen"
        )

    @classmethod
    def _connected(cls, path: Path) -> Self:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.settimeout(_HELLO_LIMIT_S)
            connection.connect(str(path))
            reader = cls(connection, path)
            stack.pop_all()
            return reader

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        if self._is_first:
            self._is_first = False
            return dict(self.hello)
        try:
            event = self._next()
        except OSError:  # `close` was called, or the daemon was killed
            event = None
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """Close the connection, and end an iteration that waits in another thread."""
        with contextlib.suppress(OSError):  # it has ended already
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _next(self) -> dict[str, Any] | None:
        """Wait for the next event; None at the end.

        Raises:
            OSError: the connection is closed, or the limit for the first event is over.
            StatusError: it is no event of this version.
        """
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > _LONGEST:
                raise self._unknown()
            if not (part := self._connection.recv(_PART)):
                return None
            self._buffer += part
        content = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        try:
            event = json.loads(content)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise self._unknown()
        return event

    def _unknown(self) -> StatusError:
        return StatusError(
            f"{self._path}: these are not the events of this version",
            fix="restart the daemon, and update what is older: the daemon or this program",
        )
