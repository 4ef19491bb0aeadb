"""Keys that are pressed where something is drawn in place: they are not written into it."""

import contextlib
import os
import termios
from typing import Any


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
