"""A program of the user's, run for each answer with its JSON on standard input."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable

from device.outputs.json_lines import as_line
from device.outputs.outbox import Outbox
from device.outputs.publishers import Table, without_words
from device.settings.schema import PublishSettings

_BOUND = 100
_NAME = "publish.command"


class CommandPublisher:
    """Runs one program at a time, in a process group of its own, never through a shell.

    What it writes to its standard output is thrown away, since ours may be read by a program; its standard error is
    ours until it has failed.

    Args:
        settings: the program, its arguments and its time limit.
        announce: is told, in a line, how it fails; each way of failing once.
    """

    def __init__(self, settings: PublishSettings, announce: Callable[[str], None]) -> None:
        self._settings = settings
        self._announce = announce
        self._outbox = Outbox(_NAME, self._run, announce, bound=_BOUND)
        self._failures: set[str] = set()
        self._over = False
        self._running: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Begin."""
        self._outbox.open()

    def publish(self, table: Table) -> None:
        """Run the program for this answer, after those before it."""
        self._outbox.put(table)

    def microphone(self, *, heard: bool) -> None:
        """Not told to the program."""

    def close(self, limit_s: float) -> None:
        """Run it for the answers that wait; kill what runs at the limit."""
        if self._outbox.close(limit_s):
            return
        with self._lock:
            self._over = True
            if self._running is not None:
                self._kill(self._running)

    def _run(self, table: Table) -> bool:
        line = as_line(dict(table if self._settings.words else without_words(table))) + "\n"
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
            except (OSError, ValueError) as error:  # ValueError: a zero byte in it
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
            self._fail(f"was not done within {self._settings.command_limit_s:g} s and was killed")
            return True
        with self._lock:
            self._running = None
        if process.returncode and not self._over:
            how = "was killed by signal" if process.returncode < 0 else "ended with status"
            self._fail(f"{how} {abs(process.returncode)}")
        return not self._over

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """With all that it started."""
        if process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _fail(self, how: str) -> None:
        if how not in self._failures:
            self._failures.add(how)
            self._announce(f"{_NAME}: {self._settings.command[0]!r} {how}; this is told once, answers go on")
