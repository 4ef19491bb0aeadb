"""Level of audio in dB relative to full scale. A constant offset, as some sound cards add, is no sound."""

import math

import numpy as np
from numpy.typing import NDArray

LOWEST_DBFS = -96.0
"""Level of one step of 16 bits, which is also returned for digital silence, dB relative to full scale."""
_FULL_SCALE = 32768


def level_dbfs(samples: NDArray[np.int16]) -> float:
    """Compute the RMS level of samples of shape (n,), dB relative to full scale, not below `LOWEST_DBFS`."""
    power = mean_square(samples) / _FULL_SCALE**2
    return max(10 * math.log10(power), LOWEST_DBFS) if power else LOWEST_DBFS


def mean_square(samples: NDArray[np.int16]) -> float:
    """Compute the mean square of samples of shape (n,), in steps of 16 bits, without their offset; 0 for no samples."""
    if not len(samples):
        return 0.0
    wide = samples.astype(np.float64)  # sums of integers, without any rounding
    offset = float(np.add.reduce(wide)) / len(wide)  # a third of the time of `mean`
    return max(float(wide @ wide) / len(wide) - offset**2, 0.0)
