"""A session without a microphone, a terminal or Vosk: frames of the test, keys of the test, and what is shown."""

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
    """A detector that takes all that is loud for speech."""

    def probability(self, samples: NDArray[np.int16]) -> float:
        return float(samples[0] >= LOUD)

    def reset(self) -> None:
        pass


class CountedWords:
    """Hears as many frames as it is fed."""

    def __init__(self) -> None:
        self._frames = 0

    def begin(self) -> "CountedWords":
        return CountedWords()

    def feed(self, samples: NDArray[np.int16]) -> None:
        assert samples.shape == (FRAME_LENGTH,)
        self._frames += 1

    def text(self) -> str:
        return f"{self._frames} frames"


class Stream:
    """Frames one after the other, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 100.0
        self._number = 0

    def frames(self, level: int, count: int) -> Iterator[Frame]:
        for _ in range(count):
            self.now += FRAME_SECONDS
            yield Frame(np.full(FRAME_LENGTH, level, np.int16), self._number * FRAME_SECONDS, self.now)
            self._number += 1


class Shown:
    """A display that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.moving = ""
        self.levels: list[float] = []

    def print(self, line: str, style: str = "") -> None:
        self.lines.append(line.strip())

    def print_error(self, error: EdgeMcnnError) -> None:
        self.lines.append(f"error: {error}")

    def meter(self, level_dbfs: float, remark: str) -> None:
        self.levels.append(level_dbfs)
        self.moving = remark

    def question(self, question: str) -> None:
        self.moving = question


class Typed:
    """A keyboard on which the test types."""

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
def shown() -> Shown:
    return Shown()


@pytest.fixture
def typed() -> Typed:
    return Typed()


@pytest.fixture
def listener() -> TakeListener:
    return TakeListener(SETTINGS, Loudness(), CountedWords())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[ClipFolder]:
    with ClipFolder(tmp_path / "data", print) as folder:
        yield folder
