"""Speech, synthetic audio with known levels, and measurements made of plain values."""

import math
from collections.abc import Sequence

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.audio.framer import Framer
from device.room.channel_faults import ChannelState
from device.room.hum import Hum
from device.room.measurement import Measurement, Recording, RoomLevels, SpeechLevels
from tests.conftest import CLIPS

RATE = 16_000


def recorded_speech() -> NDArray[np.float64]:
    """A sentence, shape (n,), 16 kHz, full scale 1; its voiced frames are at -28 dBFS."""
    samples, _ = soundfile.read(CLIPS / "austen-0880.flac")
    return np.asarray(samples)


def noise(dbfs: float, seconds: float, *, rate: int = RATE, seed: int = 0) -> NDArray[np.float64]:
    """White noise of a known RMS level, shape (n,), full scale 1."""
    return np.random.default_rng(seed).normal(0, 10 ** (dbfs / 20), round(rate * seconds))


def tone(frequency: float, dbfs: float, seconds: float, *, rate: int = RATE) -> NDArray[np.float64]:
    """A sine of a known RMS level, shape (n,), full scale 1."""
    times = np.arange(round(rate * seconds)) / rate
    return np.asarray(10 ** (dbfs / 20) * math.sqrt(2) * np.sin(2 * np.pi * frequency * times))


def int16(*channels: NDArray[np.float64]) -> NDArray[np.int16]:
    """Samples of these channels, shape (n, channels), clipped at full scale."""
    return np.asarray(np.clip(np.rint(np.stack(channels, axis=1) * 32768), -32768, 32767), np.int16)


def recording(*channels: NDArray[np.float64], rate: int = RATE) -> Recording:
    samples = int16(*channels)
    frames = [frame.samples for frame in Framer(rate).push(samples, last=True)]
    return Recording(samples, rate, np.stack(frames))


def measured(
    *,
    floor: float = -60.0,
    loud: float = -57.0,
    speech: float | None = -30.0,
    quiet: float = -35.0,
    peak: float = -12.0,
    clipped: float = 0.0,
    room_speech_s: float = 0.0,
    hum: Hum | None = None,
    channels: Sequence[ChannelState] = (ChannelState(-28.0, 0.01, dead=False, inverted=False),),
    silent: bool = False,
) -> Measurement:
    """A measurement of a good microphone, but for what the test changes."""
    levels = None if speech is None else SpeechLevels(speech, quiet, 8.0)
    return Measurement(RoomLevels(floor, loud, room_speech_s), levels, peak, clipped, hum, channels, silent)
