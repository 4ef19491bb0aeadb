"""Causes every kind of microphone loss repeatedly while a daemon runs, and measures how long it takes to recover.

    python -m tests.system.losses [CYCLES]

prints the seconds from the return of the microphone until audio is received, and the resources of the process before
and after.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device.daemon.status import Status, read_status
from device.errors import StatusError
from tests.system.virtual_microphone import VirtualMicrophone
from tests.waiting import wait_until

_LIMIT_S = 20
# The default time limits, except for silence, which would take half a minute each time.
_SETTINGS = """
[microphone]
name = "mic"
[liveness]
silent_after_s = 1
"""


@dataclass(frozen=True)
class Loss:
    """One way in which audio stops."""

    cause: Callable[[VirtualMicrophone], None]
    """Makes the audio stop."""
    restore: Callable[[VirtualMicrophone], None]
    """Makes it arrive again."""
    state: str = "lost"
    """State that the daemon must report."""


def _take_by_another_program(microphone: VirtualMicrophone) -> None:
    microphone.unplug()
    microphone.hold()
    microphone.plug()


LOSSES = {
    "unplugged": Loss(lambda mic: mic.unplug(), lambda mic: mic.plug()),
    "frozen": Loss(lambda mic: mic.freeze(), lambda mic: mic.thaw()),
    "muted": Loss(lambda mic: mic.mute(), lambda mic: mic.unmute(), "silent"),
    "in use by another program": Loss(_take_by_another_program, lambda mic: mic.release()),
    "renumbered": Loss(lambda mic: mic.unplug(), lambda mic: mic.plug(beside="line-in")),
    "replaced": Loss(lambda mic: mic.unplug(), lambda mic: mic.plug("othermic")),
    "other rate": Loss(lambda mic: mic.unplug(), lambda mic: mic.plug(rate=44_100)),
}


@dataclass
class Outcome:
    """The results of some losses."""

    seconds: dict[str, list[float]]
    """Seconds from the return of the microphone until audio is received, by kind of loss."""
    before: Status
    """Status of the daemon after one loss of each kind."""
    after: Status
    """Status of the daemon after all losses, with no more threads and open files than before."""


class ObservedDaemon:
    """A running daemon with a virtual microphone."""

    def __init__(self, microphone: VirtualMicrophone, socket: Path, process: "subprocess.Popen[bytes]") -> None:
        self.microphone = microphone
        self.process = process
        self._socket = socket

    @property
    def control_socket(self) -> Path:
        """Its control socket."""
        return self._socket.with_name("control.sock")

    def status(self) -> Status:
        return read_status(self._socket)

    def wait_for(self, *states: str) -> Status:
        """Wait until the daemon is in one of these states, and return its status."""
        last = ""

        def arrived() -> Status | None:
            nonlocal last
            assert self.process.poll() is None, "the daemon has ended"
            try:
                status = self.status()
            except StatusError as error:
                last = str(error)
                return None
            last = f"{status.state} ({status.reason})"
            return status if status.state in states else None

        status = wait_until(arrived, limit_s=_LIMIT_S, message=lambda: f"still {last} after {_LIMIT_S} s")
        assert status is not None
        return status

    def without_leaks(self, before: Status) -> Status:
        """Wait until it has no more threads and open files than before, and return its status.

        Some last for a moment: a thread that prepares a recogniser, or the connection of a client that has gone.
        """
        status = self.status()

        def none() -> bool:
            nonlocal status
            status = self.status()
            return status.threads <= before.threads and status.open_files <= before.open_files

        def more() -> str:
            return f"{before.threads} threads and {before.open_files} files before, {status} after"

        wait_until(none, limit_s=_LIMIT_S, message=more)
        return status

    def lose_and_restore(self, loss: Loss) -> float:
        """Lose the microphone and restore it; return the seconds until audio is received again."""
        loss.cause(self.microphone)
        self.wait_for(loss.state)
        loss.restore(self.microphone)
        start = time.monotonic()
        self.wait_for("healthy")
        return time.monotonic() - start

    def cycles(self, count: int) -> Outcome:
        """Cause `count` losses, each kind in turn, after one of each kind that is not counted."""
        seconds: dict[str, list[float]] = {kind: [] for kind in LOSSES}
        for loss in LOSSES.values():
            self.lose_and_restore(loss)
        before = self.status()
        for number in range(count):
            kind = list(LOSSES)[number % len(LOSSES)]
            seconds[kind].append(self.lose_and_restore(LOSSES[kind]))
        # The last loss may have left another rate or another name.
        self.lose_and_restore(LOSSES["unplugged"])
        return Outcome(seconds, before, self.without_leaks(before))


@contextmanager
def observed_daemon(speech_model: Path | None = None) -> Iterator[ObservedDaemon]:
    """Run a daemon that listens to a strict microphone, until the context is left."""
    with (
        tempfile.TemporaryDirectory(prefix="mic") as name,
        VirtualMicrophone(Path(name) / "m", rate=48_000, channels=1, strict=True, hum=True) as microphone,
    ):
        folder = Path(name)
        (folder / "config.toml").write_text(
            _SETTINGS + (f'[transcriber]\nspeech_model = "{speech_model}"\n' if speech_model else "")
        )
        environment = {**os.environ, **microphone.environment, "RUNTIME_DIRECTORY": name, "STATE_DIRECTORY": name}
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_mcnn", "listen", "--lights", "none", "--config", str(folder / "config.toml")],
            env=environment,
            cwd=Path(__file__).parents[2],
            stderr=subprocess.DEVNULL,
        )
        try:
            daemon = ObservedDaemon(microphone, folder / "status.sock", process)
            daemon.wait_for("healthy")
            yield daemon
        finally:
            process.terminate()
            process.wait(10)


def _main(cycles: int) -> None:
    with observed_daemon() as daemon:
        outcome = daemon.cycles(cycles)
    print("| loss | times | median s | worst s |\n| --- | --- | --- | --- |")
    for kind, seconds in outcome.seconds.items():
        print(f"| {kind} | {len(seconds)} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |")
    for field in ("threads", "open_files", "memory_mb", "microphone_losses", "blocks_dropped"):
        print(f"{field}: {getattr(outcome.before, field)} before, {getattr(outcome.after, field)} after")


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
