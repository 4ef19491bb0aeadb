"""The screen of a listening daemon: the listening thread reports what happens, another thread draws it.

That thread alone writes to the terminal, so neither a slow terminal nor a paused one (Ctrl-S) delays a light.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from rich.console import Console

from device.audio.liveness import Liveness
from device.errors import ProfileError
from device.events import Frame, Prediction, Preview
from device.outputs.base import Speech
from device.outputs.commands import Commands
from device.outputs.corrections import CorrectionRequests, outcome
from device.outputs.terminal.layout import ScreenLayout
from device.outputs.terminal.live_region import LiveRegion
from device.outputs.terminal.state import ScreenState
from device.outputs.terminal.text import symbols_for
from device.system.streams.stderr import StandardError
from device.system.streams.terminal_mode import KeyboardEcho

if TYPE_CHECKING:
    from device.adaptation.adapted_classifier import Learnt

_PERIOD_S = 0.125
"""Seconds between two snapshots: a block of audio arrives as often."""
_END_LIMIT_S = 0.5
"""Seconds for a terminal that accepts nothing, at the end or when the process is suspended (Ctrl-Z)."""


class Screen:
    """A monitor that draws; a context manager, in which nothing is drawn before `begin`.

    Meanwhile, lines that are written to standard error, where that is a terminal, appear above the drawing, and keys
    are not echoed. The context must be entered by the main thread.

    Args:
        console: the terminal.
        gate_dbfs: level of the noise gate, dB relative to full scale; `gate_dbfs` under `[endpoint]`.
        hold_s: seconds for which a light stays on; `hold_s` under `[lights]`.
        commands: what pressed keys do: m mutes, the number of a class corrects the prediction. None to read no keys.
        learns: whether corrections can be learnt.
    """

    name = "screen"
    watching = True
    batch_size = 1
    shows_previews = True

    def __init__(
        self,
        console: Console,
        *,
        gate_dbfs: float,
        hold_s: float,
        commands: Commands | None = None,
        learns: bool = True,
    ) -> None:
        self._console = console
        self._state = ScreenState(symbols_for(console), hold_s)
        self._layout = ScreenLayout(console, gate_dbfs)
        self._region = LiveRegion(console)
        self._commands = commands
        self._echo = KeyboardEcho(0, keys=commands is not None)
        self._corrections: CorrectionRequests | None = None
        if commands is not None and learns:
            self._corrections = CorrectionRequests("corrections", commands.correct, self._learnt, self._not_learnt)
        self._labels: Sequence[str] = ()
        self._errors = StandardError(self._state.message)
        self._wake = threading.Event()
        self._drawing = threading.Lock()
        self._drawn: tuple[object, ...] = ()
        self._over = False
        self._thread = threading.Thread(target=self._draw_until_over, name="screen", daemon=True)

    def __enter__(self) -> "Screen":
        self._previous_handler = signal.signal(signal.SIGTSTP, self._suspend)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(_END_LIMIT_S)
        signal.signal(signal.SIGTSTP, self._previous_handler)

    def begin(self) -> None:
        """Start to draw; does nothing if it was called before, or after `close`."""
        if self._over or self._thread.ident is not None:
            return
        self._errors.divert()
        self._echo.off()
        self._thread.start()

    def open(self, labels: Sequence[str]) -> None:
        """Show the classes of the model and start to draw; see `Output.open`."""
        self._labels = labels
        self._state.classes(labels)
        self._wake.set()
        self.begin()

    def microphone(self, liveness: Liveness) -> None:
        """Show the state of the microphone; see `Output.microphone`."""
        self._state.microphone(liveness)
        self._wake.set()

    def frame(self, frame: Frame) -> None:
        """Let the meter follow the level; see `Monitor.frame`."""
        self._state.frame(frame)

    def speech(self, speech: Speech) -> None:
        """Show the words and the image so far; see `Monitor.speech`."""
        self._state.speech(speech)

    def prediction(self, prediction: Prediction, lit_at: float, *, lights_stay: bool = False) -> None:
        """Show the prediction; see `Monitor.prediction`."""
        del lit_at  # the drawn light is on when it is drawn
        self._state.prediction(prediction, lights_stay=lights_stay)
        self._wake.set()

    def corrected(self, label: str, *, lights_stay: bool = False, later: int = 0) -> None:
        """Show this class, and its light; see `Monitor.corrected`."""
        if not later:  # else it is in the history, which contains what was predicted
            self._state.corrected(label, lights_stay=lights_stay)
        self._wake.set()

    def preview(self, preview: Preview) -> None:
        """Show the bars, and the light, of an utterance that goes on; see `Light.preview`."""
        if self._state.preview(preview):  # bars have time until the next snapshot
            self._wake.set()

    def show(self, label: str) -> None:
        """Show the light of this class; see `Light.show`."""
        self._state.show(label)
        self._wake.set()

    def close(self, limit_s: float) -> None:
        """Erase the drawing and give the terminal back as it was; see `Output.close`."""
        self._over = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(min(limit_s, _END_LIMIT_S))
            self._give_back()

    def _draw_until_over(self) -> None:
        """Run the drawing thread."""
        try:
            with contextlib.suppress(OSError):  # the terminal has gone; the lights have not
                try:
                    while not self._over:
                        with self._drawing:
                            self._echo.off()  # the process may have come to the foreground
                            self._state.keys(read=self._echo.reads_keys, learns=self._corrections is not None)
                            self._draw()
                            self._read_keys()
                        self._wake.wait(_PERIOD_S)
                        self._wake.clear()
                finally:
                    with self._drawing:
                        self._region.close(self._state.last_history())
        finally:
            self._give_back()  # now, so that the message of an exception is visible

    def _draw(self) -> None:
        now = self._state.snapshot()
        key = (now.content, now.dbfs, now.lit, self._console.size)
        if now.above or key != self._drawn:
            self._region.draw(self._layout.lines(now.content, now.dbfs, lit=now.lit), now.above)
            self._drawn = key

    def _read_keys(self) -> None:
        for key in self._echo.pressed():
            number = "123456789".find(key)
            if self._corrections is not None and 0 <= number < len(self._labels):
                self._corrections.put(self._labels[number])
            elif key.lower() == "m" and self._commands is not None:
                self._commands.mute(None)

    def _learnt(self, label: str, learnt: "Learnt") -> None:
        self._state.message(outcome(label, learnt))
        self._wake.set()

    def _not_learnt(self, error: ProfileError) -> None:
        self._state.message(error.message)
        if error.fix:
            self._state.message(f"  fix: {error.fix}")
        self._wake.set()

    def _give_back(self) -> None:
        self._errors.restore()
        self._echo.restore()

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal as it was, and the drawing comes back with the process."""
        drawn = self._thread.is_alive() and self._drawing.acquire(timeout=_END_LIMIT_S)
        if drawn:
            self._region.close()
            self._echo.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        if drawn:
            self._drawn = ()
            self._echo.off()
            self._drawing.release()
