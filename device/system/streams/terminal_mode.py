"""Modes of a terminal: keys are read one by one without Enter, or are not echoed into what is drawn on the screen."""

import contextlib
import os
import select
import signal
import termios
import tty
from typing import Any

ENDED = "\x04"
"""What `Keyboard.pressed` returns for Ctrl-D, and when the terminal has been closed."""
_ESCAPE = "\x1b"
_MOST_KEYS = 64


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
            keys = os.read(self._descriptor, _MOST_KEYS).decode(errors="replace")
        except OSError:
            return ENDED
        return _without_escapes(keys) if keys else ENDED


def _without_escapes(keys: str) -> str:
    """What was read, unless it is an arrow or function key, which sends several characters."""
    return "" if keys.startswith(_ESCAPE) else keys


class KeyboardEcho:
    """The echo of a terminal, so that pressed keys are not written into what is drawn there.

    Ctrl-C and the other keys that send signals keep their meaning.

    Args:
        descriptor: file descriptor of standard input; if it is no terminal, nothing is done.
        keys: whether the pressed keys can be read one by one while the echo is off, without Enter.
    """

    def __init__(self, descriptor: int, *, keys: bool = False) -> None:
        self._descriptor = descriptor
        self._keys = keys
        self._saved: list[Any] | None = None

    def off(self) -> None:
        """Stop echoing pressed keys."""
        if self._saved is None and self._in_foreground():
            self._saved = termios.tcgetattr(self._descriptor)
            changed = termios.tcgetattr(self._descriptor)
            changed[3] &= ~termios.ECHO
            if self._keys:
                changed[3] &= ~termios.ICANON
                changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
            self._set(changed)

    @property
    def reads_keys(self) -> bool:
        """Whether `pressed` returns what is pressed now."""
        return self._keys and self._saved is not None and self._in_foreground()

    def pressed(self) -> str:
        """The keys pressed since the previous call, in their order; empty if there are none. Never waits.

        Keys that are pressed while this process is in the background belong to another one. Reading them would stop
        it, so a process that has just come there gets an error instead.
        """
        if not self.reads_keys or not select.select([self._descriptor], [], [], 0)[0]:
            return ""
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTIN,))
        try:
            return _without_escapes(os.read(self._descriptor, _MOST_KEYS).decode(errors="replace"))
        except OSError:
            return ""
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

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
