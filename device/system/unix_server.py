"""A server on a Unix socket in the daemon's runtime directory: what all of its sockets share."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from device.errors import StatusError

_WAITING = 128
"""Number of clients that may wait to be served."""
_CONNECT_LIMIT_S = _JOIN_LIMIT_S = 2.0


class UnixServer(ABC):
    """Serves a socket from a thread of its own, until the context is left.

    Args:
        path: the socket. If another daemon serves it already, this one does not.
        name: name of the thread.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._listener: socket.socket | None = None
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        if self._is_served():
            return self
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(mode=0o755, exist_ok=True)
            self._path.unlink(missing_ok=True)  # left by a daemon that was killed
            listener.bind(str(self._path))
            self._permit()
            listener.listen(_WAITING)  # only now can anyone connect
        except OSError as error:
            listener.close()
            raise StatusError(f"{self._path}: the {self._name} socket cannot be opened ({error.strerror})") from None
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, args=(listener,), name=self._name, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._listener is None:
            return
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._thread.join(_JOIN_LIMIT_S)
        self._listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                self._stopping.wait(1)  # for example out of file descriptors
                continue
            self._accept(connection)

    def _is_served(self) -> bool:
        """Whether another daemon serves the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_CONNECT_LIMIT_S)
            try:
                connection.connect(str(self._path))
            except OSError:
                return False
            return True

    @abstractmethod
    def _permit(self) -> None:
        """Set who may connect; called before anyone can."""

    @abstractmethod
    def _accept(self, connection: socket.socket) -> None:
        """Serve a client, or have it served; the next one waits for it."""
