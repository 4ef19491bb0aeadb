"""Removes a constant offset (DC) from each channel of a stream, as cheap sound cards add to everything they record.

An offset is no sound, but it leaks into the lowest bands of the spectrogram image and changes predictions: on the
recorded clips of the tests an offset of 1 % of full scale moves a probability by up to 0.3.

A channel without an offset of at least 1.5 % of full scale passes unchanged, bit by bit. A larger one is found within
128 ms in a quiet moment, when the signal stays near one value, and within a second while someone speaks. From then on
it is followed with a memory of 2 s. Only a constant is subtracted, so the voice keeps its spectrum, which a high-pass
filter would change.

The offset is estimated on windows of 32 ms from the audio up to the end of the window, and holds from the next window
on, across which it is faded in. No sample is delayed, and the result is the same however a stream is cut into blocks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WINDOW_S = 0.032
_SMALLEST = 0.015
"""Offset from which on it is removed, relative to full scale. Averages of ordinary speech over a second stay below."""
_NO_LONGER = _SMALLEST / 2
"""Offset below which it is no longer removed."""
_STEADY_WINDOWS = 4
"""Windows in a row that show an offset if the signal is steady in them."""
_DEVIATION, _DRIFT = 0.5, 0.25
"""Deviation within a steady window, and difference to the window before, relative to what is left of the offset."""
_FEWEST_WINDOWS = 31
"""Windows (1 s) that an average needs which holds sound."""
_MEMORY_WINDOWS = 62

Samples = NDArray[np.int16] | NDArray[np.float32]


class OffsetRemover:
    """Removes the constant offset of each channel of one stream.

    Args:
        rate: sample rate of the stream, Hz.
    """

    def __init__(self, rate: int) -> None:
        self._window = max(1, round(rate * _WINDOW_S))
        self._averaging = np.full(self._window, 1 / self._window)
        """The product with a window is its mean, in a tenth of the time that numpy's `mean` takes for two channels."""
        self._pending: Samples = np.zeros((0, 0), np.float32)
        """Samples of the present window."""
        self._offsets: list[_Offset] = []
        """One for each channel."""

    def remove(self, block: Samples, full_scale: int) -> Samples:
        """Remove the offset from the next block of the stream.

        Args:
            block: shape (n, channels).
            full_scale: largest value that a sample can have.

        Returns:
            Shape (n, channels), on the same scale, float32; the same array if there is no offset.
        """
        channels = block.shape[1]
        if channels != len(self._offsets):
            self._pending = np.zeros((0, channels), np.float32)
            self._offsets = [_Offset() for _ in range(channels)]
        before = len(self._pending)
        samples = np.concatenate([self._pending, block]) if before else block
        complete = len(samples) // self._window
        windows = samples[: complete * self._window].reshape(complete, self._window, channels)
        self._pending = samples[complete * self._window :].copy()
        means = (self._averaging @ windows.astype(np.float64) / full_scale).T.tolist()
        lines = [
            offset.follow(channel_means, windows[..., channel], full_scale)
            for channel, (offset, channel_means) in enumerate(zip(self._offsets, means, strict=True))
        ]
        if not any(previous or present for channel in lines for previous, present in channel):
            return block
        return self._subtracted(samples, full_scale * np.array(lines, np.float32))[before:]

    def _subtracted(self, samples: Samples, lines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Subtract lines.

        Args:
            samples: shape (n, channels); the first sample begins a window.
            lines: where the line of each channel begins and ends in each window, shape (channels, windows, 2).
        """
        result = samples.astype(np.float32)
        share = (np.arange(self._window, dtype=np.float32) / np.float32(self._window))[:, None]
        for (begin, end), start in zip(lines.transpose(1, 2, 0), range(0, len(samples), self._window), strict=False):
            window = result[start : start + self._window]
            window -= begin + (end - begin) * share[: len(window)]
        return result


class _Offset:
    """The offset of one channel, relative to full scale."""

    def __init__(self) -> None:
        self.previous = self.present = 0.0
        """What is subtracted at the end of the window before the present one, and at the end of the present one."""
        self._last = self._average = 0.0
        """Mean of the latest window, and of the windows of the last seconds."""
        self._windows = self._steady = 0
        """Windows in the average, of which one that a steady signal has shown counts as `_FEWEST_WINDOWS`; and steady
        windows in a row."""

    def follow(self, means: Sequence[float], windows: Samples, full_scale: int) -> list[tuple[float, float]]:
        """Let the next windows take part in the offset, one after the other; each for the windows after it.

        Args:
            means: mean of each window, relative to full scale.
            windows: shape (windows, n).
            full_scale: largest value that a sample can have.

        Returns:
            `previous` and `present` of each of these windows, and of the one that follows.
        """
        # Names of this call alone: with the attributes of the object this takes twice the time.
        previous, present, last, average = self.previous, self.present, self._last, self._average
        counted, steady_windows = self._windows, self._steady
        lines = [(previous, present)]
        for number, mean in enumerate(means):
            previous = present
            if -1 <= mean <= 1:  # a recording of floating-point numbers may hold any number
                left = abs(mean - present)
                steady = left >= _SMALLEST and abs(mean - last) <= _DRIFT * left
                if steady:
                    steady = float(windows[number].std(dtype=np.float64)) / full_scale <= _DEVIATION * left
                last = mean
                steady_windows = steady_windows + 1 if steady else 0
                if steady_windows >= _STEADY_WINDOWS:
                    average, counted = mean, _FEWEST_WINDOWS
                else:
                    counted += 1
                    average += (mean - average) / (counted if counted < _MEMORY_WINDOWS else _MEMORY_WINDOWS)
                smallest = _NO_LONGER if present else _SMALLEST
                present = average if counted >= _FEWEST_WINDOWS and abs(average) >= smallest else 0.0
            lines.append((previous, present))
        self.previous, self.present, self._last, self._average = previous, present, last, average
        self._windows, self._steady = counted, steady_windows
        return lines
