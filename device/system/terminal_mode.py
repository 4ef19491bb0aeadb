"""Single keys of a terminal, as they are pressed, without waiting for Enter."""

import contextlib
import os
import select
import termios
import tty
from typing import Any

ENDED = "\x04"
"""Ctrl-D, or a terminal that has gone."""
_ESCAPE = "\x1b"


class Keyboard:
    """The keys of a terminal; a context manager, which gives the terminal back as it was.

    Args:
        descriptor: of the terminal. Ctrl-C stays a signal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> "Keyboard":
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(termios.error):  # a terminal that has gone
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def pressed(self) -> str:
        """The keys pressed since this was last asked, in their order; it does not wait."""
        if not select.select([self._descriptor], [], [], 0)[0]:
            return ""
        try:
            keys = os.read(self._descriptor, 64).decode(errors="replace")
        except OSError:
            return ENDED
        if keys.startswith(_ESCAPE):
            return ""  # arrows and the like, which are several characters
        return keys or ENDED


class KeyboardEcho:
    """Of a terminal, to be switched off and back on; Ctrl-C and the other keys of signals keep their meaning.

    Args:
        descriptor: standard input, terminal or not.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None

    def off(self) -> None:
        """From here on keys are not seen."""
        if self._before is None and self._ours():
            self._before = termios.tcgetattr(self._descriptor)
            changed = termios.tcgetattr(self._descriptor)
            changed[3] &= ~termios.ECHO
            self._set(changed)

    def restore(self) -> None:
        """As it was."""
        if self._before is not None and self._ours():
            self._set(self._before)
        self._before = None

    def _ours(self) -> bool:
        """Whether it is a terminal, and we in its foreground: from the background this would stop the process."""
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        return False

    def _set(self, attributes: list[Any]) -> None:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
