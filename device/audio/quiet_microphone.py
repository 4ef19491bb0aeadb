"""How much louder a very quiet microphone must be made, so that its speech passes the gate and is understood.

The capture gain of some microphones is so low that speech stays below the gate, as if nobody spoke. What is loud
distinguishes it from a quiet room: with a usual gain, a person at a normal distance is far above -40 dBFS. Until one
second of that was received, the gate follows the noise of the room, at 10 dB above it, instead of staying where the
settings have it; afterwards it stays there, as it does for some seconds after each loud moment.

What passes a lower gate is amplified by as much, because the voice detector and Vosk recognise quiet speech badly:
Kaldi adds noise of one step of 16 bits to what it receives. The spectrogram image needs no gain, since it is relative
to its loudest point. On the recorded clips of the tests, with speech at -65 dBFS and noise at -90, 76 of 91 words are
recognised in this way, and none without it.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from device.events import FRAME_SECONDS

FULL_SCALE_POWER = 32768.0**2
_ABOVE_NOISE = 10.0
"""Ratio of the power of the lowered gate to that of the noise."""
_LARGEST_GAIN = 10 ** (30 / 20)
"""At most 30 dB: below that the steps of 16 bits are too coarse."""
_NORMAL = FULL_SCALE_POWER * 10 ** (-40 / 10)
"""Power from which on a frame is loud, as speech is with a usual gain."""
_NORMAL_S = 1.0
"""Seconds of loud frames after which the microphone is not quiet."""
_SMOOTHING = math.exp(-1 / 2)
"""Weight of the power before a frame in the smoothed power after it: 64 ms of memory."""
_PART_FRAMES, _PARTS = round(4 / FRAME_SECONDS), 2
"""The noise is the quietest moment of the last parts (8 s): speech has pauses, noise has none."""


def amplified(samples: NDArray[np.int16], gain: float) -> NDArray[np.int16]:
    """Multiply samples by a factor, within the limits of 16 bits."""
    return np.asarray(np.clip(np.rint(samples * np.float32(gain)), -32768, 32767), np.int16)


class QuietMicrophone:
    """Decides the gain for one stream of frames.

    Args:
        gate: power of the default gate, in squared steps of 16 bits.
    """

    def __init__(self, gate: float) -> None:
        self._gate = gate
        self._power: float | None = None
        self._quietest = math.inf
        self._parts: deque[float] = deque(maxlen=_PARTS)
        self._frames = 0
        self._loud_frames = 0
        self.gain = 1.0
        """Factor of the samples, at least 1, before they are compared with the gate."""

    def follow(self, power: float) -> None:
        """Take the next frame into account.

        Args:
            power: its mean square, in squared steps of 16 bits.
        """
        if self._loud_frames * FRAME_SECONDS >= _NORMAL_S:
            return
        if power == 0 and self._power is None:
            return  # a microphone that starts: taken for the noise of the room, zeros would open the gate for 8 s
        self._power = power if self._power is None else power + (self._power - power) * _SMOOTHING
        self._quietest = min(self._quietest, self._power)
        self._frames += 1
        if self._frames % _PART_FRAMES == 0:
            self._parts.append(self._quietest)
            self._quietest = math.inf
            noise = max(min(self._parts), 1e-9)  # zeros, where a microphone suppresses all noise
            self.gain = min(max(math.sqrt(self._gate / (noise * _ABOVE_NOISE)), 1.0), _LARGEST_GAIN)
        if power >= _NORMAL:
            self._loud_frames += 1
            self.gain = 1.0  # at once, so that the first sentence into a usual microphone is not distorted
