"""Processes a day of audio as fast as possible, on a simulated clock, and compares the predictions with the script.

    python -m tests.system.day [HOURS]

From time to time somebody says a recorded sentence; between the sentences there is silence or the noise of a fan, and
sometimes the microphone is lost. Each sentence must get exactly one prediction, and memory must not grow.
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
"""Share of the pauses with the noise of a fan."""


@dataclass(frozen=True)
class SpokenSentence:
    """A sentence in the script."""

    clip: str
    """File name of the recording."""
    start_s: float
    """Start on the simulated clock, seconds."""
    end_s: float
    """End on the simulated clock, seconds."""


@dataclass
class Day:
    """What was played, and the results."""

    script: list[SpokenSentence] = field(default_factory=list)
    """The sentences that were spoken."""
    predicted: list[tuple[float, float, str]] = field(default_factory=list)
    """For each prediction, start and end of its utterance on the simulated clock, seconds, and its text."""
    missed: list[SpokenSentence] = field(default_factory=list)
    """Sentences without exactly one prediction."""
    spurious: list[tuple[float, float, str]] = field(default_factory=list)
    """Predictions without a spoken sentence."""
    losses: int = 0
    """How often the microphone was lost."""
    memory_mb: list[float] = field(default_factory=list)
    """Memory after each hour, MB; the first value is after the first hour."""
    took_s: float = 0.0
    """Real duration of the simulation, seconds."""

    @property
    def growth(self) -> float:
        """Growth of memory since the end of the first hour, as a share of the memory then."""
        return self.memory_mb[-1] / self.memory_mb[0] - 1


class SimulatedRoom:
    """Delivers the audio of the microphone block by block; each block advances the clock."""

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

    def open(self, _name: str) -> "SimulatedRoom":
        """Open the microphone, like `Microphone`; fails every third time."""
        self.opened += 1
        if self.opened % 3 == 2:
            self.now += 1
            raise AudioError("the room has no microphone at the moment")
        self._plugged = True
        return self

    info = MicrophoneInfo(0, "room", SAMPLE_RATE, 1, is_default=True)
    rate = SAMPLE_RATE
    dropped_blocks = 0
    batch_size = 1

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
        return Block(np.rint(samples * 32767).astype(np.int16)[:, None], self.now, constant=False)

    def wake(self) -> None:
        """Do nothing: on the simulated clock `block` never waits."""

    def _play(self) -> Iterator[NDArray[np.float32] | None]:
        """Yield the blocks of the day, and None when the microphone is lost."""
        names = list(self._clips)
        pause_s = _HOUR_S / _SENTENCES_PER_HOUR
        sentences = 0
        while self.now < self._end_s:
            yield from self._pause(self._random.uniform(0.3, 1.7) * pause_s - 5)
            if self.now >= self._end_s - 30:
                break
            name = names[sentences % len(names)]
            sentences += 1
            start_s = self.now
            yield from self._in_noise(self._clips[name], _ROOM_DBFS)
            self._day.script.append(SpokenSentence(name, start_s, self.now))
            yield from self._pause(3)  # an utterance needs a pause to end
            if sentences % (_SENTENCES_PER_HOUR // _LOSSES_PER_HOUR) == 0:
                yield None
        yield from self._pause(5)

    def _pause(self, seconds: float) -> Iterator[NDArray[np.float32]]:
        level = _FAN_DBFS if self._random.random() < _FAN_SHARE else _ROOM_DBFS
        yield from self._in_noise(np.zeros(max(0, round(seconds * SAMPLE_RATE)), np.float32), level)

    def _in_noise(self, samples: NDArray[np.float32], noise_dbfs: float) -> Iterator[NDArray[np.float32]]:
        level = np.float32(10 ** (noise_dbfs / 20))
        for start in range(0, len(samples), FRAME_LENGTH):
            block = samples[start : start + FRAME_LENGTH]
            block = np.pad(block, (0, FRAME_LENGTH - len(block)))
            offset = int(self._random.integers(len(self._noise) - FRAME_LENGTH))
            yield block + level * self._noise[offset : offset + FRAME_LENGTH]


def simulate(models: LoadedModels, hours: float) -> Day:
    """Simulate some hours."""
    day = Day()
    room = SimulatedRoom(hours, day)
    settings = models.settings.liveness
    liveness = LivenessMachine(settings, room.clock)

    def tick() -> None:
        if room.over:
            microphone.stop()
        if room.now > (len(day.memory_mb) + 1) * _HOUR_S:
            day.memory_mb.append(_memory_mb())
        if liveness.now.state in (State.LOST, State.RECOVERING) and not liveness.now.microphone:
            room.now += 0.1  # the wait between two attempts

    microphone = ReconnectingMicrophone(
        "room", liveness, settings.stuck_limit_s, tick=tick, open_microphone=room.open, refresh=lambda: None,
        wait=lambda _seconds: None,
    )  # fmt: skip
    started = time.monotonic()
    for frames in microphone.streams():
        opened_s = room.now
        for prediction in models.pipeline().predictions(frames):
            utterance = prediction.utterance
            day.predicted.append((opened_s + utterance.start_s, opened_s + utterance.end_s, prediction.text))
    day.took_s = time.monotonic() - started
    day.memory_mb.append(_memory_mb())
    _compare(day)
    return day


def _compare(day: Day) -> None:
    unmatched = list(day.predicted)
    for sentence in day.script:
        matching = [each for each in unmatched if each[0] < sentence.end_s and each[1] > sentence.start_s]
        if len(matching) != 1:
            day.missed.append(sentence)
        for each in matching:
            unmatched.remove(each)
    day.spurious = unmatched


def _memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _main(hours: float) -> None:
    day = simulate(LoadedModels.load(Settings(), print), hours)
    print(f"{hours:g} h in {day.took_s:.0f} s: {len(day.script)} sentences, {len(day.predicted)} predictions")
    print(f"missed or doubled: {day.missed}, spurious: {day.spurious}; the microphone was lost {day.losses} times")
    print(f"memory after each hour, MB: {' '.join(f'{each:.1f}' for each in day.memory_mb)}; growth {day.growth:.1%}")


if __name__ == "__main__":
    _main(float(sys.argv[1]) if len(sys.argv) > 1 else 24)
