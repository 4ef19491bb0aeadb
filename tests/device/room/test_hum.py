import numpy as np
import pytest

from device.room.hum import find_hum
from tests.device.room.audio import RATE, int16, noise, tone


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("mains", [50, 60])
def test_a_tone_of_the_mains(mains: int, rate: int) -> None:
    samples = int16(noise(-70, 5, rate=rate) + tone(mains, -45, 5, rate=rate))
    hum = find_hum(samples, rate)
    assert hum is not None
    assert (hum.mains_hz, hum.harmonics_hz) == (mains, (mains,))
    assert hum.level_dbfs == pytest.approx(-45, abs=0.1)


def test_harmonics_add_their_power() -> None:
    samples = int16(noise(-70, 5) + tone(50, -50, 5) + tone(100, -50, 5) + tone(250, -56, 5))
    hum = find_hum(samples, RATE)
    assert hum is not None
    assert (hum.mains_hz, hum.harmonics_hz) == (50, (50, 100, 250))
    assert hum.level_dbfs == pytest.approx(10 * np.log10(2 * 10**-5.0 + 10**-5.6), abs=0.1)


@pytest.mark.parametrize("frequency", [49.6, 50.4])
def test_the_mains_are_not_exactly_50_hz(frequency: float) -> None:
    hum = find_hum(int16(noise(-70, 3) + tone(frequency, -45, 3)), RATE)
    assert hum is not None
    assert hum.mains_hz == 50
    assert hum.level_dbfs == pytest.approx(-45, abs=0.2)


def test_a_rectifier_hums_at_twice_the_frequency() -> None:
    hum = find_hum(int16(noise(-75, 3) + tone(120, -55, 3)), RATE)
    assert hum is not None
    assert (hum.mains_hz, hum.harmonics_hz) == (60, (120,))


def test_the_channel_with_the_most_hum_counts() -> None:
    hum = find_hum(int16(noise(-70, 3), noise(-70, 3, seed=1) + tone(50, -40, 3)), RATE)
    assert hum is not None
    assert hum.level_dbfs == pytest.approx(-40, abs=0.1)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("seconds", [1, 2, 10])
def test_noise_is_no_hum(seconds: int, seed: int) -> None:
    assert find_hum(int16(noise(-40, seconds, seed=seed)), RATE) is None


@pytest.mark.parametrize("frequency", [75, 300, 440, 1000])
def test_other_tones_are_no_hum(frequency: int) -> None:
    """300 Hz is a harmonic of both mains, and alone it is neither."""
    assert find_hum(int16(noise(-70, 3) + tone(frequency, -40, 3)), RATE) is None


def test_an_offset_and_silence_are_no_hum() -> None:
    assert find_hum(int16(np.full(3 * RATE, 0.2)), RATE) is None
    assert find_hum(np.zeros((3 * RATE, 2), np.int16), RATE) is None
    assert find_hum(int16(noise(-60, 3) + 0.2), RATE) is None


def test_what_is_too_short_or_too_quiet() -> None:
    assert find_hum(int16(tone(50, -20, 0.9)), RATE) is None
    assert find_hum(int16(tone(50, -95, 3) + noise(-105, 3)), RATE) is None
