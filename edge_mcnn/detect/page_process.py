"""The page beside `edge-mcnn listen --web`: the process of `edge-mcnn web`, which ends with this one."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from device.system.signals import ending_with_parent

_END_LIMIT_S = 5.0


class PageProcess:
    """Serves the page as long as the context lasts. If it cannot, that is announced, and nothing else ends.

    Args:
        config: settings file; None for the defaults.
        announce: called in a thread with each line that the process writes.
    """

    def __init__(self, config: Path | None, announce: Callable[[str], None]) -> None:
        command = [sys.executable, "-m", "edge_mcnn.watch.web_server", "", str(config or ""), "", ""]
        self._command = ending_with_parent(command, signal.SIGTERM)
        self._announce = announce

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._thread = threading.Thread(target=self._pass_lines, name="page", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(_END_LIMIT_S)

    def _pass_lines(self) -> None:
        assert self._process.stderr is not None  # noqa: S101  # it is a pipe
        with self._process.stderr as lines:
            for line in lines:
                self._announce(line.rstrip("\n"))
