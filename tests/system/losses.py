"""Everything that can happen to a microphone, done to a running daemon again and again, and how long it takes to heal.

    python -m tests.system.losses [CYCLES]

prints the seconds from the microphone's return to its sound being heard, and what the process holds before and after.
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
# Times of the product, but for silence, for which half a minute would be waited each time.
_SETTINGS = """
[microphone]
name = "mic"
[liveness]
silent_after_s = 1
"""


@dataclass(frozen=True)
class Loss:
    """One way in which sound stops."""

    strike: Callable[[VirtualMicrophone], None]
    mend: Callable[[VirtualMicrophone], None]
    state: str = "lost"
    """What the daemon calls it."""


def _held(microphone: VirtualMicrophone) -> None:
    microphone.unplug()
    microphone.hold()
    microphone.plug()


LOSSES = {
    "pulled out": Loss(lambda mic: mic.unplug(), lambda mic: mic.plug()),
    "frozen": Loss(lambda mic: mic.freeze(), lambda mic: mic.thaw()),
    "muted": Loss(lambda mic: mic.mute(), lambda mic: mic.unmute(), "silent"),
    "held by another": Loss(_held, lambda mic: mic.let_go()),
    "renumbered": Loss(lambda mic: mic.unplug(), lambda mic: mic.plug(beside="line-in")),
    "replaced": Loss(lambda mic: mic.unplug(), lambda mic: mic.plug("othermic")),
    "other rate": Loss(lambda mic: mic.unplug(), lambda mic: mic.plug(rate=44_100)),
}


@dataclass
class Outcome:
    """What came of some cycles."""

    seconds: dict[str, list[float]]
    """By kind of loss, from the microphone's return to its sound being heard."""
    before: Status
    """Once each kind had happened."""
    after: Status


class Patient:
    """A daemon with a microphone of the test."""

    def __init__(self, microphone: VirtualMicrophone, socket: Path, process: "subprocess.Popen[bytes]") -> None:
        self.microphone = microphone
        self.process = process
        self._socket = socket

    def status(self) -> Status:
        return read_status(self._socket)

    def wait_for(self, *states: str) -> Status:
        """Wait until the daemon is in one of these states."""
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

    def suffer(self, loss: Loss) -> float:
        """Lose the microphone and give it back; seconds until it is heard again."""
        loss.strike(self.microphone)
        self.wait_for(loss.state)
        loss.mend(self.microphone)
        start = time.monotonic()
        self.wait_for("healthy")
        return time.monotonic() - start

    def cycles(self, count: int) -> Outcome:
        """Each kind in turn, `count` in all, after one of each that is not counted."""
        seconds: dict[str, list[float]] = {kind: [] for kind in LOSSES}
        for loss in LOSSES.values():
            self.suffer(loss)
        before = self.status()
        for number in range(count):
            kind = list(LOSSES)[number % len(LOSSES)]
            seconds[kind].append(self.suffer(LOSSES[kind]))
        # The last one may have been heard at another rate, under another name.
        self.suffer(LOSSES["pulled out"])
        return Outcome(seconds, before, self.status())


@contextmanager
def patient(speech_model: Path | None = None) -> Iterator[Patient]:
    """A daemon that listens to a strict microphone, until the context is left."""
    with (
        tempfile.TemporaryDirectory(prefix="mic") as name,
        VirtualMicrophone(Path(name) / "m", rate=48_000, channels=1, strict=True, hum=True) as microphone,
    ):
        folder = Path(name)
        (folder / "config.toml").write_text(
            _SETTINGS + (f'[transcriber]\nspeech_model = "{speech_model}"\n' if speech_model else "")
        )
        environment = {**os.environ, **microphone.environment, "RUNTIME_DIRECTORY": name}
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_mcnn", "listen", "--lights", "none", "--config", str(folder / "config.toml")],
            env=environment,
            cwd=Path(__file__).parents[2],
            stderr=subprocess.DEVNULL,
        )
        try:
            each = Patient(microphone, folder / "status.sock", process)
            each.wait_for("healthy")
            yield each
        finally:
            process.terminate()
            process.wait(10)


def _main(cycles: int) -> None:
    with patient() as each:
        outcome = each.cycles(cycles)
    print("| loss | times | median s | worst s |\n| --- | --- | --- | --- |")
    for kind, seconds in outcome.seconds.items():
        print(f"| {kind} | {len(seconds)} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |")
    for what in ("threads", "open_files", "memory_mb", "microphone_losses", "blocks_dropped"):
        print(f"{what}: {getattr(outcome.before, what)} before, {getattr(outcome.after, what)} after")


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
