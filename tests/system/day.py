"""A day of sound pushed through the stages as fast as they go, on a clock of its own, against the script of it.

    python -m tests.system.day [HOURS]

People say the recorded sentences now and then; between them are silence and the noise of a fan; now and then the
microphone is lost. What is answered must be what was said, each sentence once, and memory must not grow.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.audio.liveness import LivenessMachine, State
from device.audio.microphone import Block, MicrophoneInfo
from device.audio.reconnecting import ReconnectingMicrophone
from device.errors import AudioError
from device.events import FRAME_LENGTH, FRAME_SECONDS, SAMPLE_RATE
from device.loading import LoadedModels
from device.settings.schema import Settings
from tests.conftest import CLIPS

_HOUR_S = 3600.0
_SENTENCES_PER_HOUR = 40
_LOSSES_PER_HOUR = 5
_ROOM_DBFS, _FAN_DBFS = -75.0, -45.0
_FAN_SHARE = 0.1
"""Of the pauses."""


@dataclass(frozen=True)
class Said:
    """A sentence in the script."""

    clip: str
    start_s: float
    """On the clock of the day."""
    end_s: float


@dataclass
class Day:
    """What was played, and what came of it."""

    script: list[Said] = field(default_factory=list)
    heard: list[tuple[float, float, str]] = field(default_factory=list)
    """Of each answer, when its utterance began and ended on the clock of the day, and its words."""
    lost: list[Said] = field(default_factory=list)
    """Said, and not answered by exactly one utterance."""
    invented: list[tuple[float, float, str]] = field(default_factory=list)
    """Answered, and not said."""
    losses: int = 0
    memory_mb: list[float] = field(default_factory=list)
    """After each hour; the first figure is after the first."""
    took_s: float = 0.0

    @property
    def growth(self) -> float:
        """Of memory after the first hour, as a share of what it was then."""
        return self.memory_mb[-1] / self.memory_mb[0] - 1


class Room:
    """What the microphone delivers, block by block; the clock goes on with each."""

    def __init__(self, hours: float, day: Day) -> None:
        self.now = 0.0
        self._day = day
        self._end_s = hours * _HOUR_S
        self._random = np.random.default_rng(1)
        self._noise = self._random.standard_normal(SAMPLE_RATE * 20).astype(np.float32)
        self._clips = {}
        for path in sorted(CLIPS.glob("*.flac")):
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            if rate == SAMPLE_RATE:
                self._clips[path.name] = samples[:, 0]
        self._blocks = self._play()
        self.over = False
        self.opened = 0

    def clock(self) -> float:
        return self.now

    def open(self, _name: str) -> "Room":
        """As `Microphone` is opened; each third time it cannot be."""
        self.opened += 1
        if self.opened % 3 == 2:
            self.now += 1
            raise AudioError("the room has no microphone just now")
        self._plugged = True
        return self

    info = MicrophoneInfo(0, "room", SAMPLE_RATE, 1, is_default=True)
    rate = SAMPLE_RATE
    dropped_blocks = 0
    blocks_at_once = 1

    @property
    def ended(self) -> bool:
        return not self._plugged

    def close(self) -> None:
        self.now += 0.5

    def block(self, _limit_s: float) -> Block | None:
        try:
            samples = next(self._blocks)
        except StopIteration:
            self.over = True
            return None
        if samples is None:
            self._plugged = False
            self._day.losses += 1
            return None
        self.now += FRAME_SECONDS
        return Block(np.rint(samples * 32767).astype(np.int16)[:, None], self.now, zero=False)

    def wake(self) -> None:
        """The clock of the day does not wait."""

    def _play(self) -> Iterator[NDArray[np.float32] | None]:
        """Blocks of the room; None where the microphone is lost."""
        names = list(self._clips)
        pause_s = _HOUR_S / _SENTENCES_PER_HOUR
        sentences = 0
        while self.now < self._end_s:
            yield from self._noises(self._random.uniform(0.3, 1.7) * pause_s - 5)
            if self.now >= self._end_s - 30:
                break
            name = names[sentences % len(names)]
            sentences += 1
            start_s = self.now
            yield from self._sound(self._clips[name], _ROOM_DBFS)
            self._day.script.append(Said(name, start_s, self.now))
            yield from self._noises(3)  # an utterance needs a pause to end
            if sentences % (_SENTENCES_PER_HOUR // _LOSSES_PER_HOUR) == 0:
                yield None
        yield from self._noises(5)

    def _noises(self, seconds: float) -> Iterator[NDArray[np.float32]]:
        level = _FAN_DBFS if self._random.random() < _FAN_SHARE else _ROOM_DBFS
        yield from self._sound(np.zeros(max(0, round(seconds * SAMPLE_RATE)), np.float32), level)

    def _sound(self, samples: NDArray[np.float32], noise_dbfs: float) -> Iterator[NDArray[np.float32]]:
        level = np.float32(10 ** (noise_dbfs / 20))
        for start in range(0, len(samples), FRAME_LENGTH):
            block = samples[start : start + FRAME_LENGTH]
            block = np.pad(block, (0, FRAME_LENGTH - len(block)))
            at = int(self._random.integers(len(self._noise) - FRAME_LENGTH))
            yield block + level * self._noise[at : at + FRAME_LENGTH]


def simulate(models: LoadedModels, hours: float) -> Day:
    """Live through some hours."""
    day = Day()
    room = Room(hours, day)
    settings = models.settings.liveness
    liveness = LivenessMachine(settings, room.clock)

    def turn() -> None:
        if room.over:
            microphone.stop()
        if room.now > (len(day.memory_mb) + 1) * _HOUR_S:
            day.memory_mb.append(_memory_mb())
        if liveness.now.state in (State.LOST, State.RECOVERING) and not liveness.now.microphone:
            room.now += 0.1  # what it waits between two attempts

    microphone = ReconnectingMicrophone(
        "room", liveness, settings.stuck_limit_s, turn=turn, open_microphone=room.open, refresh=lambda: None,
        wait=lambda _seconds: None,
    )  # fmt: skip
    began = time.monotonic()
    for frames in microphone.streams():
        opened_s = room.now
        for prediction in models.pipeline().predictions(frames):
            utterance = prediction.utterance
            day.heard.append((opened_s + utterance.start_s, opened_s + utterance.end_s, prediction.text))
    day.took_s = time.monotonic() - began
    day.memory_mb.append(_memory_mb())
    _compare(day)
    return day


def _compare(day: Day) -> None:
    unexplained = list(day.heard)
    for said in day.script:
        answers = [heard for heard in unexplained if heard[0] < said.end_s and heard[1] > said.start_s]
        if len(answers) != 1:
            day.lost.append(said)
        for answer in answers:
            unexplained.remove(answer)
    day.invented = unexplained


def _memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _main(hours: float) -> None:
    day = simulate(LoadedModels.load(Settings(), print), hours)
    print(f"{hours:g} h in {day.took_s:.0f} s: {len(day.script)} sentences, {len(day.heard)} answers")
    print(f"lost or doubled: {day.lost}, invented: {day.invented}; the microphone was lost {day.losses} times")
    print(f"memory after each hour, MB: {' '.join(f'{each:.1f}' for each in day.memory_mb)}; growth {day.growth:.1%}")


if __name__ == "__main__":
    _main(float(sys.argv[1]) if len(sys.argv) > 1 else 24)
