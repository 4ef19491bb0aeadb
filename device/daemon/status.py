"""The status of a running daemon, published on a Unix socket in its runtime directory to every user of this machine.

The server only sends and never reads, so no client can harm the daemon. `Status` documents each value and its unit;
words that were spoken are not among them.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from device.errors import StatusError
from device.events import BLOCK_SECONDS
from device.system.display import displayable
from device.system.paths import cannot_use
from device.system.unix_server import UnixServer

SERVICE_SOCKET = Path("/run/edge-mcnn/status.sock")
LOW_CONFIDENCE_LABEL = "low_confidence"
"""Value of `Status.last_label` for a prediction with a low confidence, see `Prediction.confident`."""
_LONGEST = 1 << 16
_LIMIT_S = 2.0
_BLOCK_MS = 1000 * BLOCK_SECONDS
_TYPES: dict[Any, Any] = {str: str, int: int, bool: bool, float: (int, float)}


@dataclass(frozen=True)
class Status:
    """A daemon at one moment; `edge-mcnn status --json` prints exactly these fields."""

    state: str
    """State of the microphone: `starting`, or a value of `device.audio.liveness.State`."""
    reason: str
    """What is wrong with the microphone, for people; empty while it is healthy."""
    fix: str
    """What the user can do about it; empty if the reason leaves no doubt."""
    state_duration_s: float
    """Seconds since the state changed."""
    uptime_s: float
    """Seconds since the daemon started."""
    microphone: str
    """Name of the open microphone; empty if none is open."""
    rate: int
    """Sample rate of the open microphone in Hz; 0 if none is open."""
    blocks_received: int
    """Number of audio blocks that were received from the microphone, `device.events.BLOCK_SECONDS` each."""
    blocks_dropped: int
    """Number of audio blocks that were dropped because the machine was too slow."""
    microphone_losses: int
    """Number of times that the microphone was lost."""
    utterances: int
    """Number of utterances with a prediction."""
    last_label: str
    """Label of the last prediction, or `LOW_CONFIDENCE_LABEL` if it was below the threshold; empty before the first."""
    latency_ms: float
    """Milliseconds from the endpoint to the light, for the last utterance; 0 before the first."""
    latency_median_ms: float
    """Median of the latencies of the last hundred utterances, milliseconds."""
    latency_worst_ms: float
    """Highest of the latencies of the last hundred utterances, milliseconds."""
    examples: int
    """Number of examples in the voice profile; 0 without a profile."""
    examples_used: bool
    """Whether these examples change predictions: whether they help, by their own measure."""
    adapted: bool
    """Whether what was learnt about the voices changes predictions: examples, or utterances without a label."""
    memory_mb: float
    """Resident memory of the process, 10^6 bytes."""
    threads: int
    """Number of threads of the process."""
    open_files: int
    """Number of open file descriptors of the process."""
    pid: int
    """Process id."""
    versions: Mapping[str, str]
    """Versions of edge-mcnn, Python, the interpreter and Vosk, by package name."""


@dataclass(frozen=True)
class _Metric:
    """A number of `Status` as a Prometheus metric, named by https://prometheus.io/docs/practices/naming/."""

    name: str
    kind: str
    help: str
    field: str
    scale: float = 1
    """Factor from the unit of the field to the base unit."""


_METRICS = (
    _Metric("state_duration_seconds", "gauge", "Seconds since the microphone entered its state.", "state_duration_s"),
    _Metric("uptime_seconds", "gauge", "Seconds since the daemon started.", "uptime_s"),
    _Metric(
        "audio_blocks_received_total", "counter",
        f"Audio blocks of {_BLOCK_MS:g} ms received from the microphone since the daemon started.",
        "blocks_received",
    ),
    _Metric(
        "audio_blocks_dropped_total", "counter",
        f"Audio blocks of {_BLOCK_MS:g} ms dropped since the daemon started because the machine was too slow.",
        "blocks_dropped",
    ),
    _Metric(
        "microphone_losses_total", "counter", "Times the microphone was lost since the daemon started.",
        "microphone_losses",
    ),
    _Metric("utterances_total", "counter", "Utterances with a prediction since the daemon started.", "utterances"),
    _Metric(
        "latency_seconds", "gauge", "Seconds from the endpoint of the last utterance to its light.", "latency_ms", 1e-3
    ),
    _Metric(
        "latency_median_seconds", "gauge",
        "Median seconds from the endpoint to the light over the last hundred utterances.", "latency_median_ms", 1e-3,
    ),
    _Metric(
        "latency_worst_seconds", "gauge",
        "Highest number of seconds from the endpoint to the light over the last hundred utterances.",
        "latency_worst_ms", 1e-3,
    ),
    _Metric("voice_examples", "gauge", "Examples in the voice profile.", "examples"),
    _Metric("voice_adapted", "gauge", "1 if what was learnt about voices changes predictions, else 0.", "adapted"),
    _Metric("resident_memory_bytes", "gauge", "Resident memory of the process in bytes.", "memory_mb", 1e6),
    _Metric("threads", "gauge", "Threads of the process.", "threads"),
    _Metric("open_file_descriptors", "gauge", "Open file descriptors of the process.", "open_files"),
)  # fmt: skip


def prometheus(status: Status) -> str:
    """The status in Prometheus' text exposition format, in base units."""
    lines = [
        "# HELP edge_mcnn_state 1 for the state that the microphone is in.",
        "# TYPE edge_mcnn_state gauge",
        f'edge_mcnn_state{{state="{_escaped(status.state)}",microphone="{_escaped(status.microphone)}"}} 1',
    ]
    for metric in _METRICS:
        name = f"edge_mcnn_{metric.name}"
        value = getattr(status, metric.field) * metric.scale
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}", f"{name} {value:.15g}"]
    return "\n".join(lines) + "\n"


def socket_path(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Socket on which a daemon with this environment publishes its status; None if it has no runtime directory."""
    if folder := environment.get("RUNTIME_DIRECTORY"):  # set by systemd
        return Path(folder.partition(":")[0]) / SERVICE_SOCKET.name
    if folder := environment.get("XDG_RUNTIME_DIR"):
        return Path(folder) / "edge-mcnn" / SERVICE_SOCKET.name
    return None


def read_status(path: Path) -> Status:
    """Read the status that a daemon publishes on a socket.

    Raises:
        StatusError: no daemon is running there, or the response is not the status of this version.
    """
    content = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_LIMIT_S)
            connection.connect(str(path))
            while len(content) <= _LONGEST and (part := connection.recv(4096)):
                content += part
    except (FileNotFoundError, ConnectionRefusedError):
        raise StatusError(f"no daemon is running (no response on {path})", fix="start one: edge-mcnn listen") from None
    except OSError as error:
        raise cannot_use(path, error, StatusError, fix="name the socket of a daemon") from None
    try:
        table = json.loads(content)
    except (ValueError, RecursionError):
        table = None
    types = {each.name: _TYPES.get(each.type, dict) for each in fields(Status)}
    if not isinstance(table, dict) or not all(isinstance(table.get(name), kind) for name, kind in types.items()):
        raise StatusError(f"{path}: the response is not a status of this version", fix="restart the daemon")
    return Status(**{name: table[name] for name in types})


def running_daemon() -> Status | None:
    """Status of the daemon on this machine: the service, else this user's own `listen`; None if there is none."""
    for path in (SERVICE_SOCKET, socket_path()):
        if path is not None:
            with contextlib.suppress(StatusError):
                return read_status(path)
    return None


class StatusServer(UnixServer):
    """Publishes the status on a socket, from a separate thread, until the context is left.

    Args:
        path: the socket. If another daemon publishes there already, this one does not.
        status: returns the status to publish; called for each client.
    """

    def __init__(self, path: Path, status: Callable[[], Status]) -> None:
        super().__init__(path, "status")
        self._status = status

    def _is_served(self) -> bool:
        try:
            read_status(self._path)
        except StatusError:
            return False
        return True

    def _permit(self) -> None:
        self._path.chmod(0o666)  # every user may read the status

    def _accept(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_LIMIT_S)
            connection.sendall(json.dumps(asdict(self._status())).encode())


def _escaped(text: str) -> str:
    return displayable(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
