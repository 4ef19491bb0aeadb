"""The state of each channel of a microphone: dead, in opposite phase, or with an offset.

The daemon detects speech with such a microphone, too: `device.audio.channels` inverts a channel that would cancel
another one. The faults are reported because they cost level, and because other programs do not repair them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.audio.level import LOWEST_DBFS

_WINDOW_S = 0.1
"""Seconds over which the level of a channel is computed."""
_LOUD_PERCENTILE = 90
"""Percentile of these levels that stands for the speech in a channel."""
_DEAD_DB = 25.0
"""A channel that is this much below the loudest one carries no voice: between two microphones of one device there are
at most 10 dB, and an open input has the noise of its amplifier."""
_BAND_RATE = 1000
"""Samples per second on which channels are compared, as in `device.audio.channels`: the lower voice."""
_OPPOSITE = -0.9
"""Correlation with the loudest channel from which on a channel is in opposite phase, as in `device.audio.channels`."""
_FULL_SCALE = 32768


@dataclass(frozen=True)
class ChannelState:
    """One channel."""

    level_dbfs: float
    """Level of speech without the offset, dB relative to full scale."""
    offset: float
    """Constant part of the signal (DC) in the quiet room, -1 to 1, relative to full scale."""
    dead: bool
    """Whether it is constant, or far quieter than the loudest channel."""
    inverted: bool
    """Whether it is in opposite phase to the other channels; of two, the quieter one is."""


def channel_states(room: NDArray[np.int16], speech: NDArray[np.int16], rate: int) -> Sequence[ChannelState]:
    """Judge each channel.

    Args:
        room: the quiet room, shape (n, channels).
        speech: someone speaking, shape (m, channels).
        rate: sample rate of both, Hz.
    """
    offsets = np.median(room, axis=0) / _FULL_SCALE
    levels = _levels(speech, rate)
    constant = np.ptp(speech.astype(np.int32), axis=0) == 0
    loudest = int(levels.argmax())
    dead = constant | (levels < levels[loudest] - _DEAD_DB)
    inverted = ~dead & (_correlations(speech, rate, loudest) < _OPPOSITE)
    if 2 * inverted.sum() > (~dead).sum():  # the loudest one is the exception
        inverted = ~dead & ~inverted
    return [
        ChannelState(float(levels[number]), float(offsets[number]), bool(dead[number]), bool(inverted[number]))
        for number in range(len(levels))
    ]


def _levels(samples: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    """Compute the level of the louder windows of each channel, dB relative to full scale, shape (channels,)."""
    window = min(round(_WINDOW_S * rate), len(samples))
    windows = samples[: len(samples) // window * window].reshape(-1, window, samples.shape[1])
    levels = windows.std(axis=1, dtype=np.float64) / _FULL_SCALE  # without the mean, which is the offset
    loud = np.percentile(levels, _LOUD_PERCENTILE, axis=0)
    return np.asarray(20 * np.log10(np.maximum(loud, 10 ** (LOWEST_DBFS / 20))))


def _correlations(samples: NDArray[np.int16], rate: int, reference: int) -> NDArray[np.float64]:
    """Correlate each channel with one of them, in the band of the lower voice, shape (channels,); 0 without signal."""
    step = max(1, round(rate / _BAND_RATE))
    complete = len(samples) // step * step
    points = samples[:complete].reshape(-1, step, samples.shape[1]).mean(axis=1, dtype=np.float64)
    changes = np.diff(points, axis=0)  # the difference between neighbouring points removes a constant offset
    products = changes[:, reference] @ changes
    norms = np.sqrt((changes**2).sum(axis=0)) * math.sqrt(float((changes[:, reference] ** 2).sum()))
    return np.asarray(np.divide(products, norms, out=np.zeros_like(products), where=norms > 0))
