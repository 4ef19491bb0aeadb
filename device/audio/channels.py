"""The one rule by which several channels become one: for microphones, for recordings, and for training.

The result is the average of the channels, because one side of a stereo microphone may carry no signal. A balanced
microphone that is wired as stereo, and some USB interfaces, deliver the voice on one channel in opposite phase, and the
average would cancel it. Such a channel is inverted first.

Whether channels cancel is decided on windows of 16 ms from the audio up to the end of the window, and holds from the
next window on. No sample is delayed, and the result is the same however a stream is cut into blocks: a microphone, a
recording of it and a clip in training give the same samples.

A decision is stable. It needs a correlation below -0.9 over at least 64 ms to invert a channel, or below -0.99 over one
window; above 0.5 to restore it; and a mix with at least twice the power. Earlier audio counts with a memory of 3 s and
in proportion to its power, and windows that are quieter than speech count nothing, so that pauses change nothing. A new
mix is faded in over 4 ms.

For two channels this costs about 0.1 ms per block of 128 ms on a laptop, beside the average itself.
"""

import math

import numpy as np
from numpy.typing import NDArray

_BAND_RATE = 1000
"""Samples per second on which channels are compared, after averaging: the lower voice, of 100 to 500 Hz.

There the distance between two microphones of one device changes the phase little.
"""
_WINDOW_POINTS = 16
_FADE = 0.25
"""Share of a window over which a new mix is faded in."""
_MEMORY_S = 3.0
"""Seconds after which a window counts 1/e times as much."""
_FEWEST_WINDOWS = 4
"""Windows that must have counted before a correlation that is not extreme changes anything."""
_FLOOR = 10 ** (-60 / 10)
"""Power below which a window counts nothing, relative to full scale: the default of `gate_dbfs`."""
_OPPOSITE, _IN_PHASE = -0.9, 0.5
"""Correlations of two channels from which on they count as opposite, and as in phase again.

A voice that reaches one microphone up to 20 ms later than the other stays above -0.8 over 64 ms.
"""
_EXACTLY_OPPOSITE = -0.99
"""Correlation that needs one window only, so that a clip that begins with a word loses little of it."""
_SMALLEST_GAIN = 2.0
"""How many times the power of the mix a change must bring."""
_MOST_CHANNELS = 32
"""With more channels the result is their average: comparing all pairs would take longer than decoding them."""

Samples = NDArray[np.int16] | NDArray[np.float32]


class ChannelMixer:
    """Mixes the channels of one stream.

    Args:
        rate: sample rate of the stream, Hz.
    """

    def __init__(self, rate: int) -> None:
        self._step = max(1, round(rate / _BAND_RATE))
        self._window = self._step * _WINDOW_POINTS
        self._decay = math.exp(-self._window / rate / _MEMORY_S)
        self._pending: Samples = np.zeros((0, 1), np.float32)
        """Samples of the present window."""
        self._restart(1)

    @property
    def cancelling(self) -> bool:
        """Whether channels cancel each other at the moment, so that at least one is inverted."""
        return bool((self._signs < 0).any())

    def mix(self, block: Samples) -> NDArray[np.float32]:
        """Mix the next block of the stream.

        Args:
            block: shape (n, channels), int16, or float32 with a full scale of 1; finite values.

        Returns:
            Shape (n,), on the scale of `block`.
        """
        channels = block.shape[1]
        if channels == 1 or channels > _MOST_CHANNELS or not len(block):
            return _average(block)
        if channels != len(self._signs):
            self._restart(channels)
        offset = len(self._pending)
        samples = np.concatenate([self._pending, block]) if offset else block
        complete = len(samples) // self._window
        changed = self._update(samples[: complete * self._window])
        self._pending = samples[complete * self._window :].copy()
        if not changed and self._previous is self._signs and not self.cancelling:
            return _average(block)
        return self._mix_windows(samples, changed)[offset:]

    def _restart(self, channels: int) -> None:
        self._signs: NDArray[np.float32] = np.ones(channels, np.float32)
        self._previous = self._signs
        """Signs of the window before the present one, from which it is faded."""
        self._covariance = np.zeros((channels, channels))
        self._windows = 0
        self._pending = np.zeros((0, channels), np.float32)

    def _update(self, samples: Samples) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Decide after each complete window.

        Returns:
            Previous and present signs of each window in `samples`, and of the one that follows; empty if the signs
            change in none of them.
        """
        pairs = [(self._previous, self._signs)]
        for covariance in self._covariances(samples):
            self._previous = self._signs
            if _FLOOR * len(covariance) <= float(covariance.trace()) < math.inf:
                self._covariance = self._covariance * self._decay + covariance
                self._windows += 1
                self._signs = self._decide()
            pairs.append((self._previous, self._signs))
        return pairs if any(previous is not present for previous, present in pairs) else []

    def _covariances(self, samples: Samples) -> NDArray[np.float32]:
        """Covariance of the channels in each window, shape (windows, channels, channels), full scale 1.

        The difference between neighbouring points removes a constant offset, which is no sound.
        """
        channels = samples.shape[1]
        full_scale = 32768 if samples.dtype == np.int16 else 1
        averaging = np.tile(np.eye(channels, dtype=np.float32), (self._step, 1)) / np.float32(self._step * full_scale)
        with np.errstate(over="ignore", invalid="ignore"):  # a recording of floating-point numbers may hold any number
            points = np.asarray(samples, np.float32).reshape(-1, self._step * channels) @ averaging
            changes = np.diff(points.reshape(-1, _WINDOW_POINTS, channels), axis=1)
            return np.asarray(changes.transpose(0, 2, 1) @ changes / np.float32(_WINDOW_POINTS))

    def _decide(self) -> NDArray[np.float32]:
        """Return the signs of the channels for the next window: the present ones, unless others are clearly better."""
        now, covariance = self._signs, self._covariance
        amplitudes = np.sqrt(covariance.diagonal())
        power = float(now @ covariance @ now)
        if float(amplitudes.sum()) ** 2 < _SMALLEST_GAIN * power:
            return now  # no signs at all could gain enough
        opposite = _OPPOSITE if self._windows >= _FEWEST_WINDOWS else _EXACTLY_OPPOSITE
        signs = _best_signs(covariance, amplitudes, now, opposite)
        better = float(signs @ covariance @ signs) >= _SMALLEST_GAIN * power
        return signs if better and not np.array_equal(signs, now) else now

    def _mix_windows(
        self, samples: Samples, changed: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
    ) -> NDArray[np.float32]:
        mixed = np.empty(len(samples), np.float32)
        for number, start in enumerate(range(0, len(samples), self._window)):
            previous, signs = changed[number] if changed else (self._previous, self._signs)
            window = samples[start : start + self._window]
            mixed[start : start + self._window] = self._faded(window, previous, signs)
        return mixed

    def _faded(self, window: Samples, previous: NDArray[np.float32], signs: NDArray[np.float32]) -> NDArray[np.float32]:
        mixed = _signed_average(window, signs)
        if previous is signs:
            return mixed
        share = np.minimum(np.arange(len(window), dtype=np.float32) / np.float32(_FADE * self._window), 1)
        return np.asarray((1 - share) * _signed_average(window, previous) + share * mixed, np.float32)


def _average(samples: Samples) -> NDArray[np.float32]:
    return np.asarray(samples.mean(axis=1, dtype=np.float32))


def _signed_average(samples: Samples, signs: NDArray[np.float32]) -> NDArray[np.float32]:
    if (signs > 0).all():
        return _average(samples)
    return _average(np.multiply(samples, signs, dtype=np.float32))


def _best_signs(
    covariance: NDArray[np.float64], amplitudes: NDArray[np.float64], now: NDArray[np.float32], opposite: float
) -> NDArray[np.float32]:
    """Give each channel the sign with which it adds to the louder channel that it correlates with most."""
    order = np.argsort(-amplitudes, kind="stable")
    signs: NDArray[np.float32] = now * now[order[0]]
    for place in range(1, len(order)):
        channel, louder = order[place], order[:place]
        if amplitudes[channel] == 0:
            continue
        correlations = covariance[channel, louder] / (amplitudes[channel] * amplitudes[louder])
        strongest = int(np.abs(correlations).argmax())
        if correlations[strongest] < opposite:
            signs[channel] = -signs[louder[strongest]]
        elif correlations[strongest] > _IN_PHASE:
            signs[channel] = signs[louder[strongest]]
    return signs
