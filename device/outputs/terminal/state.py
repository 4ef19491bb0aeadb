"""What there is to see of a daemon that listens: an observer that remembers, and is asked by whoever draws.

It is told by one thread and asked by another, and keeps neither waiting.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from device.audio.level import LOWEST_DBFS, level_dbfs
from device.audio.liveness import Liveness, State
from device.events import FRAME_SECONDS, Frame, Prediction
from device.outputs.terminal.layout import Moment
from device.outputs.terminal.meter import Needle
from device.outputs.terminal.prediction_rows import entry
from device.outputs.terminal.text import Hanging, Signs, printable

_WORDS_EVERY_S, _PICTURE_EVERY_S = 0.25, 0.5
"""Of sound, while someone speaks: both cost CPU time."""
_MOST_WAITING = 1000
"""Lines of history that wait for a terminal that takes none."""
_TROUBLES = {
    State.SILENT: ("microphone silent, waiting for it: ", "bold yellow"),
    State.LOST: ("microphone lost, waiting for it: ", "bold red"),
    State.FAILED: ("microphone failed: ", "bold red"),
}


@dataclass(frozen=True, eq=False)
class Look:
    """All that there is to draw at one time."""

    moment: Moment
    dbfs: float
    """Where the needle of the level meter stands, dB relative to full scale."""
    lit: bool
    """Whether the light of the last answer is still on."""
    above: Sequence[Hanging]
    """History that was not looked at before, oldest first."""


class Scene:
    """Remembers what an observer is told.

    Args:
        signs: of the terminal.
        hold_s: how long a light stays on.
        clock: seconds, monotonic.
        now: the time of day.
    """

    def __init__(
        self,
        signs: Signs,
        hold_s: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._signs = signs
        self._hold_s = hold_s
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._moment = Moment(Text("loading the network and the speech model"))
        self._above: deque[Hanging] = deque(maxlen=_MOST_WAITING)
        self._unwritten: Prediction | None = None
        self._lit_until = -float("inf")
        self._needle = Needle()
        self._loudest, self._heard_s = LOWEST_DBFS, 0.0
        self._spoken_s = self._words_due = self._picture_due = 0.0

    def classes(self, labels: Sequence[str]) -> None:
        """The model is loaded, and these are its classes."""
        with self._lock:
            self._moment = replace(self._moment, state=Text("opening the microphone"), labels=tuple(labels))

    def say(self, line: str) -> None:
        """Something for the history."""
        with self._lock:
            self._write()
            self._above.append(Hanging(Text(f"{self._now():%H:%M:%S}  ", "dim"), Text(printable(line))))

    def microphone(self, liveness: Liveness, name: str, rate: int) -> None:
        """See `device.outputs.base.Observer`."""
        heard = liveness.state in (State.HEALTHY, State.SILENT)
        if liveness.state in _TROUBLES:
            trouble, style = _TROUBLES[liveness.state]
            state = Text(trouble + printable(liveness.reason), style)
        else:
            state = Text.assemble("" if heard else "opening ", (printable(name), "bold"), (f", {rate} Hz", "dim"))
        with self._lock:
            self._moment = replace(self._moment, state=state, hears=heard)
            if not heard:
                self._moment = replace(self._moment, speaking=False)

    def frame(self, frame: Frame) -> None:
        """See `device.outputs.base.Observer`."""
        dbfs = level_dbfs(frame.samples)
        with self._lock:
            self._loudest = max(self._loudest, dbfs)
            self._heard_s += FRAME_SECONDS

    def speech(self, words: Callable[[], str], picture: Callable[[], NDArray[np.float32]]) -> None:
        """See `device.outputs.base.Observer`."""
        if not self._moment.speaking:
            self._spoken_s = self._words_due = 0.0
            self._picture_due = _PICTURE_EVERY_S
            with self._lock:
                self._write()  # what was said before is history
                self._moment = replace(self._moment, speaking=True, words="")
        if self._spoken_s >= self._words_due:
            self._words_due += _WORDS_EVERY_S
            said = words()
            if said != self._moment.words:
                with self._lock:
                    self._moment = replace(self._moment, words=said)
        if self._spoken_s >= self._picture_due:
            self._picture_due += _PICTURE_EVERY_S
            seen = picture()
            with self._lock:
                self._moment = replace(self._moment, picture=seen)
        self._spoken_s += FRAME_SECONDS

    def answer(self, prediction: Prediction) -> None:
        """See `device.outputs.base.Observer`."""
        with self._lock:
            self._write()
            self._moment = replace(
                self._moment, speaking=False, words="", prediction=prediction, picture=prediction.image
            )
            self._unwritten = prediction
            self._lit_until = self._clock() + self._hold_s

    def look(self) -> Look:
        """What there is now."""
        with self._lock:
            if not self._moment.hears:
                self._needle = Needle()
            elif self._heard_s:
                self._needle.follow(self._loudest, self._heard_s)
            self._loudest, self._heard_s = LOWEST_DBFS, 0.0
            above = tuple(self._above)
            self._above.clear()
            return Look(self._moment, self._needle.dbfs, self._clock() < self._lit_until, above)

    def last(self) -> Sequence[Hanging]:
        """What is left to be written when nothing more is drawn."""
        with self._lock:
            self._write()
            above = tuple(self._above)
            self._above.clear()
            return above

    def _write(self) -> None:
        """Let the last answer join the history; it was drawn until now."""
        if self._unwritten is not None:
            self._above.append(entry(self._moment.labels, self._unwritten, self._signs))
            self._unwritten = None
