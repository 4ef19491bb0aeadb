"""Standard error: C libraries cannot write to it, and its lines can be redirected while a screen is drawn.

C libraries write to file descriptor 2, past Python, and have no switch to turn that off. `silenced_stderr` drops
everything for a moment, `silenced_c_libraries` only their lines; both may run in several threads at a time.
`silence_c_libraries` drops their lines for good. `StandardError` passes Python's own lines to a function for a while,
so that they do not tear what is drawn on the terminal.
"""

import contextlib
import faulthandler
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from device.system.display import on_one_line


def announce(line: str) -> None:
    """Print a note to standard error, displayable and immediately; it is lost if standard error cannot be written."""
    with contextlib.suppress(OSError):
        print(on_one_line(line), file=sys.stderr, flush=True)


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Drop everything that is written to file descriptor 2 within the context, including Python's own lines."""
    _REDIRECTION.begin(drop_python=True)
    try:
        yield
    finally:
        _REDIRECTION.end(drop_python=True)


@contextmanager
def silenced_c_libraries() -> Iterator[None]:
    """Drop what C libraries write to file descriptor 2 within the context, and no line of Python or its logging.

    libmpg123 writes about each damaged part of an MP3 file, PortAudio and ALSA about each device that they cannot use.
    """
    _REDIRECTION.begin(drop_python=False)
    try:
        yield
    finally:
        _REDIRECTION.end(drop_python=False)


class _Redirection:
    """Points file descriptor 2 to nothing from the first user to the last, in whichever threads they are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = self._python_users = 0
        self._saved: int | None = None
        """A descriptor of the original target; None if nothing is redirected, or the process has no standard error."""
        self._bypass: _Bypass | None = None

    def begin(self, *, drop_python: bool) -> None:
        """Redirect the descriptor unless it is redirected.

        Args:
            drop_python: whether Python's own lines are dropped, too.
        """
        with self._lock:
            if self._users == 0:
                with contextlib.suppress(OSError):  # the process has no standard error, so nothing can reach it
                    self._saved = os.dup(2)
            if not drop_python:
                self._python_users += 1
                if self._bypass is None and self._saved is not None and _writes_to_descriptor_2(sys.stderr):
                    self._bypass = _Bypass(sys.stderr, self._saved)
                    _replace(sys.stderr, self._bypass)
            self._users += 1
            if self._users == 1 and self._saved is not None:
                _redirect_to_null()

    def end(self, *, drop_python: bool) -> None:
        """Restore the descriptor if no other user is left."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._saved is not None:
                os.dup2(self._saved, 2)
            if not drop_python:
                self._python_users -= 1
                if self._python_users == 0 and self._bypass is not None:
                    self._bypass.end()
                    _replace(self._bypass, self._bypass.original)
                    self._bypass = None
            if self._users == 0 and self._saved is not None:
                os.close(self._saved)
                self._saved = None


class _Bypass(io.TextIOBase):
    """Python's standard error while descriptor 2 is redirected; afterwards it passes everything to the original.

    Args:
        original: Python's standard error.
        descriptor: where it writes to.
    """

    def __init__(self, original: TextIO, descriptor: int) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed, or nothing can be written to it
            original.flush()
        self.original = original
        self._descriptor: int | None = descriptor
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property instead of a variable
        return self.original.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # a property instead of a variable
        return self.original.errors

    def write(self, text: str) -> int:
        with self._lock:
            if self._descriptor is None:
                return self.original.write(text)
            content = text.encode(self.encoding, self.errors or "strict")
            while content:
                content = content[os.write(self._descriptor, content) :]
        return len(text)

    def flush(self) -> None:
        self.original.flush()

    def fileno(self) -> int:
        return self.original.fileno() if self._descriptor is None else self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self.fileno())

    def writable(self) -> bool:
        return True

    def end(self) -> None:
        """Pass everything to the original from now on."""
        with self._lock:
            self._descriptor = None


_REDIRECTION = _Redirection()


def _writes_to_descriptor_2(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() == 2
    except (OSError, ValueError):  # not a file, or closed
        return False


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


def _replace(before: TextIO | io.TextIOBase, after: TextIO | io.TextIOBase) -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is before:
            with contextlib.suppress(ValueError, OSError):  # flushing fails if the terminal has been closed
                handler.setStream(after)
    if sys.stderr is before:
        sys.stderr = cast("TextIO", after)
