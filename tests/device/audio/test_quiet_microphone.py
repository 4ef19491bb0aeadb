"""The gain for a very quiet microphone, and that no other microphone gets any."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.audio.quiet_microphone import FULL_SCALE_POWER, QuietMicrophone, amplified
from device.events import FRAME_SECONDS


def power(dbfs: float) -> float:
    return float(FULL_SCALE_POWER * 10 ** (dbfs / 10))


def receive(microphone: QuietMicrophone, dbfs: float, seconds: float) -> float:
    """Pass on frames of a level; return the gain after them, dB."""
    for _ in range(math.ceil(seconds / FRAME_SECONDS)):
        microphone.follow(power(dbfs))
    return 20 * math.log10(microphone.gain)


@pytest.fixture
def microphone() -> QuietMicrophone:
    return QuietMicrophone(power(-60))


@pytest.mark.parametrize(
    ("noise", "gain"), [(-40.5, 0), (-60, 0), (-70, 0), (-71, 1), (-80, 10), (-95, 25), (-100, 30), (-200, 30)]
)
def test_the_gate_is_lowered_to_ten_db_above_the_noise(microphone: QuietMicrophone, noise: float, gain: float) -> None:
    assert receive(microphone, noise, 3.9) == 0, "the noise is not known yet"
    assert receive(microphone, noise, 0.2) == pytest.approx(gain, abs=0.01)


def test_a_lost_frame_is_no_quiet_moment(microphone: QuietMicrophone) -> None:
    receive(microphone, -65, 2)
    receive(microphone, -200, FRAME_SECONDS)
    assert receive(microphone, -65, 2.1) == 0


def test_zeros_before_the_first_sound_are_no_noise_but_later_ones_are(microphone: QuietMicrophone) -> None:
    for _ in range(300):
        microphone.follow(0)  # it starts
    assert receive(microphone, -72, 9) == pytest.approx(2, abs=0.01), "as for a usual microphone in a quiet room"
    for _ in range(300):
        microphone.follow(0)  # it suppresses noise
    assert 20 * math.log10(microphone.gain) == pytest.approx(30)


def test_quiet_speech_is_no_noise(microphone: QuietMicrophone) -> None:
    receive(microphone, -85, 5)
    assert receive(microphone, -58, 7.5) == pytest.approx(15, abs=0.01), "a long sentence"
    receive(microphone, -85, 0.5)
    for _ in range(20):  # words, and the short pauses between them
        receive(microphone, -58, 0.5)
        assert receive(microphone, -85, 0.5) == pytest.approx(15, abs=3.5)


def test_a_loud_moment_ends_it_for_some_seconds_and_a_second_of_speech_for_good(microphone: QuietMicrophone) -> None:
    assert receive(microphone, -85, 5) == pytest.approx(15, abs=0.01)
    assert receive(microphone, -39, FRAME_SECONDS) == 0, "at once, so that nothing is distorted"
    receive(microphone, -39, 0.3)  # a door
    assert receive(microphone, -85, 9) == pytest.approx(15, abs=0.01)
    for _ in range(2):
        receive(microphone, -39, 0.4)
        receive(microphone, -85, 1)
    assert receive(microphone, -85, 60) == 0


def test_no_loud_frame_is_amplified_whenever_speech_begins() -> None:
    for quiet_frames in range(120, 250):  # the noise is known after 125
        microphone = QuietMicrophone(power(-60))
        for _ in range(quiet_frames):
            microphone.follow(power(-85))
        for _ in range(40):
            microphone.follow(power(-30))
            assert microphone.gain == 1, quiet_frames


@given(st.lists(st.floats(0, FULL_SCALE_POWER), max_size=600))
def test_the_gain_is_within_its_limits_whatever_is_received(powers: list[float]) -> None:
    microphone = QuietMicrophone(power(-60))
    for each in powers:
        microphone.follow(each)
        assert 1 <= microphone.gain <= 10 ** (30 / 20)


def test_samples_are_amplified_within_sixteen_bits() -> None:
    samples = np.array([-32768, -2, 0, 3, 32767], np.int16)
    assert amplified(samples, 2.5).tolist() == [-32768, -5, 0, 8, 32767]
