"""Is this frame speech? A loudness gate first, and only for what passes it the Silero voice activity detector.

The gate costs 3 microseconds, the detector a hundred: in a quiet room the detector is never asked.
"""

import numpy as np
from numpy.typing import NDArray

from device.hearing.silero import Silero


class VoiceDetector:
    """Tells the probability of speech frame by frame.

    Args:
        gate_dbfs: frames with a lower RMS level are not speech, dB relative to full scale.
    """

    def __init__(self, gate_dbfs: float) -> None:
        self._gate = 32768 * 10 ** (gate_dbfs / 20)
        self._silero = Silero()

    def probability(self, samples: NDArray[np.int16]) -> float:
        """Probability of speech, 0 to 1, in one frame of shape (512,), 16 kHz."""
        wide = samples.astype(np.float32)
        if float(wide @ wide) < self._gate**2 * len(wide):
            return 0.0
        return self._silero.probability(samples)

    def reset(self) -> None:
        """Forget what was heard: the next frame follows a pause."""
        self._silero.reset()
