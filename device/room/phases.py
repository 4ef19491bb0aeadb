"""The two parts of a measurement: the quiet room, then speech; each collects audio for a fixed time.

It receives blocks, frames and ticks, and writes to a display; `device.recorder.recorder` connects it to a microphone.
"""

import numpy as np
from numpy.typing import NDArray

from device.audio.level import LOWEST_DBFS, level_dbfs
from device.audio.microphone import Block
from device.audio.reconnecting import OpenMicrophone
from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame
from device.recorder.session import Display
from device.room.measurement import Recording

SETTLE_S = 0.5
"""Seconds at the start of each part that are not measured: the click of the key that started the command, the click of
a microphone that was just opened, and the time to begin to speak."""
TEXT_TO_READ = (
    "The kettle is on, and the water will boil soon. My neighbour keeps three brown hens behind the garden shed. "
    "Please bring a thick jacket, because the wind is strong. Yesterday we watched two ships leave the harbour."
)
"""A text for those who have none: about ten seconds, with loud and quiet sounds of English."""


class Phases:
    """Collects the audio of the two parts, one after the other, in memory only.

    Args:
        seconds: length of each part.
        display: what the user sees.
    """

    def __init__(self, seconds: float, display: Display) -> None:
        self._seconds = seconds
        self._display = display
        self._recordings: list[Recording] = []
        self._level = LOWEST_DBFS
        self._receiving = False
        self.microphone = ""
        """Name of the microphone, as PortAudio lists it; empty before the first block."""
        self.lost = False
        """Whether the microphone was lost before both parts were complete."""
        self.stopped = False
        """Whether a signal ended the measurement."""
        self._begin()

    @property
    def finished(self) -> bool:
        """Whether both parts are complete, or the measurement has ended without them."""
        return len(self._recordings) == 2 or self.lost or self.stopped

    @property
    def room(self) -> Recording:
        """Audio of the first part."""
        return self._recordings[0]

    @property
    def speech(self) -> Recording:
        """Audio of the second part."""
        return self._recordings[1]

    def prompt(self) -> None:
        """Print what to do in the present part."""
        if self.finished:
            return
        if not self._recordings:
            self._display.print(f"1. Be quiet: the room is measured for {self._seconds:g} s.", "bold")
        else:
            reading = f"if you like, read: \u201c{TEXT_TO_READ}\u201d"
            self._display.print(f"2. Now speak at your usual distance for {self._seconds:g} s; {reading}", "bold")

    def tick(self) -> None:
        """Draw the level and the remaining time."""
        if self.finished or not self._receiving:
            return
        left_s = max(self._seconds - max(self._measured_s, 0), 0)
        activity = "speak" if self._recordings else "be quiet"
        self._display.meter(self._level, f"{activity}, {left_s:.0f} s left")
        self._level = LOWEST_DBFS

    def receive(self, microphone: OpenMicrophone, block: Block) -> None:
        """Add a block of the microphone, before the frames that it completes."""
        self.microphone, self._rate = microphone.info.name, microphone.rate
        if not self.finished and self._measured_s >= 0:
            self._blocks.append(block.samples)

    def process(self, frame: Frame) -> None:
        """Add the next frame."""
        self._receiving = True
        self._level = max(self._level, level_dbfs(frame.samples))
        if self.finished:
            return
        if self._measured_s >= 0:
            self._frames.append(frame.samples)
        self._measured_s += FRAME_SECONDS
        if self._measured_s >= self._seconds - FRAME_SECONDS / 2:
            self._recordings.append(Recording(_joined(self._blocks), self._rate, np.stack(self._frames)))
            self._begin()
            self.prompt()

    def microphone_lost(self) -> None:
        """End the measurement: a part with a gap in it is not one room and one voice."""
        self.lost = self.lost or not self.finished

    def stop(self) -> None:
        """End the measurement without a result."""
        self.stopped = self.stopped or not self.finished

    def _begin(self) -> None:
        self._blocks: list[NDArray[np.int16]] = []
        self._frames: list[NDArray[np.int16]] = []
        self._rate = 0
        self._measured_s = -SETTLE_S


def _joined(blocks: list[NDArray[np.int16]]) -> NDArray[np.int16]:
    return np.concatenate(blocks) if blocks else np.zeros((FRAME_LENGTH, 1), np.int16)
