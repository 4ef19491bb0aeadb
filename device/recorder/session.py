"""A recording session: which clip is prompted for next, and whether each recorded take is saved or discarded.

It receives frames and keys, and writes to a display and a folder; it is independent of microphone and terminal.
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
from device.system.streams.terminal_mode import ENDED

_KEY_CLICK_S = 0.3
"""Frames are ignored for this long after a key that saves or discards, so that no clip begins with its click."""
_QUESTION = "Enter: save  r: record again  n: next class  q: quit"


class Keys(Protocol):
    """Keys that the user presses; implemented by `device.system.streams.terminal_mode.Keyboard`."""

    def pressed(self) -> str:
        """The keys pressed since the previous call."""


class Display(Protocol):
    """What the user sees; implemented by `device.recorder.ui.RecorderDisplay`."""

    def print(self, line: str, style: str = "") -> None:
        """Print a line that stays."""

    def print_error(self, error: EdgeMcnnError) -> None:
        """Print an error that the user can fix."""

    def meter(self, level_dbfs: float, remark: str) -> None:
        """Draw the level of the microphone and a remark."""

    def question(self, question: str) -> None:
        """Show a question until the next `meter`."""


@dataclass(frozen=True)
class RecordingPlan:
    """What the session records."""

    classes: Sequence[str]
    """Names of the classes, in the order in which they are prompted for."""
    clips: int
    """Number of clips that each class has at the end, including those that exist already."""
    speaker: str = ""
    """Name of the speaker; empty for none."""
    sentences: Sequence[str] = ()
    """Sentences to read aloud, the same ones for each class; without any, the speaker chooses the words."""
    transcribed: bool = True
    """Whether the text of a clip is Vosk's transcript; if not, it is the sentence that was read."""


class Session:
    """Prompts for one clip after the other, class by class.

    Args:
        plan: what to record.
        folder: folder in which clips are saved.
        listener: detects utterances in the frames.
        display: what the user sees.
        keyboard: keys of the user; None if there is no keyboard, so that every clip is saved.
        clock: seconds of the clock that gives frames their arrival times.
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
        self._classes = list(plan.classes)
        """The present class and those after it."""
        self._undecided: Take | None = None
        """A take that the user has not saved or discarded yet."""
        self._ignored_until = -math.inf
        self._level = LOWEST_DBFS
        self._receiving = False
        self._skip_complete_classes()

    @property
    def finished(self) -> bool:
        """Whether all clips are recorded, or the user has quit."""
        return not self._classes

    def prompt(self) -> None:
        """Print which clip is recorded next; nothing while a take is undecided."""
        if self.finished or self._undecided is not None:
            return
        label, sentence = self._classes[0], self._sentence()
        number = f"({self._folder.counts()[label] + 1} of {self._plan.clips})"
        line = f"Read, {label} {number}: \u201c{sentence}\u201d" if sentence else f"Say something {label} {number}"
        self._display.print(line, "bold")

    def tick(self) -> None:
        """Process pressed keys and draw the level; to be called often, even while no audio arrives."""
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
        elif not self._receiving:
            remark = "waiting for the microphone"
        else:
            remark = "speak when you are ready" if self._clock() >= self._ignored_until else "one moment"
        self._display.meter(self._level, remark)
        self._level = LOWEST_DBFS

    def process(self, frame: Frame) -> None:
        """Process the next frame of the microphone.

        Raises:
            RecordingError: a clip cannot be written, and there is no keyboard to let the user try again.
        """
        self._receiving = True
        self._level = max(self._level, level_dbfs(frame.samples))
        if self.finished or self._undecided is not None or frame.arrived_at < self._ignored_until:
            return
        take = self._listener.push(frame)
        if take is None:
            return
        self._undecided = take
        self._display.print(f"  {self._description(take)}")
        if self._keyboard is None:
            self._save(take)

    def microphone_lost(self) -> None:
        """Discard an utterance that was cut off because the microphone was lost."""
        if self._listener.speaking:
            self._display.print("  the microphone was lost meanwhile: the clip is discarded and prompted for again")
        self._listener.restart()
        self._receiving = False

    def stop(self) -> None:
        """End the session; saved clips stay."""
        self._discard()
        self._classes.clear()

    def _on_key(self, key: str) -> None:
        if key in ("q", ENDED):
            self.stop()
        elif key == "n":
            self._discard()
            self._classes.pop(0)
            self._continue()
        elif key == "r" and (self._undecided is not None or self._listener.speaking):
            self._discard()
            self._continue()
        elif key in ("\r", "\n") and self._undecided is not None:
            try:
                self._save(self._undecided)
            except RecordingError as error:
                # It stays undecided: it can be saved once there is free space again.
                self._display.print_error(error)

    def _save(self, take: Take) -> None:
        label = self._classes[0]
        text = take.text if self._plan.transcribed else self._sentence()
        name = self._folder.add(take.samples, label, text, self._plan.speaker)
        self._undecided = None
        self._display.print(f"  saved as {name}", "green")
        self._continue()

    def _discard(self) -> None:
        if self._undecided is not None or self._listener.speaking:
            self._display.print("  discarded", "yellow")
        self._undecided = None
        self._listener.restart()

    def _continue(self) -> None:
        if self._keyboard is not None:
            self._ignored_until = self._clock() + _KEY_CLICK_S
        self._skip_complete_classes()
        self.prompt()

    def _skip_complete_classes(self) -> None:
        counts = self._folder.counts()
        while self._classes and counts[self._classes[0]] >= self._plan.clips:
            self._classes.pop(0)

    def _sentence(self) -> str:
        sentences = self._plan.sentences
        return sentences[self._folder.counts()[self._classes[0]] % len(sentences)] if sentences else ""

    def _description(self, take: Take) -> str:
        transcript = f"\u201c{take.text}\u201d" if take.text else "no words recognised"
        parts = [f"{take.seconds:.1f} s", *([transcript] if self._plan.transcribed else [])]
        if take.clipped:
            parts.append("too loud, its peaks are cut off: move away from the microphone")
        if take.ending == "longest":
            parts.append("cut here because there was no pause")
        return ", ".join(parts)
