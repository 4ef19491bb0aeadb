"""A program of the user's, started for each prediction with its JSON on standard input."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence

from device.audio.liveness import Liveness
from device.events import Prediction
from device.outputs.json_lines import Table, as_line, as_table, without_words
from device.outputs.outbox import Outbox
from device.settings.schema import PublishSettings

_BOUND = 100
_NAME = "publish.command"


class CommandOutput:
    """Runs one program at a time, in its own process group, never through a shell.

    The program's standard output is discarded, because another program may read ours; its standard error goes to ours
    until it has failed.

    Args:
        settings: the program, its arguments and its time limit.
        announce: prints a line about a failure, once for each kind of failure.
    """

    name = _NAME

    def __init__(self, settings: PublishSettings, announce: Callable[[str], None]) -> None:
        self._settings = settings
        self._announce = announce
        self._outbox: Outbox[Table] = Outbox(_NAME, self._run, announce, bound=_BOUND)
        self._failures: set[str] = set()
        self._over = False
        self._running: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def open(self, labels: Sequence[str]) -> None:
        """Start to run the program; see `Output.open`."""
        del labels  # the program reads the label from each prediction
        self._outbox.open()

    def prediction(self, prediction: Prediction, lit_at: float) -> None:
        """Run the program for this prediction, after those before it; see `Output.prediction`."""
        self._outbox.put(as_table(prediction, lit_at))

    def microphone(self, liveness: Liveness) -> None:
        """Do nothing: the program gets predictions only."""

    def close(self, limit_s: float) -> None:
        """Run the program for the waiting predictions, and kill at the limit what still runs; see `Output.close`."""
        if self._outbox.close(limit_s):
            return
        with self._lock:
            self._over = True
            if self._running is not None:
                self._kill(self._running)

    def _run(self, table: Table) -> bool:
        line = as_line(table if self._settings.words else without_words(table)) + "\n"
        with self._lock:
            if self._over:
                return False
            try:
                self._running = process = subprocess.Popen(
                    self._settings.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL if self._failures else None,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:  # ValueError: a zero byte in an argument
                self._fail(f"cannot be run ({getattr(error, 'strerror', None) or error})")
                return True
        try:
            process.communicate(line.encode(), timeout=self._settings.command_limit_s)
        except subprocess.TimeoutExpired:
            with self._lock:
                self._kill(process)
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
            process.wait()
            self._fail(f"did not finish within {self._settings.command_limit_s:g} s and was killed")
            return True
        with self._lock:
            self._running = None
        if process.returncode and not self._over:
            how = "was killed by signal" if process.returncode < 0 else "ended with status"
            self._fail(f"{how} {abs(process.returncode)}")
        return not self._over

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """Kill the program and every process that it started."""
        if process.returncode is None:  # else its number may belong to another process by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _fail(self, how: str) -> None:
        if how not in self._failures:
            self._failures.add(how)
            self._announce(
                f"{_NAME}: {self._settings.command[0]!r} {how}; it still runs for each prediction, and this is "
                "reported once"
            )
