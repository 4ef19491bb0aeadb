import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.errors import SpeechModelError
from device.recognition.transcriber import Transcriber
from tests.conftest import CLIPS


@pytest.fixture(scope="module")
def transcriber(speech_model: Path) -> Transcriber:
    return Transcriber(speech_model, lone_word_confidence=0.7)


def heard(transcriber: Transcriber, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> str:
    transcription = transcriber.begin()
    for start in range(0, len(samples), 512):
        transcription.feed(samples[start : start + 512])
    return transcription.text()


def test_words(transcriber: Transcriber) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    assert heard(transcriber, samples) == "he might even have been made amiable himself"


def test_words_while_they_are_spoken(transcriber: Transcriber) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    transcription = transcriber.begin()
    guesses = []
    for start in range(0, len(samples), 4096):
        transcription.feed(samples[start : start + 4096])
        guesses.append(transcription.so_far())
    assert guesses[0] == ""
    lengths = [len(guess.split()) for guess in guesses]
    assert lengths == sorted(lengths), "more and more"
    assert "he might even" in guesses[len(guesses) // 2]
    assert transcription.text() == "he might even have been made amiable himself", "who asked changed nothing"
    transcription.feed(samples)
    assert transcription.so_far().startswith("he might even have been made amiable himself he might even")


def test_a_pause_within_loses_no_words(transcriber: Transcriber) -> None:
    """Vosk ends a sentence of its own at a pause; the utterance goes on."""
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    pause = np.zeros(3 * 16_000, np.int16)
    assert heard(transcriber, np.concatenate([samples, pause, samples])).split().count("amiable") == 2


def test_nothing_is_left_over_for_the_next(transcriber: Transcriber) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    transcriber.begin().feed(samples)
    assert heard(transcriber, np.zeros(16_000, np.int16)) == ""


def test_a_recogniser_serves_some_utterances_and_hears_each_as_the_first(speech_model: Path) -> None:
    transcriber = Transcriber(speech_model, 0.7, utterances_per_recogniser=3)
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    served = []
    for _ in range(7):
        assert heard(transcriber, samples) == "he might even have been made amiable himself"
        served.append(transcriber._current.recogniser)
    assert [served.count(each) for each in dict.fromkeys(served)] == [3, 3, 1]


def test_threads_that_hear_at_once_hear_what_each_would_alone(transcriber: Transcriber) -> None:
    """In one recogniser they would mix up their words, and bring the process down."""
    clips = [soundfile.read(CLIPS / f"{name}.flac", dtype="int16")[0] for name in ("austen-0930", "austen-0920")]
    alone = [heard(transcriber, clip) for clip in clips]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(partial(heard, transcriber), clips * 3)) == alone * 3


def test_noise_says_nothing(transcriber: Transcriber, speech_model: Path) -> None:
    noise = (np.random.default_rng(0).standard_normal(16_000 * 4) * 1000).astype(np.int16)
    assert heard(Transcriber(speech_model, 0.0), noise) == "huh"
    assert heard(transcriber, noise) == ""


def test_a_lone_word_counts_if_vosk_is_sure(speech_model: Path) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    pause = np.zeros(8000, np.int16)
    word = np.concatenate([pause, samples[int(2.3 * 16_000) :], pause])  # Vosk is 0.81 sure of it
    assert heard(Transcriber(speech_model, 0.7), word) == "himself"
    assert heard(Transcriber(speech_model, 0.9), word) == ""


def test_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(SpeechModelError, match="edge-mcnn fetch-speech-model"):
        Transcriber(tmp_path, 0.7)


def test_without_a_library_of_the_system(speech_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vosk.py").write_text(
        "raise OSError(\"cannot load library 'libvosk.so': libatomic.so.1: cannot open shared object file\")"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "vosk", raising=False)
    with pytest.raises(SpeechModelError, match=r"; run: sudo apt-get install libatomic1$"):
        Transcriber(speech_model, 0.7)
