"""The screen of a daemon that listens: told what goes on by the thread that listens, drawn by a thread of its own.

That thread alone writes to the terminal, so neither a slow terminal nor one that is held (Ctrl-S) holds up a light.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from device.audio.liveness import Liveness
from device.events import Frame, Prediction
from device.outputs.terminal.layout import ListeningView
from device.outputs.terminal.live_region import Pane
from device.outputs.terminal.state import Scene
from device.outputs.terminal.text import signs_for
from device.system.stderr import StandardError
from device.system.terminal_mode import KeyboardEcho

_PERIOD_S = 0.125
"""Between two looks at what there is to draw: a block of sound comes as often."""
_END_LIMIT_S = 0.5
"""For a terminal that takes nothing, at the end or when the process is stopped (Ctrl-Z)."""


class Screen:
    """An observer that draws; a context manager, in which nothing is drawn before `begin`.

    Meanwhile what is written to standard error, where that is a terminal, appears above what is drawn, and keys are not
    echoed. To be entered by the main thread.

    Args:
        console: the terminal.
        gate_dbfs: of `[endpoint]`.
        hold_s: of `[lights]`: how long a light stays on.
    """

    def __init__(self, console: Console, *, gate_dbfs: float, hold_s: float) -> None:
        self._console = console
        self._scene = Scene(signs_for(console), hold_s)
        self._view = ListeningView(console, gate_dbfs)
        self._pane = Pane(console)
        self._echo = KeyboardEcho(0)
        self._errors = StandardError(self._scene.say)
        self._wake = threading.Event()
        self._drawing = threading.Lock()
        self._drawn: tuple[object, ...] = ()
        self._over = False
        self._thread = threading.Thread(target=self._draw_on, name="screen", daemon=True)

    def __enter__(self) -> "Screen":
        self._before = signal.signal(signal.SIGTSTP, self._pause)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        signal.signal(signal.SIGTSTP, self._before)

    def begin(self) -> None:
        """Draw from here on; does nothing when it was called before, or all is over."""
        if self._over or self._thread.ident is not None:
            return
        self._errors.divert()
        self._echo.off()
        self._thread.start()

    def classes(self, labels: Sequence[str]) -> None:
        """The model is loaded, and these are its classes."""
        self._scene.classes(labels)
        self._wake.set()

    def microphone(self, liveness: Liveness, name: str, rate: int) -> None:
        """See `device.outputs.base.Observer`."""
        self._scene.microphone(liveness, name, rate)
        self._wake.set()

    def frame(self, frame: Frame) -> None:
        """See `device.outputs.base.Observer`."""
        self._scene.frame(frame)

    def speech(self, words: Callable[[], str], picture: Callable[[], NDArray[np.float32]]) -> None:
        """See `device.outputs.base.Observer`."""
        self._scene.speech(words, picture)

    def answer(self, prediction: Prediction) -> None:
        """See `device.outputs.base.Observer`."""
        self._scene.answer(prediction)
        self._wake.set()

    def close(self) -> None:
        """See `device.outputs.base.Observer`."""
        self._over = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_END_LIMIT_S)
            self._give_back()

    def _draw_on(self) -> None:
        """The drawing thread."""
        try:
            with contextlib.suppress(OSError):  # the terminal is gone; the lights are not
                try:
                    while not self._over:
                        with self._drawing:
                            self._draw()
                        self._wake.wait(_PERIOD_S)
                        self._wake.clear()
                finally:
                    with self._drawing:
                        self._pane.close(self._scene.last())
        finally:
            self._give_back()  # now, so that the words of an exception are seen

    def _draw(self) -> None:
        look = self._scene.look()
        now = (look.moment, look.dbfs, look.lit, self._console.size)
        if look.above or now != self._drawn:
            self._pane.draw(self._view.lines(look.moment, look.dbfs, lit=look.lit), look.above)
            self._drawn = now

    def _give_back(self) -> None:
        self._errors.restore()
        self._echo.restore()

    def _pause(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal as it was, and what is drawn comes back with the process."""
        drawn = self._thread.is_alive() and self._drawing.acquire(timeout=_END_LIMIT_S)
        if drawn:
            self._pane.close()
            self._echo.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        if drawn:
            self._drawn = ()
            self._echo.off()
            self._drawing.release()
