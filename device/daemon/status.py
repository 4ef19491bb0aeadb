"""How a running daemon is: told through a socket in its runtime directory, to whoever asks on this machine.

The daemon's side only ever sends, so there is nothing that a visitor could make it read. What the numbers mean is
written beside each in `Status`; words that were spoken are not among them.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from device.errors import StatusError

SERVICE_SOCKET = Path("/run/edge-mcnn/status.sock")
_LONGEST = 1 << 16
_LIMIT_S = 2.0
_TYPES: dict[Any, Any] = {str: str, int: int, float: (int, float)}


@dataclass(frozen=True)
class Status:
    """A daemon at one moment."""

    state: str
    """`starting`, or one of `device.audio.liveness.State`."""
    reason: str
    """Why, for people; empty while all is well."""
    state_duration_s: float
    """Seconds in this state."""
    uptime_s: float
    """Seconds since the daemon started."""
    microphone: str
    """Name of the open one; empty if none is."""
    rate: int
    """At which it is open, Hz; 0 if it is not."""
    blocks_received: int
    """Blocks of sound, of 128 ms."""
    blocks_dropped: int
    """Blocks thrown away because the machine was too slow."""
    microphone_losses: int
    """How often the microphone was lost."""
    utterances: int
    """How many were answered."""
    last_label: str
    """The last answer, or `unsure`; empty before the first."""
    latency_ms: float
    """From the endpoint to the light, for the last utterance; 0 before the first."""
    latency_median_ms: float
    """The same, median of the last hundred."""
    latency_worst_ms: float
    """The same, worst of the last hundred."""
    memory_mb: float
    """In use now, 10^6 bytes."""
    threads: int
    """Of the process."""
    open_files: int
    """Of the process."""
    pid: int
    """Process id."""
    versions: Mapping[str, str]
    """Of edge-mcnn, Python, the interpreter and Vosk."""


_HELP = {
    "state_duration_s": ("gauge", "Seconds in the present state"),
    "uptime_s": ("gauge", "Seconds since the daemon started"),
    "blocks_received": ("counter", "Blocks of sound heard, of 128 ms"),
    "blocks_dropped": ("counter", "Blocks of sound thrown away because the machine was too slow"),
    "microphone_losses": ("counter", "How often the microphone was lost"),
    "utterances": ("counter", "Utterances answered"),
    "latency_ms": ("gauge", "Milliseconds from the endpoint to the light, last utterance"),
    "latency_median_ms": ("gauge", "Milliseconds from the endpoint to the light, median of the last hundred"),
    "latency_worst_ms": ("gauge", "Milliseconds from the endpoint to the light, worst of the last hundred"),
    "memory_mb": ("gauge", "Memory in use, 10^6 bytes"),
    "threads": ("gauge", "Threads of the process"),
    "open_files": ("gauge", "Open files of the process"),
}


def prometheus(status: Status) -> str:
    """The status in Prometheus' text format."""
    lines = [
        "# HELP edge_mcnn_state 1 for the state that the microphone is in",
        "# TYPE edge_mcnn_state gauge",
        f'edge_mcnn_state{{state="{_escaped(status.state)}",microphone="{_escaped(status.microphone)}"}} 1',
    ]
    for name, (kind, about) in _HELP.items():
        metric = f"edge_mcnn_{name}{'_total' if kind == 'counter' else ''}"
        lines += [f"# HELP {metric} {about}", f"# TYPE {metric} {kind}", f"{metric} {getattr(status, name)}"]
    return "\n".join(lines) + "\n"


def socket_path(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where a daemon with this environment tells its status; None if it has no folder for that."""
    if folder := environment.get("RUNTIME_DIRECTORY"):  # systemd's
        return Path(folder.partition(":")[0]) / SERVICE_SOCKET.name
    if folder := environment.get("XDG_RUNTIME_DIR"):
        return Path(folder) / "edge-mcnn" / SERVICE_SOCKET.name
    return None


def read_status(path: Path) -> Status:
    """Ask the daemon behind a socket.

    Raises:
        StatusError: none is there, or what is there does not answer as one.
    """
    content = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_LIMIT_S)
            connection.connect(str(path))
            while len(content) <= _LONGEST and (part := connection.recv(4096)):
                content += part
    except (FileNotFoundError, ConnectionRefusedError):
        raise StatusError(f"no daemon is running (nobody answers at {path})") from None
    except OSError as error:
        raise StatusError(f"{path} cannot be asked ({error.strerror or error})") from None
    try:
        table = json.loads(content)
    except (ValueError, RecursionError):
        table = None
    types = {each.name: _TYPES.get(each.type, dict) for each in fields(Status)}
    if not isinstance(table, dict) or not all(isinstance(table.get(name), kind) for name, kind in types.items()):
        raise StatusError(f"{path} answers, but not as a daemon of this version does; restart it")
    return Status(**{name: table[name] for name in types})


def running_daemon() -> Status | None:
    """The daemon that runs on this machine: the service, else this user's own `listen`; None if none answers."""
    for path in (SERVICE_SOCKET, socket_path()):
        if path is not None:
            with contextlib.suppress(StatusError):
                return read_status(path)
    return None


class StatusServer:
    """Answers at a socket, in a thread of its own, until the context is left.

    Args:
        path: of the socket. If another daemon answers there already, this one stays silent.
        status: gives what to tell.
    """

    def __init__(self, path: Path, status: Callable[[], Status]) -> None:
        self._path = path
        self._status = status
        self._listener: socket.socket | None = None
        self._stopping = threading.Event()

    def __enter__(self) -> "StatusServer":
        try:
            read_status(self._path)
        except StatusError:
            pass
        else:
            return self
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(mode=0o755, exist_ok=True)
            self._path.unlink(missing_ok=True)  # left by a daemon that was killed
            listener.bind(str(self._path))
            self._path.chmod(0o666)  # whoever may look at the lights may know how they are
            listener.listen(128)
        except OSError as error:
            listener.close()
            raise StatusError(f"{self._path}: the status cannot be told there ({error.strerror})") from None
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="status", daemon=True)
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
        self._thread.join(_LIMIT_S)
        self._listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                self._stopping.wait(1)  # out of file descriptors, say
                continue
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_LIMIT_S)
                connection.sendall(json.dumps(asdict(self._status())).encode())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
