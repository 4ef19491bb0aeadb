import numpy as np
import pytest
from numpy.typing import NDArray

from device.room.channel_faults import ChannelState, channel_states
from tests.device.room.audio import RATE, int16, noise, recorded_speech

VOICE = recorded_speech()


def states(*channels: NDArray[np.float64]) -> list[ChannelState]:
    room = [noise(-65, 2, seed=number) for number in range(len(channels))]
    return list(channel_states(int16(*room), int16(*channels), RATE))


def hiss(seed: int = 5, dbfs: float = -75) -> NDArray[np.float64]:
    return noise(dbfs, len(VOICE) / RATE, seed=seed)


def test_good_channels() -> None:
    found = states(VOICE + hiss(1), 0.6 * VOICE + hiss(2))
    assert [(each.dead, each.inverted) for each in found] == [(False, False)] * 2
    assert found[0].level_dbfs - found[1].level_dbfs == pytest.approx(4.4, abs=0.1)
    assert abs(found[0].offset) < 0.001


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_constant_channel_is_dead(constant: float) -> None:
    found = states(np.full(len(VOICE), constant), VOICE)
    assert [(each.dead, each.inverted) for each in found] == [(True, False), (False, False)]


def test_a_channel_with_the_noise_of_its_amplifier_is_dead() -> None:
    found = states(VOICE, hiss(), VOICE + hiss(3))
    assert [each.dead for each in found] == [False, True, False]


def test_a_quieter_channel_is_not_dead() -> None:
    assert [each.dead for each in states(VOICE, 0.1 * VOICE)] == [False, False]


@pytest.mark.parametrize(
    ("gain", "noise_dbfs", "inverted"), [(-0.9, -75, True), (-0.4, -75, True), (-0.9, -32, True), (-0.4, -30, False)]
)
def test_a_channel_in_opposite_phase_that_would_cancel_most_of_the_other(
    gain: float, noise_dbfs: float, inverted: bool
) -> None:
    found = states(VOICE + hiss(1, noise_dbfs), gain * VOICE + hiss(2, noise_dbfs))
    assert [(each.dead, each.inverted) for each in found] == [(False, False), (False, inverted)]


@pytest.mark.parametrize("delay_ms", [0.2, 1, 5, 20])
def test_a_distant_microphone_is_not_in_opposite_phase(delay_ms: float) -> None:
    assert not any(each.inverted for each in states(VOICE, np.roll(VOICE, round(delay_ms * RATE / 1000))))


def test_eight_channels() -> None:
    channels = [VOICE * gain for gain in (0.5, 0.6, -0.7, 1.0, 0.0, 0.9, -0.8, 0.5)]
    found = states(*channels)
    assert [number for number, each in enumerate(found) if each.inverted] == [2, 6]
    assert [number for number, each in enumerate(found) if each.dead] == [4]


def test_the_loudest_channel_may_be_the_exception() -> None:
    assert [each.inverted for each in states(0.5 * VOICE, -VOICE, 0.6 * VOICE)] == [False, True, False]


def test_an_offset_is_measured_in_the_room_and_hides_no_fault() -> None:
    room = int16(noise(-65, 2) + 0.05, noise(-65, 2) - 0.2)
    found = channel_states(room, int16(0.5 * VOICE + 0.05, hiss() - 0.2), RATE)
    assert [each.offset for each in found] == pytest.approx([0.05, -0.2], abs=1e-3)
    assert [each.dead for each in found] == [False, True], "its offset is louder than the voice"
    same = channel_states(room, int16(0.5 * VOICE + 0.05, 0.5 * VOICE - 0.2), RATE)
    assert [each.inverted for each in same] == [False, False]


def test_one_channel() -> None:
    [found] = states(VOICE)
    assert not found.dead
    assert not found.inverted
    [muted] = channel_states(np.zeros((RATE, 1), np.int16), np.zeros((RATE, 1), np.int16), RATE)
    assert (muted.level_dbfs, muted.dead) == (-96, True)
