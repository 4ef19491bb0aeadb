"""A running `edge-mcnn listen --json`, for tests that read its output."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.system.virtual_microphone import VirtualMicrophone

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 60


class ListenProcess:
    """The process, as a context manager that kills it if it has not ended.

    Args:
        microphone: the microphone that it listens to.
        options: options of the command.
        mock_pins: whether gpiozero's mock pins replace the LEDs.
        settings: additional environment variables.
    """

    def __init__(
        self,
        microphone: VirtualMicrophone,
        *options: str,
        mock_pins: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        module = "tests.system.with_mock_pins" if mock_pins else "edge_mcnn"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "listen", "--json", *options],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **microphone.environment, **(settings or {})},
        )  # fmt: skip
        self._errors: list[str] = []
        self._new_errors: queue.Queue[str | None] = queue.Queue()
        self._lines: queue.Queue[str] = queue.Queue()
        self._threads = [threading.Thread(target=read) for read in (self._read_output, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "ListenProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._errors.append(line)
            self._new_errors.put(line)
        self._new_errors.put(None)

    @property
    def errors(self) -> str:
        """What it has printed on standard error until now."""
        return "".join(self._errors)

    def wait_for(self, part: str) -> None:
        """Wait until this text is printed on standard error, after the text of the previous call."""
        try:
            while part not in (line := self._new_errors.get(timeout=LIMIT_S) or ""):
                assert line, self._errors
        except queue.Empty:
            raise AssertionError(f"no line with {part!r}, and no line for {LIMIT_S} s:\n{self.errors}") from None

    def wait_for_all(self, *parts: str) -> None:
        """Wait until all of these texts are printed on standard error, in any order, as several processes print."""
        missing = set(parts)
        while missing:
            try:
                line = self._new_errors.get(timeout=LIMIT_S) or ""
            except queue.Empty:
                raise AssertionError(f"no line with {missing}, and no line for {LIMIT_S} s:\n{self.errors}") from None
            assert line, self._errors
            missing = {part for part in missing if part not in line}

    def next_prediction(self) -> dict[str, Any]:
        """Wait for the next prediction and return its JSON object."""
        try:
            table = json.loads(self._lines.get(timeout=LIMIT_S))
        except queue.Empty:
            raise AssertionError(f"no prediction for {LIMIT_S} s:\n{self.errors}") from None
        assert isinstance(table, dict)
        return table

    def end(self, number: int) -> float:
        """Send a signal and wait until the process has ended with status 0; return the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        took = time.monotonic() - start
        for thread in self._threads:
            thread.join(5)
        assert self.process.returncode == 0, self._errors
        return took

    def pins(self) -> dict[int, list[bool]]:
        """Return the states of each mock pin by its BCM number; call after the process has ended."""
        return {int(pin): states for pin, states in json.loads(self._errors[-1]).items()}
