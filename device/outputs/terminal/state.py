"""Remembers what a screen shows of a listening daemon.

The listening thread reports to it, the drawing thread takes snapshots of it, and neither keeps the other waiting.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rich.text import Text

from device.audio.level import LOWEST_DBFS, level_dbfs
from device.audio.liveness import Liveness, State
from device.events import FRAME_SECONDS, Frame, Prediction, Preview
from device.outputs.base import Speech
from device.outputs.terminal.layout import ScreenContent
from device.outputs.terminal.meter import DecayingPeak
from device.outputs.terminal.prediction_rows import history_entry
from device.outputs.terminal.text import HangingIndent, Symbols
from device.system.display import displayable

_WORDS_EVERY_S, _IMAGE_EVERY_S = 0.25, 0.5
"""Seconds of speech between two updates of the words and of the image: both cost CPU time."""
_MOST_WAITING = 1000
"""Lines of history that wait for a terminal that is paused."""
_PROBLEM_STYLES = {
    State.SILENT: "bold yellow",
    State.LOST: "bold red",
    State.FAILED: "bold red",
}
"""Style of the line about the microphone while it delivers no sound."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that there is to draw at one time."""

    content: ScreenContent
    dbfs: float
    """Level that the meter shows, dB relative to full scale."""
    lit: bool
    """Whether the light in the content is still on."""
    above: Sequence[HangingIndent]
    """History since the previous snapshot, oldest first."""


class ScreenState:
    """The state of a screen.

    Args:
        symbols: characters of the terminal.
        hold_s: seconds for which a light stays on.
        clock: monotonic time, seconds.
        now: time of day.
    """

    def __init__(
        self,
        symbols: Symbols,
        hold_s: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._symbols = symbols
        self._hold_s = hold_s
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._content = ScreenContent(Text("loading the network and the speech model"))
        self._above: deque[HangingIndent] = deque(maxlen=_MOST_WAITING)
        self._latest: Prediction | None = None
        """The prediction that is drawn, and not in the history yet."""
        self._lit_until = -float("inf")
        self._peak = DecayingPeak()
        self._loudest, self._received_s = LOWEST_DBFS, 0.0
        self._spoken_s = self._words_due = self._image_due = 0.0

    def classes(self, labels: Sequence[str]) -> None:
        """The model is loaded; these are its classes."""
        with self._lock:
            self._content = replace(self._content, state=Text("opening the microphone"), labels=tuple(labels))

    def message(self, line: str) -> None:
        """Add a line to the history."""
        with self._lock:
            self._move_to_history()
            self._above.append(HangingIndent(Text(f"{self._now():%H:%M:%S}  ", "dim"), Text(displayable(line))))

    def microphone(self, liveness: Liveness) -> None:
        """The state of the microphone has changed; see `Output.microphone`."""
        receiving = liveness.state in (State.HEALTHY, State.SILENT)
        muted = liveness.state == State.MUTED
        if muted:  # the layout adds how to open it
            state = Text(displayable(liveness.description), "bold yellow")
        elif liveness.state in _PROBLEM_STYLES:
            state = Text(displayable(liveness.description_and_fix), _PROBLEM_STYLES[liveness.state])
        else:
            state = Text.assemble(
                "" if receiving else "opening ",
                (displayable(liveness.microphone), "bold"),
                (f", {liveness.rate} Hz", "dim"),
            )
        with self._lock:
            can_unmute = muted and bool(liveness.fix)
            self._content = replace(self._content, state=state, receiving=receiving, muted=can_unmute, preview=None)
            self._lit_until = -float("inf")  # as LEDs, which show the state of the microphone instead
            if not receiving:
                self._content = replace(self._content, speaking=False)

    def frame(self, frame: Frame) -> None:
        """A frame has arrived; see `Monitor.frame`."""
        dbfs = level_dbfs(frame.samples)
        with self._lock:
            self._loudest = max(self._loudest, dbfs)
            self._received_s += FRAME_SECONDS

    def speech(self, speech: Speech) -> None:
        """An utterance goes on; see `Monitor.speech`."""
        if not self._content.speaking:
            self._spoken_s = self._words_due = 0.0
            self._image_due = _IMAGE_EVERY_S
            with self._lock:
                self._move_to_history()  # the previous utterance is history now
                self._content = replace(self._content, speaking=True, words="", preview=None)
        if self._spoken_s >= self._words_due:
            self._words_due += _WORDS_EVERY_S
            spoken = speech.words()
            if spoken != self._content.words:
                with self._lock:
                    self._content = replace(self._content, words=spoken)
        if self._spoken_s >= self._image_due:
            self._image_due += _IMAGE_EVERY_S
            current = speech.image()
            with self._lock:
                self._content = replace(self._content, image=current)
        self._spoken_s += FRAME_SECONDS

    def prediction(self, prediction: Prediction, *, lights_stay: bool = False) -> None:
        """An utterance is over; its light is on, unless the lights stay as they are. See `Monitor.prediction`."""
        with self._lock:
            self._move_to_history()
            self._content = replace(
                self._content, speaking=False, words="", prediction=prediction, preview=None, image=prediction.image
            )
            self._latest = prediction
            if not lights_stay:
                self._light_up(prediction.light)

    def corrected(self, label: str, *, lights_stay: bool = False) -> None:
        """A person has named the right class of the latest prediction: its light is on now; see `Monitor.corrected`.

        The history still contains what was predicted.
        """
        with self._lock:
            if self._content.prediction is None:
                return
            corrected = replace(self._content.prediction, label=label, confident=True)
            self._content = replace(self._content, prediction=corrected)
            if not lights_stay:
                self._light_up(label)

    def preview(self, preview: Preview) -> bool:
        """The class of the utterance that goes on, and its light; see `Light.preview`.

        Returns:
            Whether another light is on now.
        """
        with self._lock:
            before = self._content.preview
            self._content = replace(self._content, preview=preview)
            # Only where it changes: a light that a person has named meanwhile stays.
            changes = preview.light not in (None, None if before is None else before.light)
            if changes:
                self._content = replace(self._content, light=preview.light)
                self._lit_until = float("inf")  # until it is over
            return changes

    def show(self, label: str) -> None:
        """The light of this class is on although nothing was predicted; see `Light.show`."""
        with self._lock:
            self._light_up(label)

    def keys(self, *, read: bool, learns: bool) -> None:
        """Keys are read from now on, or none are.

        Args:
            read: whether keys are read, such as m.
            learns: whether there are also keys with which predictions can be corrected.
        """
        with self._lock:
            if (read, read and learns) != (self._content.keys, self._content.learns):
                self._content = replace(self._content, keys=read, learns=read and learns)

    def snapshot(self) -> Snapshot:
        """Everything that there is to draw now."""
        with self._lock:
            if not self._content.receiving:
                self._peak = DecayingPeak()
            elif self._received_s:
                self._peak.update(self._loudest, self._received_s)
            self._loudest, self._received_s = LOWEST_DBFS, 0.0
            return Snapshot(self._content, self._peak.dbfs, self._clock() < self._lit_until, self._take_history())

    def last_history(self) -> Sequence[HangingIndent]:
        """The history that is left when nothing is drawn any more, with the latest prediction."""
        with self._lock:
            self._move_to_history()
            return self._take_history()

    def _light_up(self, light: str | None) -> None:
        self._content = replace(self._content, light=light)
        self._lit_until = self._clock() + self._hold_s

    def _take_history(self) -> Sequence[HangingIndent]:
        above = tuple(self._above)
        self._above.clear()
        return above

    def _move_to_history(self) -> None:
        """Add the latest prediction to the history; it was drawn until now."""
        if self._latest is not None:
            self._above.append(history_entry(self._content.labels, self._latest, self._symbols))
            self._latest = None
