"""Keeps from terminal and journal what C libraries write to descriptor 2 past Python, and offer no switch for."""

import contextlib
import faulthandler
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing reaches descriptor 2 within the context, of Python's own lines neither."""
    before = os.dup(2)
    _silence()
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def hush() -> None:
    """From here on only Python's own lines reach standard error, and its last words if a library crashes.

    PortAudio writes several lines whenever a microphone goes away, from a thread of its own.
    """
    sys.stderr.flush()
    kept = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setStream(kept)
    sys.stderr = kept
    faulthandler.enable(kept)
    _silence()


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


class StandardError:
    """Python's own; what C libraries write, `device.system.stderr` keeps away.

    Args:
        say: is told each line, by whatever thread wrote it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._lines = _Lines(say)
        self._before: TextIO | None = None

    def divert(self) -> None:
        """From here on `say` gets it, if it is a terminal; a file gets its lines as always."""
        if self._before is None and sys.stderr is not None and sys.stderr.isatty():
            self._before = sys.stderr
            _hand_over(self._before, self._lines)

    def restore(self) -> None:
        """As it was."""
        if self._before is not None:
            _hand_over(self._lines, self._before)
            self._before = None


class _Lines(io.TextIOBase):
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._begun = ""

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._say(line)
        return len(text)


def _hand_over(before: TextIO | _Lines, after: TextIO | _Lines) -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is before:
            with contextlib.suppress(ValueError, OSError):  # its flush, if the terminal is gone
                handler.setStream(after)
    sys.stderr = after
