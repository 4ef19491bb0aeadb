"""A guided session: which take is prompted for next, and whether each take is accepted or discarded.

It receives frames and keys, and writes to a display; it is independent of microphone and terminal. What becomes of
accepted takes is the matter of a `Collection`: clips in a folder, or examples of a voice.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from device.audio.level import LOWEST_DBFS, level_dbfs
from device.errors import EdgeMcnnError, RecordingError
from device.events import Frame
from device.recorder.take import Take, TakeListener
from device.system.streams.terminal_mode import ENDED

_KEY_CLICK_S = 0.3
"""Frames are ignored for this long after a key that accepts or discards, so that no take begins with its click."""


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


class Collection(Protocol):
    """Collects the accepted takes of a session.

    Implemented by `device.recorder.clip_collection.ClipCollection`, and for examples in `device.learning`.
    """

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes, in the order in which they are prompted for."""

    @property
    def question(self) -> str:
        """The keys that decide on a take."""

    @property
    def activity(self) -> str:
        """What happens while someone speaks, such as "recording"."""

    def is_complete(self, label: str) -> bool:
        """Whether no further take of a class is needed."""

    def prompt(self, label: str) -> str:
        """Return the line that prompts for the next take of a class."""

    def description(self, take: Take, label: str) -> Sequence[str]:
        """Return lines about a take that has ended."""

    def accept(self, take: Take, label: str) -> str:
        """Add a take, and return what became of it.

        Raises:
            RecordingError: it cannot be saved; it can be accepted again later.
        """


class Session:
    """Prompts for one take after the other, class by class.

    Args:
        collection: receives the accepted takes.
        listener: detects utterances in the frames.
        display: what the user sees.
        keyboard: keys of the user; None if there is no keyboard, so that every take is accepted.
        clock: seconds of the clock that gives frames their arrival times.
    """

    def __init__(
        self,
        collection: Collection,
        listener: TakeListener,
        display: Display,
        keyboard: Keys | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collection = collection
        self._listener = listener
        self._display = display
        self._keyboard = keyboard
        self._clock = clock
        self._classes = list(collection.classes)
        """The present class and those after it."""
        self._undecided: Take | None = None
        """A take that the user has not accepted or discarded yet."""
        self._ignored_until = -math.inf
        self._level = LOWEST_DBFS
        self._receiving = False
        self._skip_complete_classes()

    @property
    def finished(self) -> bool:
        """Whether all classes are complete, or the user has quit."""
        return not self._classes

    def prompt(self) -> None:
        """Print what to speak next; nothing while a take is undecided."""
        if not self.finished and self._undecided is None:
            self._display.print(self._collection.prompt(self._classes[0]), "bold")

    def tick(self) -> None:
        """Process pressed keys and draw the level; to be called often, even while no audio arrives."""
        for key in self._keyboard.pressed() if self._keyboard is not None else "":
            if not self.finished:
                self._on_key(key.lower())
        if self.finished:
            return
        if self._undecided is not None:
            self._display.question(self._collection.question)
            return
        if self._listener.speaking:
            remark = self._collection.activity
        elif not self._receiving:
            remark = "waiting for the microphone"
        else:
            remark = "speak when you are ready" if self._clock() >= self._ignored_until else "one moment"
        self._display.meter(self._level, remark)
        self._level = LOWEST_DBFS

    def process(self, frame: Frame) -> None:
        """Process the next frame of the microphone.

        Raises:
            RecordingError: a take cannot be saved, and there is no keyboard to let the user try again.
        """
        self._receiving = True
        self._level = max(self._level, level_dbfs(frame.samples))
        if self.finished or self._undecided is not None or frame.arrived_at < self._ignored_until:
            return
        take = self._listener.push(frame)
        if take is None:
            return
        self._undecided = take
        for line in self._collection.description(take, self._classes[0]):
            self._display.print(f"  {line}")
        if self._keyboard is None:
            self._accept(take)

    def microphone_lost(self) -> None:
        """Discard an utterance that was cut off because the microphone was lost."""
        if self._listener.speaking:
            self._display.print("  the microphone was lost meanwhile: the clip is discarded and prompted for again")
        self._listener.restart()
        self._receiving = False

    def stop(self) -> None:
        """End the session; accepted takes stay."""
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
                self._accept(self._undecided)
            except RecordingError as error:
                # It stays undecided: it can be saved once there is free space again.
                self._display.print_error(error)

    def _accept(self, take: Take) -> None:
        result = self._collection.accept(take, self._classes[0])
        self._undecided = None
        self._display.print(f"  {result}", "green")
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
        while self._classes and self._collection.is_complete(self._classes[0]):
            self._classes.pop(0)
