"""Fakes for a session without a microphone, a terminal and Vosk: frames, keys, and a display that records."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from device.errors import EdgeMcnnError
from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame
from device.recorder.clip_folder import ClipFolder
from device.recorder.take import TakeListener
from device.settings.schema import EndpointSettings

SETTINGS = EndpointSettings(
    onset_s=3 * FRAME_SECONDS,
    pre_roll_s=5 * FRAME_SECONDS,
    hang_over_s=10 * FRAME_SECONDS,
    longest_s=100 * FRAME_SECONDS,
)
LOUD = 3000


class Loudness:
    """A voice activity detector for which every loud frame is speech."""

    def probability(self, samples: NDArray[np.int16]) -> float:
        return float(samples[0] >= LOUD)

    def reset(self) -> None:
        pass


class FrameCounter:
    """A transcriber whose transcript is the number of frames."""

    def __init__(self) -> None:
        self._frames = 0

    def begin(self) -> "FrameCounter":
        return FrameCounter()

    def feed(self, samples: NDArray[np.int16]) -> None:
        assert samples.shape == (FRAME_LENGTH,)
        self._frames += 1

    def text(self) -> str:
        return f"{self._frames} frames"


class Stream:
    """Consecutive frames, with a simulated clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self._number = 0

    def frames(self, level: int, count: int) -> Iterator[Frame]:
        for _ in range(count):
            self.now += FRAME_SECONDS
            yield Frame(
                np.resize(np.array([level, -level], np.int16), FRAME_LENGTH), self._number * FRAME_SECONDS, self.now
            )
            self._number += 1


class RecordedDisplay:
    """A display that records what is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.redrawn = ""
        self.levels: list[float] = []

    def print(self, line: str, style: str = "") -> None:
        self.lines.append(line.strip())

    def print_error(self, error: EdgeMcnnError) -> None:
        self.lines.append(f"error: {error}")

    def meter(self, level_dbfs: float, remark: str) -> None:
        self.levels.append(level_dbfs)
        self.redrawn = remark

    def question(self, question: str) -> None:
        self.redrawn = question


class FakeKeyboard:
    """A keyboard on which the test presses keys."""

    def __init__(self) -> None:
        self._keys = ""

    def press(self, keys: str) -> None:
        self._keys += keys

    def pressed(self) -> str:
        keys, self._keys = self._keys, ""
        return keys


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def display() -> RecordedDisplay:
    return RecordedDisplay()


@pytest.fixture
def keyboard() -> FakeKeyboard:
    return FakeKeyboard()


@pytest.fixture
def listener() -> TakeListener:
    return TakeListener(SETTINGS, Loudness(), FrameCounter())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[ClipFolder]:
    with ClipFolder(tmp_path / "data", print) as folder:
        yield folder
