"""Running processes, measured from outside: CPU time to the nanosecond, and the most memory that they ever held.

What they do, and what the figures are compared with, it does not know.
"""

import contextlib
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_START_LIMIT_S = 180


class Process:
    """A process that writes lines.

    Args:
        command: to run.
        environment: of it.
        ready: a part of the line, of output or errors, by which it says that it listens.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], ready: str) -> None:
        began = time.monotonic()
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self._reader.start()
        if not self._ready.wait(_START_LIMIT_S) or self._process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} did not start: {list(self.lines.queue)}")
        self.ready_s = time.monotonic() - began
        """From its start until it said so."""

    def _read(self, ready: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.put(line)
            if ready in line:
                self._ready.set()
        self._ready.set()

    def cpu_s(self) -> float:
        """CPU time of all its threads that live."""
        total = 0
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def peak_mb(self) -> float:
        """The most memory that it ever held, 10^6 bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6

    def end(self) -> None:
        """Ask it to end."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], ready: str) -> Iterator[Process]:
    """A process that has said that it is ready; ended with the context."""
    process = Process(command, environment, ready)
    try:
        yield process
    finally:
        process.end()
