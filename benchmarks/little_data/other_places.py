"""Recordings as another room and another microphone would have made them, for measuring robustness.

Independent of `training.images.augmentation`, which models train on: here the room is a box whose walls reflect (image
sources, Allen and Berkley, "Image method for efficiently simulating small-room acoustics", 1979), the microphone a
band-pass, and the noise pink with the hum of a mains supply.
"""

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

_SPEED = 343.0
"""Speed of sound, metres per second."""
_ORDER = 8
"""Reflections of a path at each pair of opposite walls, at most."""
_LONGEST_S = 0.5
"""Seconds after which reflections are left out."""


def elsewhere(samples: NDArray[np.float32], random: np.random.Generator, sample_rate: int) -> NDArray[np.float32]:
    """Return a recording as another microphone, one to three metres away in a furnished room, would have made it.

    Args:
        samples: mono samples, shape (n,), -1 to 1.
        random: source of all randomness.
        sample_rate: sample rate in Hz.

    Returns:
        Samples of shape (n,), float32, with the same largest magnitude.
    """
    reverberant = scipy.signal.fftconvolve(samples, _room(random, sample_rate))[: len(samples)]
    band = [random.uniform(100, 250), random.uniform(4000, 7000)]
    sections = scipy.signal.butter(2, band, "bandpass", fs=sample_rate, output="sos")
    recorded = scipy.signal.sosfilt(sections, reverberant)
    noise = _noise(len(samples), random, sample_rate)
    noise *= np.sqrt(np.square(recorded).mean() / np.square(noise).mean()) * 10 ** (-random.uniform(15, 30) / 20)
    recorded = recorded + noise
    return np.asarray(recorded * (np.abs(samples).max() / max(np.abs(recorded).max(), 1e-9)), np.float32)


def _room(random: np.random.Generator, sample_rate: int) -> NDArray[np.float64]:
    """Compute the impulse response from a speaker to a microphone in a box of 3 x 2.5 x 2.4 to 6 x 5 x 3 metres."""
    size = random.uniform([3, 2.5, 2.4], [6, 5, 3])
    microphone = size * random.uniform(0.2, 0.8, 3)
    direction = random.standard_normal(3) * [1, 1, 0.2]
    speaker = microphone + direction / np.linalg.norm(direction) * random.uniform(1, 3)
    speaker = np.clip(speaker, 0.3, size - 0.3)
    numbers = np.arange(-_ORDER, _ORDER + 1)
    mirrored = [
        np.where(numbers % 2 == 0, speaker[axis], size[axis] - speaker[axis]) + numbers * size[axis]
        for axis in range(3)
    ]
    offsets = np.meshgrid(*(place - microphone[axis] for axis, place in enumerate(mirrored)), indexing="ij")
    distance = np.sqrt(sum(np.square(each) for each in offsets)).ravel()
    reflections = sum(np.abs(each) for each in np.meshgrid(numbers, numbers, numbers, indexing="ij")).ravel()
    at = np.rint((distance - distance.min()) / _SPEED * sample_rate).astype(np.int64)
    near = at < _LONGEST_S * sample_rate
    response = np.zeros(round(_LONGEST_S * sample_rate) + 1)
    np.add.at(response, at[near], (random.uniform(0.6, 0.85) ** reflections / np.maximum(distance, 0.1))[near])
    return response


def _noise(length: int, random: np.random.Generator, sample_rate: int) -> NDArray[np.float64]:
    spectrum = scipy.fft.rfft(random.standard_normal(length))
    pink = scipy.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 10)), length)
    seconds = np.arange(length) / sample_rate
    hum = sum(np.sin(2 * np.pi * 50 * harmonic * seconds) / harmonic for harmonic in (1, 2, 3, 5))
    return np.asarray(pink / pink.std() + 0.3 * hum)
