"""Removes a constant offset (DC) from a stream, as cheap sound cards add to everything they record.

An offset is no sound, but it leaks into the lowest bands of the spectrogram image and changes predictions: on the
recorded clips of the tests an offset of 1 % of full scale moves a probability by up to 0.3.

A stream without an offset of at least 1.5 % of full scale passes unchanged, bit by bit. A larger one is found within
64 ms in a quiet moment, when the signal stays on one side of zero, and within a second while someone speaks. From then
on it is followed with a memory of 2 s. Only a constant is subtracted, so the voice keeps its spectrum, which a
high-pass filter would change.

The offset is estimated on windows of 32 ms from the audio up to the end of the window, and holds from the next window
on, across which it is faded in. No sample is delayed, and the result is the same however a stream is cut into blocks.
"""

import numpy as np
from numpy.typing import NDArray

_WINDOW_S = 0.032
_SMALLEST = 0.015
"""Offset from which on it is removed, relative to full scale. Averages of ordinary speech over a second stay below."""
_NO_LONGER = _SMALLEST / 2
"""Offset below which it is no longer removed."""
_STEADY = 0.5
"""Deviation of a window, relative to its mean, up to which the mean is an offset and no slow sound."""
_STEADY_WINDOWS = 2
_FEWEST_WINDOWS = 31
"""Windows (1 s) that an average needs which holds sound."""
_MEMORY_WINDOWS = 62


class OffsetRemover:
    """Removes the constant offset of one stream.

    Args:
        rate: sample rate of the stream, Hz.
    """

    def __init__(self, rate: int) -> None:
        self._window = max(1, round(rate * _WINDOW_S))
        self._pending = np.zeros(0, np.float32)
        """Samples of the present window."""
        self._average = 0.0
        self._windows = 0
        """Windows in the average; a steady one counts as `_FEWEST_WINDOWS`."""
        self._steady = 0
        self._previous = self._present = 0.0
        """Offsets that are subtracted at the end of the window before the present one, and of the present one."""

    def remove(self, samples: NDArray[np.float32], full_scale: float = 1.0) -> NDArray[np.float32]:
        """Remove the offset from the next samples of the stream.

        Args:
            samples: shape (n,).
            full_scale: largest value that a sample can have.

        Returns:
            Shape (n,), on the same scale; the same array if there is no offset.
        """
        before = len(self._pending)
        joined = np.concatenate([self._pending, samples]) if before else samples
        complete = len(joined) // self._window
        windows = joined[: complete * self._window].reshape(complete, self._window)
        offsets = [(self._previous, self._present)]
        means = windows.mean(axis=1, dtype=np.float64) / full_scale
        deviations = windows.std(axis=1, dtype=np.float64) / full_scale
        for mean, deviation in zip(means.tolist(), deviations.tolist(), strict=True):
            self._previous, self._present = self._present, self._follow(mean, deviation)
            offsets.append((self._previous, self._present))
        self._pending = joined[complete * self._window :].copy()
        if not any(previous or present for previous, present in offsets):
            return samples
        return self._subtracted(joined, offsets, full_scale)[before:]

    def _follow(self, mean: float, deviation: float) -> float:
        """Return the offset for the next window.

        Args:
            mean: mean of a window, relative to full scale.
            deviation: its standard deviation, likewise.
        """
        if not abs(mean) <= 1:  # a recording of floating-point numbers may hold any number
            return self._present
        rest = abs(mean - self._present)
        self._steady = self._steady + 1 if rest >= _SMALLEST and deviation <= _STEADY * rest else 0
        if self._steady >= _STEADY_WINDOWS:
            self._average, self._windows = mean, _FEWEST_WINDOWS
        else:
            self._windows += 1
            self._average += (mean - self._average) / min(self._windows, _MEMORY_WINDOWS)
        limit = _NO_LONGER if self._present else _SMALLEST
        return self._average if self._windows >= _FEWEST_WINDOWS and abs(self._average) >= limit else 0.0

    def _subtracted(
        self, samples: NDArray[np.float32], offsets: list[tuple[float, float]], full_scale: float
    ) -> NDArray[np.float32]:
        result = samples.copy()
        share = np.arange(self._window, dtype=np.float32) / np.float32(self._window)
        for number, start in enumerate(range(0, len(samples), self._window)):
            previous, present = offsets[number]
            window = result[start : start + self._window]
            window -= np.float32(full_scale) * (
                np.float32(previous) + np.float32(present - previous) * share[: len(window)]
            )
        return result
