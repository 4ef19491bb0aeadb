"""A recording as another speaker, room or microphone might have given it: sounds to train on and to be judged by.

Works on samples alone and knows nothing of files, pictures, classes or networks. All chance comes from the generator
that is given, so a seed says which copies are made.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

ALTERATIONS_VERSION = 1
"""Raised with every change to this module that changes a sound, so that kept pictures are computed again."""

Samples = NDArray[np.float32]
_EDGE_FRAME_S = 0.01
_EDGE_DB = 30.0


def altered(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """A copy that differs in voice, microphone, room, noise and edges, each by chance and by a chance amount.

    Args:
        samples: shape (n,), mono, float32, -1 to 1.
        random: where chance comes from.
        sample_rate: Hz.

    Returns:
        Shape (m,), float32; louder or quieter by a few dB, which the front end's picture does not show.
    """
    samples = moved_edges(samples, random, sample_rate, longest=0.1)
    if random.random() < 0.7:
        samples = other_voice(samples, random, sample_rate)
    if random.random() < 0.3:
        samples = evened_out(samples, random, sample_rate)
    if random.random() < 0.7:
        samples = other_microphone(samples, random, sample_rate)
    if random.random() < 0.5:
        samples = other_room(samples, random, sample_rate)
    if random.random() < 0.6:
        samples = noisy(samples, random)
    return samples


def moved_edges(samples: Samples, random: np.random.Generator, sample_rate: int, longest: float) -> Samples:
    """Begin and end within `longest` seconds before or after the spoken stretch does.

    The stretch reaches from the first to the last 10 ms that are at most 30 dB below the loudest. Where the recording
    itself begins or ends later, so does the copy. Besides the edges, this moves where each column of the spectrogram
    falls, as every utterance cut by a voice activity detector does.
    """
    frame = round(_EDGE_FRAME_S * sample_rate)
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    if not len(whole):
        return samples
    power = np.square(whole).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-_EDGE_DB / 10))
    shifts = random.uniform(-longest, longest, 2) * sample_rate
    begin = max(0, round(loud[0] * frame + shifts[0]))
    end = min(len(samples), round((loud[-1] + 1) * frame + shifts[1]))
    return samples[begin:end] if end - begin >= frame else samples


def other_voice(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """Played 10 % slower to 10 % faster: pitch and formants move by up to 1.65 semitones, as between speakers."""
    factor = np.exp(random.uniform(-np.log(1.1), np.log(1.1)))
    return np.asarray(soxr.resample(samples, sample_rate * factor, sample_rate, quality="LQ"), np.float32)


def evened_out(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """An automatic gain: the loudness, over 25 to 200 ms, is raised to a power of 0.5 to 1."""
    length = round(random.uniform(0.025, 0.2) * sample_rate)
    loudness = _convolved(np.square(samples), np.full(length, 1 / length, np.float32))[length // 2 :][: len(samples)]
    lowest = max(float(loudness.max()) * 1e-4, 1e-12)  # below -40 dB it would pull up nothing but noise
    gain = np.maximum(loudness, lowest) ** (-random.uniform(0, 0.25))  # of amplitude, so half the power of loudness
    return np.asarray(samples * gain / gain.min(), np.float32)


def other_microphone(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """A smooth response, normally distributed with 4 dB at seven points from 50 Hz up, equally far apart in octaves.

    Three in ten cut the bass, 24 dB per octave below 80 to 300 Hz; one in five the treble, 36 dB above 3.5 to 7 kHz.
    """
    hertz = np.fft.rfftfreq(_fast_length(len(samples)), 1 / sample_rate)
    octaves = np.log2(np.maximum(hertz, 50) / 50)
    gain = np.interp(octaves, np.linspace(0, np.log2(sample_rate / 2 / 50), 7), random.normal(0, 4, 7))
    if random.random() < 0.3:
        gain -= 24 * np.maximum(0, np.log2(random.uniform(80, 300) / np.maximum(hertz, 20)))
    if random.random() < 0.2:
        gain -= 36 * np.maximum(0, np.log2(np.maximum(hertz, 20) / random.uniform(3500, 7000)))
    spectrum = np.fft.rfft(samples, _fast_length(len(samples)))
    return np.asarray(np.fft.irfft(spectrum * 10 ** (gain / 20))[: len(samples)], np.float32)


def other_room(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """Reverberation of 0.1 to 0.6 s (time to -60 dB): decaying white noise, 2 to 20 dB below the direct sound."""
    length = round(sample_rate * random.uniform(0.1, 0.6))
    tail = random.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= random.uniform(0.1, 0.8) / np.sqrt(np.square(tail).sum())
    return np.asarray(samples + _convolved(samples, tail)[: len(samples)], np.float32)


def noisy(samples: Samples, random: np.random.Generator) -> Samples:
    """Steady noise from white to brown (0 to -6 dB per octave), 10 to 45 dB below the mean power of the recording."""
    length = _fast_length(len(samples))
    spectrum = np.fft.rfft(random.standard_normal(length))
    falling = np.maximum(np.arange(len(spectrum)) / len(spectrum), 0.005) ** -random.uniform(0, 1)
    noise = np.fft.irfft(spectrum * falling)[: len(samples)]
    level = np.sqrt(np.square(samples).mean() / np.square(noise).mean()) * 10 ** (-random.uniform(10, 45) / 20)
    return np.asarray(samples + level * noise, np.float32)


def _convolved(samples: Samples, response: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Full convolution, by FFT."""
    length = _fast_length(len(samples) + len(response) - 1)
    product = np.fft.rfft(samples, length) * np.fft.rfft(response, length)
    return np.asarray(np.fft.irfft(product)[: len(samples) + len(response) - 1], np.float64)


def _fast_length(length: int) -> int:
    """An even length that the FFT is quick at: two or three times a power of two, not less."""
    power = 1 << max(1, (length - 1).bit_length())
    return power * 3 // 4 if power * 3 // 4 >= length and power >= 8 else power
