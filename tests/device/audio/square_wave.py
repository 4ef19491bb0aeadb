"""The simplest sound of a known level. A constant value would be an offset, which is no sound."""

import numpy as np
from numpy.typing import NDArray


def square_wave(level: int, count: int) -> NDArray[np.int16]:
    """Samples of an RMS level in steps of 16 bits, shape (count,), whose mean is 0 if `count` is even."""
    return np.asarray(np.where(np.arange(count) % 2, -level, level), np.int16)
