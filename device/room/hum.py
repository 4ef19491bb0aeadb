"""Finds the hum of the mains, 50 or 60 Hz and its harmonics, in a recording of the quiet room.

The power spectrum is averaged over windows of one second (Welch's method with a Hann window), whose resolution of 1 Hz
separates 50 from 60 Hz, and hum from the noise beside it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MAINS_HZ = (50, 60)
_HARMONICS = 8
_BAND_HZ = 3
"""Half the width of the band around a harmonic; the frequency of the mains varies by 0.5 Hz, a Hann window by 2."""
_BESIDE_HZ = (5, 20)
"""Distance from a harmonic within which the noise around it is estimated, from and to."""
_LEAST_RATIO = 10.0
"""How many times the power of the noise in its band a harmonic needs, so that noise is never one."""
_LOWEST_DBFS = -84.0
"""Quieter hum is of no interest: it is below the noise of every microphone."""
_FULL_SCALE = 32768


@dataclass(frozen=True)
class Hum:
    """Hum of the mains."""

    mains_hz: int
    """Frequency of the mains, 50 or 60 Hz."""
    harmonics_hz: tuple[int, ...]
    """Frequencies at which there is hum, Hz; the mains frequency itself need not be among them."""
    level_dbfs: float
    """Level of all of them together in the channel with the most, dB relative to full scale."""


def find_hum(samples: NDArray[np.int16], rate: int) -> Hum | None:
    """Find hum in a recording; None if there is none, or if it is shorter than a second.

    Args:
        samples: the quiet room, shape (n, channels).
        rate: sample rate, Hz.
    """
    if len(samples) < rate:
        return None
    # Neighbouring bins are 1 Hz apart, so an index is a frequency.
    spectrum = _power_spectrum(samples, rate)
    found = [hum for mains in _MAINS_HZ if (hum := _hum(spectrum, mains)) is not None]
    return max(found, key=lambda hum: hum.level_dbfs, default=None)


def _power_spectrum(samples: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    """Compute the power per bin of 1 Hz, relative to full scale, shape (bins, channels)."""
    window = np.hanning(rate + 1)[:-1].astype(np.float32)[:, None]
    starts = range(0, len(samples) - rate + 1, rate // 2)
    total = np.zeros((rate // 2 + 1, samples.shape[1]))
    for start in starts:
        part = samples[start : start + rate].astype(np.float32) / _FULL_SCALE
        total += np.abs(np.fft.rfft((part - part.mean(axis=0)) * window, axis=0)) ** 2
    return total * 2 / (len(starts) * rate * float((window**2).sum()))


def _hum(spectrum: NDArray[np.float64], mains: int) -> Hum | None:
    powers = np.zeros(spectrum.shape[1])
    harmonics = []
    for frequency in range(mains, mains * (_HARMONICS + 1), mains):
        power = _excess(spectrum, frequency)
        if power.max() > 0:
            harmonics.append(frequency)
            powers += power
    # Of the mains itself or of a rectifier, which doubles it; other tones are no hum.
    if not {mains, 2 * mains} & set(harmonics):
        return None
    level = 10 * math.log10(float(powers.max()))
    return Hum(mains, tuple(harmonics), level) if level >= _LOWEST_DBFS else None


def _excess(spectrum: NDArray[np.float64], frequency: int) -> NDArray[np.float64]:
    """Compute the power of a tone above the noise around it in each channel, shape (channels,); 0 without one."""
    low, high = _BESIDE_HZ
    beside = np.concatenate(
        [spectrum[frequency - high : frequency - low + 1], spectrum[frequency + low : frequency + high + 1]]
    )
    band = spectrum[frequency - _BAND_HZ : frequency + _BAND_HZ + 1]
    noise = np.median(beside, axis=0) * len(band)
    power = band.sum(axis=0)
    return np.where(power > _LEAST_RATIO * noise, power - noise, 0.0)
