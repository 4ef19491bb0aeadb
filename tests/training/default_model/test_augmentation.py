from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from training.default_model import augmentation as altered_sound

RATE = 16_000
Alteration = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]
ALTERATIONS: dict[str, Alteration] = {
    "altered": lambda s, r: altered_sound.altered(s, r, RATE),
    "moved_edges": lambda s, r: altered_sound.moved_edges(s, r, RATE, 0.05),
    "other_voice": lambda s, r: altered_sound.other_voice(s, r, RATE),
    "evened_out": lambda s, r: altered_sound.evened_out(s, r, RATE),
    "other_microphone": lambda s, r: altered_sound.other_microphone(s, r, RATE),
    "other_room": lambda s, r: altered_sound.other_room(s, r, RATE),
    "noisy": altered_sound.noisy,
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


@pytest.mark.parametrize("name", ALTERATIONS)
def test_chance_comes_from_the_generator_alone(name: str) -> None:
    sound, alter = tone(), ALTERATIONS[name]
    first, again, other = (alter(sound, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(sound, tone())


@pytest.mark.parametrize("name", ALTERATIONS)
@pytest.mark.parametrize("samples", [1, 100, 16_000])
def test_silence_of_any_length_stays_finite(name: str, samples: int) -> None:
    for seed in range(5):
        copy = ALTERATIONS[name](np.zeros(samples, np.float32), np.random.default_rng(seed))
        assert np.isfinite(copy).all()
        assert len(copy)


def test_edges_move_within_bounds() -> None:
    sound, begins, ends = tone(), [], []
    sound[:] = np.where(sound == 0, 0, np.sign(sound) * 0.3)  # loud from its first sample to its last
    for seed in range(40):
        copy = altered_sound.moved_edges(sound, np.random.default_rng(seed), RATE, 0.05)
        loud = np.flatnonzero(copy)
        begins.append(loud[0] if loud[0] else -1)
        ends.append(len(copy) - 1 - loud[-1])
        spoken = loud[-1] - loud[0] + 1
        assert (0.5 - 0.1) * RATE - 2 <= spoken <= 0.5 * RATE
    assert 0 < max(begins) <= 0.05 * RATE + 1
    assert 0 < max(ends) <= 0.06 * RATE + 1
    assert min(begins) == -1  # some begin within the tone


def test_voice_moves_pitch_and_length_together() -> None:
    sound = tone(silence=0)
    factors = []
    for seed in range(30):
        copy = altered_sound.other_voice(sound, np.random.default_rng(seed), RATE)
        factor = loudest_hertz(copy) / 440
        assert len(copy) * factor == pytest.approx(len(sound), rel=0.01)
        factors.append(factor)
    assert 0.9 <= min(factors) < 0.95
    assert 1.05 < max(factors) <= 1.11


def test_gain_lifts_quiet_stretches() -> None:
    sound = np.concatenate([tone(silence=0), 0.1 * tone(silence=0)])
    ratios = []
    for seed in range(20):
        copy = altered_sound.evened_out(sound, np.random.default_rng(seed), RATE)
        ratios.append(np.abs(copy[10_000:14_000]).max() / np.abs(copy[2_000:6_000]).max())
    assert min(ratios) >= 0.1 * 0.99
    assert 0.25 < max(ratios) <= 10**-0.5 * 1.01  # to the power of 0.5, where 20 dB become 10


def test_room_rings_on_after_the_sound() -> None:
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    copy = altered_sound.other_room(click, np.random.default_rng(3), RATE)
    energy = np.square(copy[101:])
    assert 0.01 <= energy.sum() <= 0.65
    assert energy[:1600].sum() > 10 * energy[-4000:].sum()
    assert not copy[:100].round(6).any()


def test_noise_is_as_loud_as_promised() -> None:
    sound = tone(silence=0)
    decibels = []
    for seed in range(40):
        noise = altered_sound.noisy(sound, np.random.default_rng(seed)) - sound
        decibels.append(10 * np.log10(np.square(noise).mean() / np.square(sound).mean()))
    assert -45.1 <= min(decibels) < -35
    assert -20 < max(decibels) <= -9.9
