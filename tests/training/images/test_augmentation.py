from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from training.images import augmentation

RATE = 16_000
Augmentation = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]
AUGMENTATIONS: dict[str, Augmentation] = {
    "augment": lambda s, r: augmentation.augment(s, r, RATE),
    "shift_edges": lambda s, r: augmentation.shift_edges(s, r, RATE, 0.05),
    "change_voice": lambda s, r: augmentation.change_voice(s, r, RATE),
    "automatic_gain": lambda s, r: augmentation.automatic_gain(s, r, RATE),
    "change_microphone": lambda s, r: augmentation.change_microphone(s, r, RATE),
    "add_reverberation": lambda s, r: augmentation.add_reverberation(s, r, RATE),
    "add_noise": augmentation.add_noise,
}


def tone(hertz: float = 440.0, seconds: float = 0.5, silence: float = 0.25) -> NDArray[np.float32]:
    """A tone between two stretches of silence."""
    samples = np.zeros(round((seconds + 2 * silence) * RATE), np.float32)
    begin = round(silence * RATE)
    samples[begin : begin + round(seconds * RATE)] = 0.3 * np.sin(
        2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE
    )
    return samples


def loudest_hertz(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 2**18))
    return float(spectrum.argmax() * RATE / 2**18)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_randomness_comes_from_the_generator_only(name: str) -> None:
    samples, augment = tone(), AUGMENTATIONS[name]
    first, again, other = (augment(samples, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(samples, tone())


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("samples", [1, 100, 16_000])
def test_silence_of_any_length_stays_finite(name: str, samples: int) -> None:
    for seed in range(5):
        copy = AUGMENTATIONS[name](np.zeros(samples, np.float32), np.random.default_rng(seed))
        assert np.isfinite(copy).all()
        assert len(copy)


def test_edges_shift_within_bounds() -> None:
    samples, begins, ends = tone(), [], []
    samples[:] = np.where(samples == 0, 0, np.sign(samples) * 0.3)  # the tone is loud from its first sample to its last
    for seed in range(40):
        copy = augmentation.shift_edges(samples, np.random.default_rng(seed), RATE, 0.05)
        loud = np.flatnonzero(copy)
        begins.append(loud[0] if loud[0] else -1)
        ends.append(len(copy) - 1 - loud[-1])
        spoken = loud[-1] - loud[0] + 1
        assert (0.5 - 0.1) * RATE - 2 <= spoken <= 0.5 * RATE
    assert 0 < max(begins) <= 0.05 * RATE + 1
    assert 0 < max(ends) <= 0.06 * RATE + 1
    assert min(begins) == -1  # some begin within the tone


def test_voice_changes_pitch_and_length_together() -> None:
    samples = tone(silence=0)
    factors = []
    for seed in range(30):
        copy = augmentation.change_voice(samples, np.random.default_rng(seed), RATE)
        factor = loudest_hertz(copy) / 440
        assert len(copy) * factor == pytest.approx(len(samples), rel=0.01)
        factors.append(factor)
    assert 0.9 <= min(factors) < 0.95
    assert 1.05 < max(factors) <= 1.11


def test_gain_raises_quiet_parts() -> None:
    samples = np.concatenate([tone(silence=0), 0.1 * tone(silence=0)])
    ratios = []
    for seed in range(20):
        copy = augmentation.automatic_gain(samples, np.random.default_rng(seed), RATE)
        ratios.append(np.abs(copy[10_000:14_000]).max() / np.abs(copy[2_000:6_000]).max())
    assert min(ratios) >= 0.1 * 0.99
    assert 0.25 < max(ratios) <= 10**-0.5 * 1.01  # the exponent 0.5 turns 20 dB into 10


def test_reverberation_follows_the_sound() -> None:
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    copy = augmentation.add_reverberation(click, np.random.default_rng(3), RATE)
    energy = np.square(copy[101:])
    assert 0.01 <= energy.sum() <= 0.65
    assert energy[:1600].sum() > 10 * energy[-4000:].sum()
    assert not copy[:100].round(6).any()


def test_noise_has_the_documented_level() -> None:
    samples = tone(silence=0)
    decibels = []
    for seed in range(40):
        noise = augmentation.add_noise(samples, np.random.default_rng(seed)) - samples
        decibels.append(10 * np.log10(np.square(noise).mean() / np.square(samples).mean()))
    assert -45.1 <= min(decibels) < -35
    assert -20 < max(decibels) <= -9.9
