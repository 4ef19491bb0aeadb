"""Audio augmentation: a recording as another speaker, room or microphone could have produced it.

The copies serve for training and for measuring robustness. Works on samples, independent of files, images, classes and
networks. All randomness comes from the generator that the caller passes, so that a seed determines the copies.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

AUGMENTATION_VERSION = 1
"""Incremented with every change to this module that changes a sample, so that cached images are computed again."""

Samples = NDArray[np.float32]
_EDGE_FRAME_S = 0.01
_EDGE_DB = 30.0


def augment(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """Return a copy that differs in edges, voice, gain, microphone, room and noise, each at random and by chance.

    Args:
        samples: mono samples, shape (n,), float32, -1 to 1.
        random: source of all randomness.
        sample_rate: sample rate in Hz.

    Returns:
        Samples of shape (m,), float32; louder or quieter by a few dB, which does not change the front end's image.
    """
    samples = shift_edges(samples, random, sample_rate, longest=0.1)
    if random.random() < 0.7:
        samples = change_voice(samples, random, sample_rate)
    if random.random() < 0.3:
        samples = automatic_gain(samples, random, sample_rate)
    if random.random() < 0.7:
        samples = change_microphone(samples, random, sample_rate)
    if random.random() < 0.5:
        samples = add_reverberation(samples, random, sample_rate)
    if random.random() < 0.6:
        samples = add_noise(samples, random)
    return samples


def shift_edges(samples: Samples, random: np.random.Generator, sample_rate: int, longest: float) -> Samples:
    """Cut the copy at up to `longest` seconds before or after the beginning and the end of the speech.

    The speech reaches from the first to the last 10 ms that are at most 30 dB below the loudest. The copy never reaches
    beyond the recording. Besides the edges, this shifts the position of each column of the spectrogram, as every
    utterance that a voice activity detector cuts does.
    """
    frame = round(_EDGE_FRAME_S * sample_rate)
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    if not len(frames):
        return samples
    power = np.square(frames).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-_EDGE_DB / 10))
    shifts = random.uniform(-longest, longest, 2) * sample_rate
    begin = max(0, round(loud[0] * frame + shifts[0]))
    end = min(len(samples), round((loud[-1] + 1) * frame + shifts[1]))
    return samples[begin:end] if end - begin >= frame else samples


def change_voice(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """Play 10 % slower to 10 % faster: shifts pitch and formants by up to 1.65 semitones, as between speakers."""
    factor = np.exp(random.uniform(-np.log(1.1), np.log(1.1)))
    return np.asarray(soxr.resample(samples, sample_rate * factor, sample_rate, quality="LQ"), np.float32)


def automatic_gain(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """Apply an automatic gain: raise the loudness, measured over 25 to 200 ms, to a power of 0.5 to 1."""
    length = round(random.uniform(0.025, 0.2) * sample_rate)
    loudness = _convolve(np.square(samples), np.full(length, 1 / length, np.float32))[length // 2 :][: len(samples)]
    lowest = max(float(loudness.max()) * 1e-4, 1e-12)  # below -40 dB it would amplify nothing but noise
    gain = np.maximum(loudness, lowest) ** (-random.uniform(0, 0.25))  # of amplitude: half the exponent of loudness
    return np.asarray(samples * gain / gain.min(), np.float32)


def change_microphone(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """Apply a smooth frequency response: normally distributed with 4 dB at seven points, equally spaced in octaves.

    The points start at 50 Hz. Three in ten responses cut the bass, by 24 dB per octave below 80 to 300 Hz; one in five
    cuts the treble, by 36 dB per octave above 3.5 to 7 kHz.
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


def add_reverberation(samples: Samples, random: np.random.Generator, sample_rate: int) -> Samples:
    """Add reverberation of 0.1 to 0.6 s (time to -60 dB): decaying white noise, 2 to 20 dB below the direct sound."""
    length = round(sample_rate * random.uniform(0.1, 0.6))
    tail = random.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= random.uniform(0.1, 0.8) / np.sqrt(np.square(tail).sum())
    return np.asarray(samples + _convolve(samples, tail)[: len(samples)], np.float32)


def add_noise(samples: Samples, random: np.random.Generator) -> Samples:
    """Add steady noise, white to brown (0 to -6 dB per octave), 10 to 45 dB below the mean power of the recording."""
    length = _fast_length(len(samples))
    spectrum = np.fft.rfft(random.standard_normal(length))
    falling = np.maximum(np.arange(len(spectrum)) / len(spectrum), 0.005) ** -random.uniform(0, 1)
    noise = np.fft.irfft(spectrum * falling)[: len(samples)]
    level = np.sqrt(np.square(samples).mean() / np.square(noise).mean()) * 10 ** (-random.uniform(10, 45) / 20)
    return np.asarray(samples + level * noise, np.float32)


def _convolve(samples: Samples, response: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve in full, by FFT."""
    length = _fast_length(len(samples) + len(response) - 1)
    product = np.fft.rfft(samples, length) * np.fft.rfft(response, length)
    return np.asarray(np.fft.irfft(product)[: len(samples) + len(response) - 1], np.float64)


def _fast_length(length: int) -> int:
    """Return an even FFT length that is fast: two or three times a power of two, at least `length`."""
    power = 1 << max(1, (length - 1).bit_length())
    return power * 3 // 4 if power * 3 // 4 >= length and power >= 8 else power
