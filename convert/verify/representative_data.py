"""Representative data for a conversion: images and word ids to measure a network on, and others to verify it on.

This module makes synthetic data. Recordings are read by `training.images.conversion_samples`, and passed in.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.bundle import Companions
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, spectrogram_image

MOST_COMPARED = 500
"""Largest number of samples to compare on."""
CALIBRATION_COUNT = 160
"""Number of samples to measure on; from fewer images it is left to chance which weights depend on each other."""
_SYNTHETIC_CALIBRATION_COUNT = 96
"""Number of synthetic samples to measure on; more are not used for networks of the tutorial's size."""
_SYNTHETIC_COUNT = 32
"""Number of synthetic samples to compare on; with fewer, the mean difference is left to chance."""
_LONGEST_SENTENCE = 20
"""Words."""
_HARMONICS = 24


@dataclass(frozen=True)
class RepresentativeData:
    """Samples on which a network is measured while it is prepared, and others on which its predictions are compared."""

    images: NDArray[np.float32]
    """Images to compare on, shape (samples, height, width, 3), 0 to 1."""
    features: NDArray[np.int32]
    """Word ids to compare on, shape (samples, sequence_length)."""
    calibration_images: NDArray[np.float32]
    """Images to measure on, shape (images, height, width, 3), 0 to 1."""
    calibration_features: NDArray[np.int32]
    """Word ids to measure on, shape (images, sequence_length)."""
    origin: str
    """Where the samples to compare on come from, for people, such as "32 synthetic samples"."""


SampleSource = Callable[[Companions], RepresentativeData]
"""Makes representative data for the front end and vocabulary of a model."""


def synthetic_samples(companions: Companions) -> RepresentativeData:
    """Synthetic representative data, the same each time, for when there are no recordings."""
    return RepresentativeData(
        *synthetic_inputs(companions, seed=0),
        *synthetic_inputs(companions, seed=1, count=_SYNTHETIC_CALIBRATION_COUNT),
        f"{_SYNTHETIC_COUNT} synthetic samples",
    )


def synthetic_inputs(
    companions: Companions, seed: int, count: int = _SYNTHETIC_COUNT
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Synthetic images, shape (count, height, width, 3), float32, 0 to 1, and ids, shape (count, sequence_length)."""
    front_end = companions.front_end
    random = np.random.default_rng(seed)
    images = np.stack(
        [spectrogram_image(mel_power(_voice(random, front_end), front_end), front_end) for _ in range(count)]
    )
    highest = min(len(companions.vocabulary), front_end.num_words - 1)
    features = np.zeros((count, front_end.sequence_length), np.int32)
    for row in features:
        words = int(random.integers(0, min(_LONGEST_SENTENCE, len(row)) + 1))
        # Frequent words have low ids: spread them evenly on a logarithmic scale.
        place = slice(len(row) - words, None) if front_end.padding == "pre" else slice(words)
        row[place] = np.exp(random.uniform(0, np.log(highest + 1), words)).astype(np.int32)
    return images, features


def edge_features(companions: Companions) -> NDArray[np.int32]:
    """Word ids of utterances with no word, one word, and as many as fit, shape (3, sequence_length)."""
    front_end = companions.front_end
    highest = min(len(companions.vocabulary), front_end.num_words - 1)
    features = np.zeros((3, front_end.sequence_length), np.int32)
    features[1, -1 if front_end.padding == "pre" else 0] = highest
    features[2] = 1 + np.arange(front_end.sequence_length) % highest
    return features


def _voice(random: np.random.Generator, front_end: FrontEnd) -> NDArray[np.float32]:
    """Audio of one to three seconds: a gliding tone with harmonics, in syllables, over a little noise."""
    samples = int(random.uniform(1, 3) * front_end.sample_rate)
    time = np.arange(samples) / front_end.sample_rate
    pitch = random.uniform(90, 250) * (1 + 0.2 * np.sin(2 * np.pi * random.uniform(0.3, 2) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / front_end.sample_rate
    amplitudes = random.uniform(0.2, 1, _HARMONICS) / np.arange(1, _HARMONICS + 1)
    # The sum of amplitude * sin(n * phase) over n = 1, 2, ...: a polynomial in exp(i * phase), faster than 24 sines.
    tone = np.polyval([*amplitudes[::-1], 0], np.exp(1j * phase)).imag
    syllables = np.clip(np.sin(2 * np.pi * random.uniform(2, 4) * time), 0, 1)
    audio = 0.2 * tone * syllables + 0.003 * random.standard_normal(samples)
    return np.asarray(audio, np.float32)
