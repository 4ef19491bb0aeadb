"""Standard error: C libraries cannot write to it, and its lines can be redirected while a screen is drawn.

C libraries write to file descriptor 2, past Python, and have no switch to turn that off. `silenced_stderr` drops
everything for a moment; `silence_c_libraries` drops their lines for good and keeps Python's. `StandardError` passes
Python's own lines to a function for a while, so that they do not tear what is drawn on the terminal.
"""

import contextlib
import faulthandler
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from device.system.display import on_one_line


def announce(line: str) -> None:
    """Print a note to standard error, displayable and immediately."""
    print(on_one_line(line), file=sys.stderr, flush=True)


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Drop everything that is written to file descriptor 2 within the context, including Python's own lines."""
    saved = os.dup(2)
    _redirect_to_null()
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def silence_c_libraries() -> None:
    """From now on only Python's own lines reach standard error, and the stack trace if a library crashes.

    PortAudio writes several lines from a thread whenever a microphone is unplugged.
    """
    sys.stderr.flush()
    python_stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setStream(python_stderr)
    sys.stderr = python_stderr
    faulthandler.enable(python_stderr)
    _redirect_to_null()


def _redirect_to_null() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


class StandardError:
    """Python's standard error, including its logging, which can be diverted and restored.

    Args:
        write_line: called with each diverted line, without its end, in the thread that wrote it.
    """

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._lines = _LineWriter(write_line)
        self._saved: TextIO | None = None

    def divert(self) -> None:
        """Pass lines to `write_line` from now on if standard error is a terminal; a file still gets its lines."""
        if self._saved is None and sys.stderr is not None and sys.stderr.isatty():
            self._saved = sys.stderr
            _replace(self._saved, self._lines)

    def restore(self) -> None:
        """Write lines to the terminal again."""
        if self._saved is not None:
            _replace(self._lines, self._saved)
            self._saved = None


class _LineWriter(io.TextIOBase):
    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line
        self._unfinished = ""

    def write(self, text: str) -> int:
        *complete, self._unfinished = (self._unfinished + text).split("\n")
        for line in complete:
            self._write_line(line)
        return len(text)


def _replace(before: TextIO | _LineWriter, after: TextIO | _LineWriter) -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is before:
            with contextlib.suppress(ValueError, OSError):  # flushing fails if the terminal has been closed
                handler.setStream(after)
    sys.stderr = after
