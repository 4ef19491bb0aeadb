"""Computes the device's image of a complete recording, with SciPy's Fourier transform instead of numpy's.

numpy 1 computes it in double precision on one core; SciPy needs an eighth of the time and lets other cores work. One
pixel in 80,000 differs, by one step of its colour, as it does between devices with numpy 1 and with numpy 2.
"""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, spectrogram_image


def compute_image(samples: NDArray[np.int16] | NDArray[np.float32], front_end: FrontEnd) -> NDArray[np.float32]:
    """Compute the spectrogram image of a recording, see `device.front_end.spectrogram.spectrogram_image`.

    Args:
        samples: shape (n,), mono at the front end's sample rate, int16 or float32 in -1 to 1.
        front_end: settings of the image.

    Returns:
        Shape (image_height, image_width, 3), float32, 0 to 1.
    """
    return spectrogram_image(mel_power(samples, front_end, scipy.fft.rfft), front_end)
