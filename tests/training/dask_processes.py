"""A Dask scheduler and workers as real processes of this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import LIMIT_S, wait_until


class Processes:
    """A scheduler and its workers; they end with `running`.

    Args:
        folder: folder for files of the processes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._note = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", self._note)
        self.address: str = json.loads(wait_until(self._written, message="the scheduler does not start"))["address"]
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self, search_first: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a worker; `search_first` is a folder in which Python searches before its own packages."""
        options: list[str | Path] = ["--no-nanny", "--nthreads", "1", "--local-directory", self._folder]
        worker = self._start("worker", self.address, *options, search_first=search_first)
        self.workers.append(worker)
        return worker

    def end(self) -> None:
        """End all processes."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait(LIMIT_S)

    def _written(self) -> str:
        return self._note.read_text() if self._note.exists() else ""

    def _start(self, kind: str, *arguments: str | Path, search_first: Path | None = None) -> subprocess.Popen[bytes]:
        path = [str(search_first)] if search_first else []
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *map(str, arguments), "--no-dashboard"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,  # Python searches there first, and setuptools leaves metadata in the repository
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*path, *filter(None, sys.path)])},
        )


@contextmanager
def running(folder: Path, workers: int) -> Iterator[Processes]:
    """Start a scheduler and this number of workers."""
    processes = Processes(folder)
    try:
        for _ in range(workers):
            processes.add_worker()
        yield processes
    finally:
        processes.end()
