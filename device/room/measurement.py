"""What a recording of the quiet room and one of speech show: levels, clipping, offset, hum, and faulty channels.

Levels are percentiles of frames of 32 ms, not means: a door that closes during the measurement is in a few frames, and
a mean over power would consist of it. Frames are those that the daemon receives, so a level here is one that its gate
compares; faults of single channels are found in the blocks of the microphone, before they are mixed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.audio.endpoint import SpeechDetector
from device.audio.level import LOWEST_DBFS, level_dbfs
from device.audio.microphone import is_constant
from device.events import FRAME_SECONDS
from device.room.channel_faults import ChannelState, channel_states
from device.room.hum import Hum, find_hum

_LEAST_SPEECH_S = 0.5
"""Seconds of voiced frames from which on there is speech; the detector takes at most 1 % of noise for it."""
_MARGIN_FRAMES = 10
"""Frames (0.3 s) before and after a voiced one that are no noise of the room: consonants and reverberation."""
_FEWEST_QUIET_S = 1.0
"""Seconds without speech that the room needs; with less, its quietest frames stand for it."""
_FLOOR_PERCENTILE, _LOUD_PERCENTILE, _QUIETEST_PERCENTILE = 50, 95, 10
_SPEECH_PERCENTILE, _QUIET_SPEECH_PERCENTILE = 50, 25
_DETECTABLE_DBFS, _LARGEST_GAIN_DB = -25.0, 40.0
"""Level of the loud frames of speech that the detector is made for, and the highest gain towards it."""
_FULL_SCALE = 32768


@dataclass(frozen=True, eq=False)
class Recording:
    """Audio of one part of the measurement."""

    samples: NDArray[np.int16]
    """All channels as the microphone delivers them, shape (n, channels)."""
    rate: int
    """Sample rate of `samples`, Hz."""
    frames: NDArray[np.int16]
    """The same audio as the daemon processes it, shape (frames, 512), mono, 16 kHz."""


@dataclass(frozen=True)
class RoomLevels:
    """The room while no one speaks."""

    floor_dbfs: float
    """Noise floor: median level of the frames without speech, dB relative to full scale."""
    loud_dbfs: float
    """Level that 95 % of the frames without speech stay below, dB relative to full scale."""
    speech_s: float
    """Seconds in which someone spoke all the same; 0 if no one did."""


@dataclass(frozen=True)
class SpeechLevels:
    """Speech at the usual distance."""

    level_dbfs: float
    """Median level of the voiced frames, dB relative to full scale."""
    quiet_dbfs: float
    """Level that three quarters of the voiced frames exceed, dB relative to full scale."""
    seconds: float
    """Seconds of voiced frames."""


@dataclass(frozen=True)
class Measurement:
    """Everything that was measured."""

    room: RoomLevels
    """Levels of the first part."""
    speech: SpeechLevels | None
    """Levels of the second part; None if no speech was detected in it."""
    peak_dbfs: float
    """Highest sample of the second part in any channel, dB relative to full scale."""
    clipped: float
    """Share of the samples at the limits of 16 bits in the second part, 0 to 1, in the channel with the most."""
    hum: Hum | None
    """Hum of the mains in the first part; None if there is none."""
    channels: Sequence[ChannelState]
    """State of each channel of the microphone."""
    silent: bool
    """Whether all samples of each channel have the same value in both parts, as a muted microphone delivers them."""

    @property
    def signal_to_noise_db(self) -> float | None:
        """Speech level above the noise floor, dB; None without speech."""
        return None if self.speech is None else self.speech.level_dbfs - self.room.floor_dbfs


def measure(room: Recording, speech: Recording, detector: SpeechDetector, speech_probability: float) -> Measurement:
    """Measure both recordings.

    Args:
        room: the room, while no one should speak.
        speech: someone speaking at the usual distance.
        detector: rates each frame; one behind a gate would not find quiet speech.
        speech_probability: probability from which on a frame counts as voiced.
    """
    gain = _gain_for_detection(speech.frames)
    extremes = np.abs(speech.samples.astype(np.int32))
    at_limit = (speech.samples == _FULL_SCALE - 1) | (speech.samples == -_FULL_SCALE)
    return Measurement(
        _room_levels(room.frames, _voiced(room.frames * gain, detector, speech_probability)),
        _speech_levels(speech.frames, _voiced(speech.frames * gain, detector, speech_probability)),
        peak_dbfs=max(20 * math.log10(max(int(extremes.max()), 1) / _FULL_SCALE), LOWEST_DBFS),
        clipped=float(at_limit.mean(axis=0).max()),
        hum=find_hum(room.samples, room.rate),
        channels=channel_states(room.samples, speech.samples, speech.rate),
        silent=is_constant(room.samples) and is_constant(speech.samples),
    )


def _gain_for_detection(frames: NDArray[np.int16]) -> float:
    """Compute the factor that brings quiet speech to a level at which the detector recognises it; 1 if it has that.

    The daemon finds its gain in the noise, see `device.audio.quiet_microphone`. Here the speech is known to be there.
    """
    loud_dbfs = float(np.percentile([level_dbfs(frame) for frame in frames], _LOUD_PERCENTILE))
    return float(10 ** (min(max(_DETECTABLE_DBFS - loud_dbfs, 0.0), _LARGEST_GAIN_DB) / 20))


def _voiced(frames: NDArray[np.float64], detector: SpeechDetector, speech_probability: float) -> NDArray[np.bool_]:
    """Return which frames are voiced, shape (frames,)."""
    detector.reset()
    frames = np.clip(np.rint(frames), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return np.array([detector.probability(frame) >= speech_probability for frame in frames], bool)


def _room_levels(frames: NDArray[np.int16], voiced: NDArray[np.bool_]) -> RoomLevels:
    levels = np.array([level_dbfs(frame) for frame in frames])
    speech_s = float(voiced.sum()) * FRAME_SECONDS
    if speech_s < _LEAST_SPEECH_S:
        floor, loud = np.percentile(levels, [_FLOOR_PERCENTILE, _LOUD_PERCENTILE])
        return RoomLevels(float(floor), float(loud), 0.0)
    near_speech = np.convolve(voiced, np.ones(2 * _MARGIN_FRAMES + 1), "same") > 0.5
    quiet = levels[~near_speech]
    if len(quiet) * FRAME_SECONDS >= _FEWEST_QUIET_S:
        floor, loud = np.percentile(quiet, [_FLOOR_PERCENTILE, _LOUD_PERCENTILE])
    else:
        floor = loud = np.percentile(levels, _QUIETEST_PERCENTILE)
    return RoomLevels(float(floor), float(loud), speech_s)


def _speech_levels(frames: NDArray[np.int16], voiced: NDArray[np.bool_]) -> SpeechLevels | None:
    seconds = float(voiced.sum()) * FRAME_SECONDS
    if seconds < _LEAST_SPEECH_S:
        return None
    levels = np.array([level_dbfs(frame) for frame in frames[voiced]])
    level, quiet = np.percentile(levels, [_SPEECH_PERCENTILE, _QUIET_SPEECH_PERCENTILE])
    return SpeechLevels(float(level), float(quiet), seconds)
