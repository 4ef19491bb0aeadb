"""Standard error, line by line, to somebody else for a while: what is written to it must not tear what is drawn."""

import contextlib
import io
import logging
import sys
from collections.abc import Callable
from typing import TextIO


class StandardError:
    """Python's own; what C libraries write, `device.native_chatter` keeps away.

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
