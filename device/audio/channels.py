"""The one rule by which several channels become one: for microphones, for recordings, and for training.

The result is the average of the channels, because one side of a stereo microphone may carry no signal. A balanced
microphone that is wired as stereo, and some USB interfaces, deliver the voice on one channel in opposite phase, and the
average would cancel it. Such a channel is inverted first.

A microphone array has more than two channels, of which most may carry noise or nothing, and which the voice reaches at
different times, so that their average loses what one of them has. Of a microphone with more than two channels the
loudest is used: the one with the highest level of speech. A recording with more channels may be a film, whose channels
belong together, so it is averaged.

What is decided, is decided on windows of 16 ms from the audio up to the end of the window, and holds from the next
window on. No sample is delayed, and the result is the same however a stream is cut into blocks: a microphone, a
recording of it and a clip in training give the same samples. A new mix is faded in over 4 ms. Before all that a
constant offset of a channel is removed, see `device.audio.offset`.

Which channels cancel: a decision needs a correlation below -0.9 over at least 64 ms to invert a channel, or below -0.99
over one window; above 0.5 to restore it; and a mix with at least twice the power. Earlier audio counts with a memory of
3 s and in proportion to its power, and windows that are quieter than speech count nothing, so that pauses change
nothing.

Which channel is the loudest: speech comes and goes, and a channel counts by what it has above its own quietest moment
of the last 2 to 4 s, so that hum and noise count nothing, with the same memory. Before 64 ms of speech have come, the
channels are averaged. Within speech only a channel that is 12 dB louder replaces the present one, which a person who
moves does not cause; after a pause of 0.7 s, which ends an utterance, 3 dB are enough.

For two to eight channels all this costs 0.1 to 0.3 ms per block of 128 ms, 0.2 % of a core of a laptop.
"""

import math
from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from device.audio.offset import OffsetRemover, Samples

Mix = Literal["in phase", "auto", "loudest", "mean"]
"""How channels become one: the average after inverting what cancels; that for up to two channels, and the loudest of
more; the loudest; the plain average."""

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
_MOST_AVERAGED = 2
"""Channels of a microphone that are averaged by default; with more it is an array."""
_MOST_CHANNELS = 32
"""With more channels the result is their average: comparing all pairs would take longer than decoding them."""

_QUIETEST_WINDOWS = 125
"""Windows (2 s) of which the quietest is remembered, together with that of as many before."""
_SMOOTHING = math.exp(-1 / 4)
"""Weight of the power before a window in the power after it: 64 ms of memory."""
_ABOVE_QUIETEST = 4.0
"""How many times the power of its quietest moment a channel must have to carry speech."""
_SILENCE = 10 ** (-80 / 10)
"""Power that is no speech at any gain, relative to full scale."""
_PAUSE_WINDOWS = 44
"""Windows (0.7 s) without speech after which the channel may change: by default the utterance is over then."""
_LOUDER, _MUCH_LOUDER = 2.0, 16.0
"""How many times the power of the present channel another needs to replace it in a pause, and within speech."""


def mix_of(channels: str | tuple[int, ...]) -> Mix:
    """Return how the channels of a microphone become one.

    Args:
        channels: `channels` under `[microphone]`; of numbers, the microphone delivers these channels and no others.
    """
    return "loudest" if channels == "loudest" else "auto" if channels == "auto" else "mean"


class _Rule(Protocol):
    """Decides how much of each channel is in the mix."""

    weights: NDArray[np.float32]
    """Shape (channels,): 1 or -1 for a channel of the average, 0 for one that is left out; replaced, never changed."""

    def after(self, changes: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the weights after each window.

        Args:
            changes: differences between neighbouring points of the windows, shape (windows, points, channels).
        """


class ChannelMixer:
    """Mixes the channels of one stream.

    Args:
        rate: sample rate of the stream, Hz.
        mix: how the channels become one.
    """

    def __init__(self, rate: int, mix: Mix = "in phase") -> None:
        self._mix: Mix = mix
        self._step = max(1, round(rate / _BAND_RATE))
        self._window = self._step * _WINDOW_POINTS
        self._decay = math.exp(-self._window / rate / _MEMORY_S)
        self._pending: Samples = np.zeros((0, 1), np.float32)
        """Samples of the present window."""
        self._offset = OffsetRemover(rate)
        self._restart(1)

    @property
    def cancelling(self) -> bool:
        """Whether channels cancel each other at the moment, so that at least one is inverted."""
        return bool((self._weights < 0).any())

    def mix(self, block: Samples) -> NDArray[np.float32]:
        """Mix the next block of the stream.

        Args:
            block: shape (n, channels), int16, or float32 with a full scale of 1; finite values.

        Returns:
            Shape (n,), on the scale of `block`.
        """
        full_scale = 32768 if block.dtype == np.int16 else 1
        without_offset = self._offset.remove(block, full_scale)
        channels = block.shape[1]
        if channels == 1 or channels > _MOST_CHANNELS or self._mix == "mean" or not len(block):
            return _average(without_offset)
        if channels != len(self._weights):
            self._restart(channels)
        offset = len(self._pending)
        # Decided on the audio as it came: where an offset is faded out, it would look like sound.
        samples = np.concatenate([self._pending, block]) if offset else block
        complete = len(samples) // self._window
        changed = self._update(samples[: complete * self._window], full_scale)
        self._pending = samples[complete * self._window :].copy()
        if not changed and self._previous is self._weights:
            return _weighted_average(without_offset, self._weights)
        return self._mix_windows(without_offset, offset, changed)

    def _restart(self, channels: int) -> None:
        loudest = self._mix == "loudest" or (self._mix == "auto" and channels > _MOST_AVERAGED)
        self._rule: _Rule = _Loudest(channels, self._decay) if loudest else _InPhase(channels, self._decay)
        self._weights = self._previous = self._rule.weights
        """Weights of the present window, and of the one before, from which it is faded."""
        self._pending = np.zeros((0, channels), np.float32)
        self._averaging = np.tile(np.eye(channels, dtype=np.float32), (self._step, 1))
        """The product with the samples of a point is the sum of each channel."""

    def _update(self, samples: Samples, full_scale: int) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Decide after each complete window.

        Returns:
            Previous and present weights of each window in `samples`, and of the one that follows; empty if the weights
            change in none of them.
        """
        pairs = [(self._previous, self._weights)]
        with np.errstate(over="ignore", invalid="ignore"):  # a recording of floating-point numbers may hold any number
            for weights in self._rule.after(self._changes(samples, full_scale)):
                self._previous, self._weights = self._weights, weights
                pairs.append((self._previous, self._weights))
        return pairs if any(previous is not present for previous, present in pairs) else []

    def _changes(self, samples: Samples, full_scale: int) -> NDArray[np.float32]:
        """Differences between neighbouring points of each window, shape (windows, points, channels), full scale 1.

        The difference removes a constant offset, which is no sound.
        """
        channels = samples.shape[1]
        scale = np.float32(self._step * full_scale)
        points = np.asarray(samples, np.float32).reshape(-1, self._step * channels) @ (self._averaging / scale)
        windows = points.reshape(-1, _WINDOW_POINTS, channels)
        return np.asarray(windows[:, 1:] - windows[:, :-1], np.float32)

    def _mix_windows(
        self, block: Samples, offset: int, changed: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
    ) -> NDArray[np.float32]:
        """Mix a block whose first sample is number `offset` of its window."""
        mixed = np.empty(len(block), np.float32)
        for number, start in enumerate(range(-offset, len(block), self._window)):
            previous, weights = changed[number] if changed else (self._previous, self._weights)
            first, end = max(start, 0), start + self._window
            mixed[first:end] = self._faded(block[first:end], first - start, previous, weights)
        return mixed

    def _faded(
        self, part: Samples, offset: int, previous: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        mixed = _weighted_average(part, weights)
        if previous is weights:
            return mixed
        places = np.arange(offset, offset + len(part), dtype=np.float32)
        share = np.minimum(places / np.float32(_FADE * self._window), 1)
        return np.asarray((1 - share) * _weighted_average(part, previous) + share * mixed, np.float32)


class _InPhase:
    """All channels, of which those that cancel others are inverted.

    Args:
        channels: number of channels.
        decay: how much the audio before a window counts after it.
    """

    def __init__(self, channels: int, decay: float) -> None:
        self.weights: NDArray[np.float32] = np.ones(channels, np.float32)
        """Signs of the channels."""
        self._decay = decay
        self._covariance = np.zeros((channels, channels))
        self._windows = 0

    def after(self, changes: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the signs after each window, see `_Rule`."""
        for covariance in np.asarray(changes.transpose(0, 2, 1) @ changes / np.float32(_WINDOW_POINTS)):
            if _FLOOR * len(covariance) <= float(covariance.trace()) < math.inf:
                self._covariance = self._covariance * self._decay + covariance
                self._windows += 1
                self.weights = self._decide()
            yield self.weights

    def _decide(self) -> NDArray[np.float32]:
        """Return the signs of the channels for the next window: the present ones, unless others are clearly better."""
        now, covariance = self.weights, self._covariance
        amplitudes = np.sqrt(covariance.diagonal())
        power = float(now @ covariance @ now)
        if float(amplitudes.sum()) ** 2 < _SMALLEST_GAIN * power:
            return now  # no signs at all could gain enough
        opposite = _OPPOSITE if self._windows >= _FEWEST_WINDOWS else _EXACTLY_OPPOSITE
        signs = _best_signs(covariance, amplitudes, now, opposite)
        better = float(signs @ covariance @ signs) >= _SMALLEST_GAIN * power
        return signs if better and not np.array_equal(signs, now) else now


class _Loudest:
    """The channel with the highest level of speech; all of them before there was speech.

    Args:
        channels: number of channels.
        decay: how much the speech before a window counts after it.
    """

    def __init__(self, channels: int, decay: float) -> None:
        self.weights: NDArray[np.float32] = np.ones(channels, np.float32)
        self._decay = decay
        self._chosen: int | None = None
        self._power = np.zeros(channels)
        """Present power of each channel, smoothed."""
        self._sounding = np.zeros(channels, int)
        """Windows in a row in which a channel had any sound."""
        self._quietest = self._quietest_before = np.full(channels, math.inf)
        """Least power of each channel in the present two seconds, and in the two before."""
        self._windows = self._speech_windows = self._pause_windows = 0
        self._speech = np.zeros(channels)
        """What each channel had above its quietest moment, with the memory of `decay`."""

    def after(self, changes: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the weights after each window, see `_Rule`."""
        for power in np.square(changes, dtype=np.float64).mean(axis=1):
            if np.isfinite(power).all():
                self._listen(power)
                self._decide()
            yield self.weights

    def _listen(self, power: NDArray[np.float64]) -> None:
        # Zeros are no quiet moment of a channel: many microphones deliver them while they start.
        self._sounding = np.where(power > 0, self._sounding + 1, 0)
        smoothed = _SMOOTHING * self._power + (1 - _SMOOTHING) * power
        self._power = np.where(self._sounding > 1, smoothed, power)
        if self._windows % _QUIETEST_WINDOWS == 0:
            self._quietest_before, self._quietest = self._quietest, np.full(len(power), math.inf)
        self._windows += 1
        known = np.where(self._sounding >= _FEWEST_WINDOWS, self._power, math.inf)
        self._quietest = np.minimum(self._quietest, known)
        above = self._power - _ABOVE_QUIETEST * np.minimum(self._quietest, self._quietest_before)
        if above.max() < _SILENCE:
            self._pause_windows += 1
            return
        self._pause_windows = 0
        self._speech_windows += 1
        self._speech = self._decay * self._speech + np.maximum(above, 0)

    def _decide(self) -> None:
        if self._speech_windows < _FEWEST_WINDOWS:
            return
        loudest = int(self._speech.argmax())
        if self._chosen is not None:
            needed = _LOUDER if self._pause_windows >= _PAUSE_WINDOWS else _MUCH_LOUDER
            if self._speech[loudest] < needed * self._speech[self._chosen] or loudest == self._chosen:
                return
        self._chosen = loudest
        self.weights = np.zeros(len(self._speech), np.float32)
        self.weights[loudest] = 1


def _average(samples: Samples) -> NDArray[np.float32]:
    total: NDArray[np.float32] = samples[:, 0].astype(np.float32)
    for channel in range(1, samples.shape[1]):  # as `mean` does, which takes six times as long for two channels
        total += samples[:, channel]
    total /= np.float32(samples.shape[1])
    return total


def _weighted_average(samples: Samples, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average of the channels whose weight is not 0, each multiplied by its weight."""
    if (weights > 0).all():
        return _average(samples)
    if len(used := np.flatnonzero(weights)) == 1:
        return np.asarray(samples[:, used[0]] * weights[used[0]], np.float32)
    return _average(np.multiply(samples, weights, dtype=np.float32))


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
