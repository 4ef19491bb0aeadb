"""Real pictures and texts for a conversion: the rows that a corpus gives, as the device would see and read them.

Reading corpora is `training`'s; this module only picks rows, some to measure the network on and others to prove it on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.bundle import Companions
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, spectrogram_image

MOST_COMPARED = 500


@dataclass(frozen=True)
class Samples:
    """What a network is measured on while it is prepared, and what its answers are compared on afterwards."""

    images: NDArray[np.float32]
    """Shape (samples, height, width, 3), 0 to 1: pictures to compare on."""
    features: NDArray[np.int32]
    """Shape (samples, sequence_length): ids to compare on."""
    calibration_images: NDArray[np.float32]
    """Shape (pictures, height, width, 3): pictures to measure on."""
    calibration_features: NDArray[np.int32]
    """Shape (pictures, sequence_length): ids to measure on."""
    origin: str
    """Where they are from, for people: "32 made-up samples"."""


def made_up_samples(companions: Companions) -> Samples:
    """Samples where no recordings are at hand, see `convert.verify.representative_data`."""
    images, features = make_samples(companions, seed=0)
    return Samples(images, features, *make_samples(companions, 1, CALIBRATION_COUNT), f"{COUNT} made-up samples")


COUNT = 32
"""Fewer leave the mean difference to chance."""
CALIBRATION_COUNT = 160
"""Fewer pictures leave it to chance which weights go together."""
_LONGEST_SENTENCE = 20


def make_samples(
    companions: Companions, seed: int, count: int = COUNT
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Pictures, shape (count, height, width, 3), float32, 0 to 1, and ids, shape (count, sequence_length), int32."""
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


def _voice(random: np.random.Generator, front_end: FrontEnd) -> NDArray[np.float32]:
    """One to three seconds of a gliding tone with harmonics, in syllables, over a little noise."""
    samples = int(random.uniform(1, 3) * front_end.sample_rate)
    time = np.arange(samples) / front_end.sample_rate
    pitch = random.uniform(90, 250) * (1 + 0.2 * np.sin(2 * np.pi * random.uniform(0.3, 2) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / front_end.sample_rate
    tone = sum(random.uniform(0.2, 1) / harmonic * np.sin(harmonic * phase) for harmonic in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * random.uniform(2, 4) * time), 0, 1)
    sound = 0.2 * tone * syllables + 0.003 * random.standard_normal(samples)
    return np.asarray(sound, np.float32)
