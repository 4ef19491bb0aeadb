"""Mutes and unmutes a daemon repeatedly, and measures how long the microphone takes to be closed and open.

    python -m tests.system.mutings [CYCLES]

prints the seconds, and the resources of the process before and after.
"""

import json
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

from device.daemon.status import Status
from tests.system.losses import ObservedDaemon, observed_daemon

_LIMIT_S = 30


@dataclass
class Outcome:
    """The results of some cycles."""

    closing_s: list[float]
    """Seconds from the request until the microphone is closed."""
    opening_s: list[float]
    """Seconds from the request until audio arrives again."""
    before: Status
    """Status of the daemon after the first cycle."""
    after: Status
    """Status of the daemon after all cycles, with no more threads and open files than before."""


def set_muted(daemon: ObservedDaemon, muted: bool) -> dict[str, Any]:
    """Mute or unmute a daemon through its control socket; return the reply, which comes when that is done."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_LIMIT_S)
        connection.connect(str(daemon.control_socket))
        connection.sendall(json.dumps({"mute": muted}).encode() + b"\n")
        reply = b""
        while part := connection.recv(4096):
            reply += part
    table = json.loads(reply)
    assert isinstance(table, dict)
    return table


def cycle(daemon: ObservedDaemon) -> tuple[float, float]:
    """Mute and unmute once; return the seconds until the microphone was closed, and until audio arrived again."""
    start = time.monotonic()
    set_muted(daemon, True)
    closed = time.monotonic()
    # The sound server reports that nobody records: the daemon alone could be wrong.
    assert daemon.microphone.recorders() == 0
    assert daemon.status().state == "muted"
    again = time.monotonic()
    set_muted(daemon, False)
    opened = time.monotonic()
    assert daemon.status().state == "healthy"
    assert daemon.microphone.recorders() == 1
    return closed - start, opened - again


def cycles(daemon: ObservedDaemon, count: int) -> Outcome:
    """Mute and unmute `count` times, after a first time that is not counted."""
    cycle(daemon)
    before = daemon.status()
    seconds = [cycle(daemon) for _ in range(count)]
    return Outcome([each[0] for each in seconds], [each[1] for each in seconds], before, daemon.without_leaks(before))


def _main(count: int) -> None:
    with observed_daemon() as daemon:
        outcome = cycles(daemon, count)
    for name, seconds in (("closed", outcome.closing_s), ("open again", outcome.opening_s)):
        print(f"{name}: median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s of {count}")
    for field in ("threads", "open_files", "memory_mb", "microphone_losses", "blocks_dropped"):
        print(f"{field}: {getattr(outcome.before, field)} before, {getattr(outcome.after, field)} after")


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
