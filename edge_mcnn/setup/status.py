"""`edge-mcnn status`. From Python: `device.daemon.status.read_status`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_mcnn.options import Json
from edge_mcnn.output import out
from edge_mcnn.paths import existing_socket

if TYPE_CHECKING:
    from rich.table import Table

    from device.daemon.status import Status


def status_command(
    json: Json = False,
    prometheus: Annotated[
        bool,
        typer.Option(
            "--prometheus", help="Print the Prometheus text format, for the textfile collector of node_exporter."
        ),
    ] = False,
    socket: Annotated[
        Path | None,
        typer.Option(
            "--socket",
            metavar="PATH",
            parser=existing_socket(),
            help="Socket of the daemon to query. Default: the socket of the service, else that of your own `listen`.",
        ),
    ] = None,
) -> None:
    """Print the state of the running daemon.

    The state covers the microphone, received and dropped audio, utterances, latencies, the voice profile and memory;
    it contains no spoken words.

    Exit status: 0 if the daemon receives audio from its microphone, 1 if it does not or no daemon is running.

    For example:

        edge-mcnn status
        edge-mcnn status --prometheus > /var/lib/node_exporter/edge_mcnn.prom
    """
    from dataclasses import asdict

    from device.daemon.status import SERVICE_SOCKET, read_status, socket_path
    from device.daemon.status import prometheus as as_prometheus

    own = socket_path()
    default = own if own is not None and _exists(own) and not _exists(SERVICE_SOCKET) else SERVICE_SOCKET
    status = read_status(socket or default)
    if json:
        out.json(asdict(status))
    elif prometheus:
        out.line(as_prometheus(status).rstrip("\n"))
    else:
        out.console().print(status_table(status))
    if status.state != "healthy":
        raise typer.Exit(1)


def status_table(status: "Status") -> "Table":
    """Return the state of the daemon as a table with a name and a value per row."""
    from rich.table import Table
    from rich.text import Text

    from device.events import BLOCK_SECONDS
    from device.system.display import displayable
    from device.system.durations import duration_text

    colour = (
        "green" if status.state == "healthy" else "yellow" if status.state in ("silent", "starting", "muted") else "red"
    )
    reason = f": {displayable(status.reason)}" if status.reason else ""
    last = f", the last {displayable(status.last_label)}" if status.last_label else ""
    rows: Mapping[str, str | Text] = {
        "state": Text.assemble((status.state, f"bold {colour}"), f" for {_duration(status.state_duration_s)}{reason}"),
        **({"fix": displayable(status.fix)} if status.fix else {}),
        "microphone": f"{displayable(status.microphone)}, {status.rate} Hz" if status.microphone else "none",
        "audio": f"{_duration(status.blocks_received * BLOCK_SECONDS)} received, "
        f"{status.blocks_dropped} blocks dropped, microphone lost {status.microphone_losses} times",
        "utterances": f"{status.utterances}{last}",
        "endpoint to light": f"{duration_text(status.latency_ms)}; median {duration_text(status.latency_median_ms)}, "
        f"worst {duration_text(status.latency_worst_ms)} of the last hundred"
        if status.utterances
        else "-",
        "voice profile": _voice_profile(status),
        "process": f"{status.pid}, running for {_duration(status.uptime_s)}, {status.memory_mb:g} MB, "
        f"{status.threads} threads, {status.open_files} open files",
        "versions": ", ".join(f"{name} {number}" for name, number in status.versions.items()),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _voice_profile(status: "Status") -> str:
    from device.system.display import counted

    if status.examples_used:
        return f"{counted(status.examples, 'example')}, used"
    examples = (
        f"{counted(status.examples, 'example')}, not used: they do not help yet" if status.examples else "no examples"
    )
    return f"{examples}; adapted by utterances without a label" if status.adapted else examples


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  # Path.exists raises in a closed folder


def _duration(seconds: float) -> str:
    """Format a duration in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2])
