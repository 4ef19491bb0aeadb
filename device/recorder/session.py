"""A recording session: which clip is wanted next, and what becomes of each one that was heard.

It is told frames and keys, and tells a display and a folder. Microphone and terminal it does not know.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from device.audio.level import LOWEST_DBFS, level_dbfs
from device.errors import EdgeMcnnError, RecordingError
from device.events import Frame
from device.recorder.clip_folder import ClipFolder
from device.recorder.take import Take, TakeListener
from device.system.terminal_mode import ENDED

_KEY_CLICK_S = 0.3
"""After a key has answered nothing is heard for so long, so that no clip begins with its click."""
_QUESTION = "Enter: keep  r: again  n: next  q: quit"


class Keys(Protocol):
    """`device.system.terminal_mode.Keyboard`."""

    def pressed(self) -> str:
        """The keys pressed since this was last asked."""


class Display(Protocol):
    """`device.recorder.ui.RecorderDisplay`."""

    def print(self, line: str, style: str = "") -> None:
        """Show a line that stays."""

    def print_error(self, error: EdgeMcnnError) -> None:
        """Show something that the user is to mend."""

    def meter(self, level_dbfs: float, remark: str) -> None:
        """Show how loud it is."""

    def question(self, question: str) -> None:
        """Show a question until the next `meter`."""


@dataclass(frozen=True)
class RecordingPlan:
    """What is to be recorded."""

    classes: Sequence[str]
    """In the order in which they are prompted for."""
    clips: int
    """How many of each there are to be, with those that are there already."""
    speaker: str = ""
    """Who speaks; empty if nobody is named."""
    sentences: Sequence[str] = ()
    """To be read aloud, the same ones in each class; if there are none, the speaker finds the words."""
    transcribed: bool = True
    """Whether the words that Vosk hears are written down; if not, the sentences are."""


class Session:
    """Goes from clip to clip and from class to class.

    Args:
        plan: what is wanted.
        folder: where clips are kept.
        listener: finds utterances in the frames.
        display: what the user sees.
        keyboard: the user's; None if there is nobody to ask, and each clip is kept.
        clock: seconds, the one that frames are stamped with.
    """

    def __init__(
        self,
        plan: RecordingPlan,
        folder: ClipFolder,
        listener: TakeListener,
        display: Display,
        keyboard: Keys | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._listener = listener
        self._display = display
        self._keyboard = keyboard
        self._clock = clock
        self._ahead = list(plan.classes)
        self._undecided: Take | None = None
        self._deaf_until = -math.inf
        self._level = LOWEST_DBFS
        self._hears = False
        self._find_next()

    @property
    def finished(self) -> bool:
        """Whether nothing more is wanted."""
        return not self._ahead

    def prompt(self) -> None:
        """Say what is wanted now."""
        if self.finished or self._undecided is not None:
            return
        label, sentence = self._ahead[0], self._sentence()
        number = f"({self._folder.counts()[label] + 1} of {self._plan.clips})"
        line = f"Read, {label} {number}: \u201c{sentence}\u201d" if sentence else f"Say something {label} {number}"
        self._display.print(line, "bold")

    def tick(self) -> None:
        """Look at the keyboard and at the level; to be called often, also when no sound comes."""
        for key in self._keyboard.pressed() if self._keyboard is not None else "":
            if not self.finished:
                self._on_key(key.lower())
        if self.finished:
            return
        if self._undecided is not None:
            self._display.question(_QUESTION)
            return
        if self._listener.speaking:
            remark = "recording"
        elif not self._hears:
            remark = "waiting for the microphone"
        else:
            remark = "speak when you are ready" if self._clock() >= self._deaf_until else "a moment"
        self._display.meter(self._level, remark)
        self._level = LOWEST_DBFS

    def process(self, frame: Frame) -> None:
        """Take the next frame."""
        self._hears = True
        self._level = max(self._level, level_dbfs(frame.samples))
        if self.finished or self._undecided is not None or frame.arrived_at < self._deaf_until:
            return
        take = self._listener.push(frame)
        if take is None:
            return
        self._undecided = take
        self._display.print(f"  {self._description(take)}")
        if self._keyboard is None:
            self._keep(take)

    def microphone_lost(self) -> None:
        """The microphone is gone: what was being said then is no clip."""
        if self._listener.speaking:
            self._display.print("  the microphone was lost meanwhile, so this is no clip; it will be asked for again")
        self._listener.restart()
        self._hears = False

    def stop(self) -> None:
        """End it; what was kept is kept."""
        self._drop()
        self._ahead.clear()

    def _on_key(self, key: str) -> None:
        if key in ("q", ENDED):
            self.stop()
        elif key == "n":
            self._drop()
            self._ahead.pop(0)
            self._go_on()
        elif key == "r" and (self._undecided is not None or self._listener.speaking):
            self._drop()
            self._go_on()
        elif key in ("\r", "\n") and self._undecided is not None:
            try:
                self._keep(self._undecided)
            except RecordingError as error:
                # It is still undecided: once there is space again, it can be kept.
                self._display.print_error(error)

    def _keep(self, take: Take) -> None:
        label = self._ahead[0]
        text = take.text if self._plan.transcribed else self._sentence()
        name = self._folder.add(take.samples, label, text, self._plan.speaker)
        self._undecided = None
        self._display.print(f"  kept as {name}", "green")
        self._go_on()

    def _drop(self) -> None:
        if self._undecided is not None or self._listener.speaking:
            self._display.print("  not kept", "yellow")
        self._undecided = None
        self._listener.restart()

    def _go_on(self) -> None:
        if self._keyboard is not None:
            self._deaf_until = self._clock() + _KEY_CLICK_S
        self._find_next()
        self.prompt()

    def _find_next(self) -> None:
        counts = self._folder.counts()
        while self._ahead and counts[self._ahead[0]] >= self._plan.clips:
            self._ahead.pop(0)

    def _sentence(self) -> str:
        sentences = self._plan.sentences
        return sentences[self._folder.counts()[self._ahead[0]] % len(sentences)] if sentences else ""

    def _description(self, take: Take) -> str:
        said = f"\u201c{take.text}\u201d" if take.text else "no words understood"
        parts = [f"{take.seconds:.1f} s", *([said] if self._plan.transcribed else [])]
        if take.clipped:
            parts.append("too loud, its peaks are cut off: go further from the microphone")
        if take.ending == "longest":
            parts.append("cut here, since you made no pause")
        return ", ".join(parts)
