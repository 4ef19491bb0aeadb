"""How the end of an utterance sounds and reads."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from device.events import FRAME_LENGTH, SAMPLE_RATE
from device.recognition.end_of_utterance import speaks_on, voice_falls
from tests.conftest import CLIPS


def voice(*levels_db: float) -> NDArray[np.int16]:
    """A tone with one level for each frame, dB relative to full scale."""
    phase = np.arange(len(levels_db) * FRAME_LENGTH) / SAMPLE_RATE * 2 * np.pi * 200
    samples: NDArray[np.int16] = (
        np.sin(phase) * np.repeat(10 ** (np.array(levels_db) / 20), FRAME_LENGTH) * 32767
    ).astype(np.int16)
    return samples


@pytest.mark.parametrize("loudness_db", [-10.0, -40.0])
def test_a_voice_falls_at_the_end_of_a_sentence_and_not_in_a_held_vowel(loudness_db: float) -> None:
    assert voice_falls(voice(*([loudness_db] * 20), *(loudness_db - 6 * number for number in range(1, 5))))
    assert not voice_falls(voice(*([loudness_db] * 24)))
    assert not voice_falls(voice(*([loudness_db] * 20), *([loudness_db - 10] * 4)))


def test_only_the_last_second_counts() -> None:
    assert not voice_falls(voice(*([-10.0] * 20), *([-30.0] * 36)))
    assert voice_falls(voice(*([-60.0] * 20), *([-30.0] * 28), *([-50.0] * 4)))


def test_a_recorded_sentence_falls_where_it_ends() -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    loud = np.flatnonzero(np.abs(samples) > 400)
    end = (loud[-1] // FRAME_LENGTH + 1) * FRAME_LENGTH
    assert voice_falls(samples[:end])
    assert not voice_falls(samples[: end // 2 // FRAME_LENGTH * FRAME_LENGTH])


@given(arrays(np.int16, st.integers(0, 50).map(lambda frames: frames * FRAME_LENGTH)))
def test_any_samples_can_be_judged(samples: NDArray[np.int16]) -> None:
    assert voice_falls(samples) in (True, False)


def test_silence_falls_nowhere() -> None:
    assert not voice_falls(np.zeros(30 * FRAME_LENGTH, np.int16))


@pytest.mark.parametrize("text", ["i was late and", "but", "uh", "i want to go because um", "give me the"])
def test_words_after_which_people_speak_on(text: str) -> None:
    assert speaks_on(text)


@pytest.mark.parametrize("text", ["", "he might even have been made amiable himself", "sand", "the dog", "thank you"])
def test_words_that_may_be_the_last(text: str) -> None:
    assert not speaks_on(text)
