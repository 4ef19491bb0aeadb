"""Modes of a terminal: keys are read one by one without Enter, or are not echoed into what is drawn on the screen."""

import contextlib
import os
import select
import termios
import tty
from typing import Any

ENDED = "\x04"
"""What `Keyboard.pressed` returns for Ctrl-D, and when the terminal has been closed."""
_ESCAPE = "\x1b"


class Keyboard:
    """Reads single keys of a terminal; a context manager, which restores the mode of the terminal.

    Args:
        descriptor: file descriptor of the terminal. Ctrl-C still sends a signal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> "Keyboard":
        self._saved = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(termios.error):  # the terminal has been closed
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)

    def pressed(self) -> str:
        """The keys pressed since the previous call, in their order; empty if there are none. Never waits."""
        if not select.select([self._descriptor], [], [], 0)[0]:
            return ""
        try:
            keys = os.read(self._descriptor, 64).decode(errors="replace")
        except OSError:
            return ENDED
        if keys.startswith(_ESCAPE):
            return ""  # arrow and function keys send several characters
        return keys or ENDED


class KeyboardEcho:
    """The echo of a terminal, so that pressed keys are not written into what is drawn there.

    Ctrl-C and the other keys that send signals keep their meaning.

    Args:
        descriptor: file descriptor of standard input; if it is no terminal, nothing is done.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._saved: list[Any] | None = None

    def off(self) -> None:
        """Stop echoing pressed keys."""
        if self._saved is None and self._in_foreground():
            self._saved = termios.tcgetattr(self._descriptor)
            changed = termios.tcgetattr(self._descriptor)
            changed[3] &= ~termios.ECHO
            self._set(changed)

    def restore(self) -> None:
        """Restore the echo that the terminal had before `off`."""
        if self._saved is not None and self._in_foreground():
            self._set(self._saved)
        self._saved = None

    def _in_foreground(self) -> bool:
        """Whether it is a terminal with this process in its foreground; a change from the background would stop us."""
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        return False

    def _set(self, attributes: list[Any]) -> None:
        with contextlib.suppress(termios.error):  # the terminal has been closed
            termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
