import numpy as np
import pytest
from numpy.typing import NDArray

from device.room.channel_faults import ChannelState, channel_states
from tests.conftest import CLIPS
from tests.device.room.audio import RATE, int16, noise


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float64]:
    import soundfile

    samples, _ = soundfile.read(CLIPS / "austen-0880.flac")
    return np.asarray(samples)


def states(voice: NDArray[np.float64], *channels: NDArray[np.float64]) -> list[ChannelState]:
    room = [noise(-65, 2, seed=number) for number in range(len(channels))]
    return list(channel_states(int16(*room), int16(*channels), RATE))


def hiss(voice: NDArray[np.float64], seed: int = 5, dbfs: float = -75) -> NDArray[np.float64]:
    return noise(dbfs, len(voice) / RATE, seed=seed)


def test_good_channels(voice: NDArray[np.float64]) -> None:
    found = states(voice, voice + hiss(voice, 1), 0.6 * voice + hiss(voice, 2))
    assert [(each.dead, each.inverted) for each in found] == [(False, False)] * 2
    assert found[0].level_dbfs - found[1].level_dbfs == pytest.approx(4.4, abs=0.1)
    assert abs(found[0].offset) < 0.001


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_constant_channel_is_dead(voice: NDArray[np.float64], constant: float) -> None:
    found = states(voice, np.full(len(voice), constant), voice)
    assert [(each.dead, each.inverted) for each in found] == [(True, False), (False, False)]


def test_a_channel_with_the_noise_of_its_amplifier_is_dead(voice: NDArray[np.float64]) -> None:
    found = states(voice, voice, hiss(voice), voice + hiss(voice, 3))
    assert [each.dead for each in found] == [False, True, False]


def test_a_quieter_channel_is_not_dead(voice: NDArray[np.float64]) -> None:
    assert [each.dead for each in states(voice, voice, 0.1 * voice)] == [False, False]


@pytest.mark.parametrize("gain", [-0.9, -0.4])
def test_a_channel_in_opposite_phase(voice: NDArray[np.float64], gain: float) -> None:
    found = states(voice, voice + hiss(voice, 1), gain * voice + hiss(voice, 2))
    assert [(each.dead, each.inverted) for each in found] == [(False, False), (False, True)]


@pytest.mark.parametrize("delay_ms", [0.2, 1, 5, 20])
def test_a_distant_microphone_is_not_in_opposite_phase(voice: NDArray[np.float64], delay_ms: float) -> None:
    assert not any(each.inverted for each in states(voice, voice, np.roll(voice, round(delay_ms * RATE / 1000))))


def test_eight_channels(voice: NDArray[np.float64]) -> None:
    channels = [voice * gain for gain in (0.5, 0.6, -0.7, 1.0, 0.0, 0.9, -0.8, 0.5)]
    found = states(voice, *channels)
    assert [number for number, each in enumerate(found) if each.inverted] == [2, 6]
    assert [number for number, each in enumerate(found) if each.dead] == [4]


def test_the_loudest_channel_may_be_the_exception(voice: NDArray[np.float64]) -> None:
    assert [each.inverted for each in states(voice, 0.5 * voice, -voice, 0.6 * voice)] == [False, True, False]


def test_an_offset_is_measured_in_the_room_and_hides_no_fault(voice: NDArray[np.float64]) -> None:
    room = int16(noise(-65, 2) + 0.05, noise(-65, 2) - 0.2)
    found = channel_states(room, int16(0.5 * voice + 0.05, hiss(voice) - 0.2), RATE)
    assert [each.offset for each in found] == pytest.approx([0.05, -0.2], abs=1e-3)
    assert [each.dead for each in found] == [False, True], "its offset is louder than the voice"
    same = channel_states(room, int16(0.5 * voice + 0.05, 0.5 * voice - 0.2), RATE)
    assert [each.inverted for each in same] == [False, False]


def test_one_channel(voice: NDArray[np.float64]) -> None:
    [found] = states(voice, voice)
    assert not found.dead
    assert not found.inverted
    [muted] = channel_states(np.zeros((RATE, 1), np.int16), np.zeros((RATE, 1), np.int16), RATE)
    assert (muted.level_dbfs, muted.dead) == (-96, True)
