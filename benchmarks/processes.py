"""Measures running processes from outside: CPU time in nanoseconds, and peak memory."""

import contextlib
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_START_LIMIT_S = 180


class Process:
    """A process that prints lines.

    Args:
        command: program and arguments.
        environment: its environment variables.
        ready: part of the line, on standard output or error, that means that it listens.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], ready: str) -> None:
        started = time.monotonic()
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self._reader.start()
        if not self._ready.wait(_START_LIMIT_S) or self._process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} did not start: {list(self.lines.queue)}")
        self.ready_s = time.monotonic() - started
        """Seconds from its start until it printed that line."""

    def _read(self, ready: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.put(line)
            if ready in line:
                self._ready.set()
        self._ready.set()

    def cpu_s(self) -> float:
        """CPU seconds of all its threads, those that have ended included."""
        # The clock of a process as the kernel encodes it; Python has no `clock_getcpuclockid`, only that of threads.
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def peak_mb(self) -> float:
        """Peak memory, 10^6 bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6

    def end(self) -> None:
        """Terminate it, and kill it if it has not ended after 10 s."""
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
    """Start a process and wait until it is ready; it is terminated when the context is left."""
    process = Process(command, environment, ready)
    try:
        yield process
    finally:
        process.end()
