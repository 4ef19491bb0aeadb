import numpy as np
import pytest
from numpy.typing import NDArray

from device.audio.level import level_dbfs
from device.audio.silero_vad import Silero
from device.room.measurement import measure
from tests.device.room.audio import RATE, noise, recorded_speech, recording, tone


class LoudIsSpeech:
    """A detector for which frames above -23 dBFS are speech; noise is amplified to -25 at most."""

    def probability(self, samples: NDArray[np.int16]) -> float:
        return float(level_dbfs(samples) > -23)

    def reset(self) -> None:
        pass


def voice(dbfs: float, seconds: float = 3.0) -> NDArray[np.float64]:
    return tone(200, dbfs, seconds)


def test_levels_are_those_of_noise_and_voice() -> None:
    found = measure(recording(noise(-62, 3)), recording(voice(-15)), LoudIsSpeech(), 0.5)
    assert found.room.floor_dbfs == pytest.approx(-62, abs=0.2)
    assert found.room.loud_dbfs == pytest.approx(-61.5, abs=0.3)
    assert found.room.speech_s == 0
    assert found.speech is not None
    assert found.speech.level_dbfs == pytest.approx(-15, abs=0.1)
    assert found.speech.seconds == pytest.approx(3, abs=0.04)
    assert found.signal_to_noise_db == pytest.approx(47, abs=0.3)
    assert found.peak_dbfs == pytest.approx(-12, abs=0.1)
    assert (found.clipped, found.hum, found.silent) == (0, None, False)


def test_a_door_that_closes_changes_no_level() -> None:
    room = noise(-62, 4)
    room[8000:10000] = noise(-22, 0.125)  # -22 dBFS for an eighth of a second: the mean would be -37
    found = measure(recording(room), recording(voice(-15)), LoudIsSpeech(), 0.5)
    assert found.room.floor_dbfs == pytest.approx(-62, abs=0.2)
    assert found.room.loud_dbfs == pytest.approx(-61.5, abs=0.5)


def test_quiet_parts_of_speech_and_pauses() -> None:
    parts = [voice(-15, 2), voice(-22, 1), noise(-62, 2)]
    found = measure(recording(noise(-62, 3)), recording(np.concatenate(parts)), LoudIsSpeech(), 0.5)
    assert found.speech is not None
    assert found.speech.level_dbfs == pytest.approx(-15, abs=0.1), "two thirds of the voiced frames"
    assert found.speech.quiet_dbfs == pytest.approx(-22, abs=0.1), "a third of the voiced frames"
    assert found.speech.seconds == pytest.approx(3, abs=0.1), "the pause does not count"


def test_speech_in_the_room_is_left_out() -> None:
    reverberation = voice(-35, 0.25)
    room = np.concatenate([noise(-62, 2), voice(-15, 1), reverberation, noise(-62, 2)])
    found = measure(recording(room), recording(voice(-15)), LoudIsSpeech(), 0.5)
    assert found.room.speech_s == pytest.approx(1, abs=0.1)
    assert found.room.loud_dbfs == pytest.approx(-61.5, abs=0.5)


def test_a_room_full_of_speech_has_the_level_of_its_quietest_frames() -> None:
    room = np.concatenate([part for _ in range(6) for part in (voice(-15, 0.4), noise(-62, 0.12))])
    found = measure(recording(room), recording(voice(-15)), LoudIsSpeech(), 0.5)
    assert found.room.speech_s > 2
    assert found.room.floor_dbfs == found.room.loud_dbfs < -50


def test_a_single_click_is_no_speech() -> None:
    speech = noise(-62, 3)
    speech[20000:20064] = 0.9
    found = measure(recording(noise(-62, 3)), recording(speech), LoudIsSpeech(), 0.5)
    assert (found.speech, found.signal_to_noise_db) == (None, None)


def test_the_clipped_share_is_that_of_the_worst_channel() -> None:
    speech = voice(-15)
    clipped = np.clip(voice(-15), -1, 1)
    clipped[:240], clipped[240:480] = 1.0, -1.0  # together 1 % of the samples
    found = measure(recording(noise(-62, 3), noise(-62, 3)), recording(speech, clipped), LoudIsSpeech(), 0.5)
    assert found.clipped == pytest.approx(0.01, abs=1e-6)
    assert found.peak_dbfs == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.125])
def test_a_muted_microphone(value: float) -> None:
    constant = np.full(3 * RATE, value)
    found = measure(recording(constant), recording(constant), Silero(), 0.5)
    assert found.silent
    assert found.speech is None


def test_a_microphone_that_suppresses_all_noise_is_not_muted() -> None:
    silence, spoken = recording(np.zeros(3 * RATE)), recording(voice(-15))
    assert not measure(silence, spoken, LoudIsSpeech(), 0.5).silent
    assert not measure(spoken, silence, LoudIsSpeech(), 0.5).silent


def test_hum_is_looked_for_in_the_room() -> None:
    quiet, humming = noise(-62, 3), noise(-62, 3) + tone(50, -50, 3)
    found = measure(recording(humming), recording(quiet), LoudIsSpeech(), 0.5).hum
    assert found is not None
    assert found.mains_hz == 50
    assert measure(recording(quiet), recording(humming), LoudIsSpeech(), 0.5).hum is None


@pytest.mark.parametrize("level", [0.0, -20.0, -40.0])
def test_real_speech_is_detected_at_any_level(level: float) -> None:
    """-40 dB puts this clip at -68 dBFS, below the default gate, where the detector alone finds nothing."""
    gain = 10 ** (level / 20)
    speech = recorded_speech()
    speech = speech * gain + noise(-90, len(speech) / RATE)
    found = measure(recording(noise(-90, 3)), recording(speech), Silero(), 0.5)
    assert found.room.speech_s == 0
    assert found.speech is not None
    assert found.speech.level_dbfs == pytest.approx(-28 + level, abs=1.5)
    assert found.speech.quiet_dbfs == pytest.approx(-32 + level, abs=2)


@pytest.mark.parametrize("dbfs", [-90, -70, -50, -30])
def test_noise_is_no_speech(dbfs: float) -> None:
    found = measure(recording(noise(dbfs, 10)), recording(noise(dbfs, 10, seed=1)), Silero(), 0.5)
    assert found.speech is None
    assert found.room.speech_s == 0


def test_real_speech_in_the_room_is_noticed() -> None:
    room = np.concatenate([noise(-70, 2), recorded_speech(), noise(-70, 2)])
    found = measure(recording(room), recording(recorded_speech()), Silero(), 0.5)
    assert found.room.speech_s > 1
    assert found.room.floor_dbfs < -60
