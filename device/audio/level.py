"""Level of audio in dB relative to full scale."""

import math

import numpy as np
from numpy.typing import NDArray

LOWEST_DBFS = -96.0
"""Level of one step of 16 bits, which is also returned for digital silence, dB relative to full scale."""
_FULL_SCALE = 32768


def level_dbfs(samples: NDArray[np.int16]) -> float:
    """Compute the RMS level of samples of shape (n,), dB relative to full scale, not below `LOWEST_DBFS`."""
    wide = samples.astype(np.float32)
    power = float(wide @ wide) / max(len(wide), 1) / _FULL_SCALE**2
    return max(10 * math.log10(power), LOWEST_DBFS) if power else LOWEST_DBFS
