import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.errors import SpeechModelError
from device.recognition.transcriber import Transcriber, Transcription, _CurrentRecogniser
from tests.conftest import CLIPS
from tests.waiting import LIMIT_S, wait_until


@pytest.fixture(scope="module")
def transcriber(speech_model: Path) -> Transcriber:
    return Transcriber(speech_model, lone_word_confidence=0.7)


def transcribe(transcriber: Transcriber, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> str:
    transcription = transcriber.begin()
    for start in range(0, len(samples), 512):
        transcription.feed(samples[start : start + 512])
    return transcription.text()


def test_words(transcriber: Transcriber) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    assert transcribe(transcriber, samples) == "he might even have been made amiable himself"


def test_words_while_they_are_spoken(transcriber: Transcriber) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    transcription = transcriber.begin()
    guesses = []
    for start in range(0, len(samples), 4096):
        transcription.feed(samples[start : start + 4096])
        guesses.append(transcription.so_far())
    assert guesses[0] == ""
    lengths = [len(guess.split()) for guess in guesses]
    assert lengths == sorted(lengths), "the guesses grow"
    assert "he might even" in guesses[len(guesses) // 2]
    assert transcription.text() == "he might even have been made amiable himself", (
        "reading the guesses has no influence"
    )
    transcription.feed(samples)
    assert transcription.so_far().startswith("he might even have been made amiable himself he might even")


def test_a_pause_within_an_utterance_loses_no_words(transcriber: Transcriber) -> None:
    """Vosk ends a sentence by its own rules at a pause; the utterance goes on."""
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    pause = np.zeros(3 * 16_000, np.int16)
    assert transcribe(transcriber, np.concatenate([samples, pause, samples])).split().count("amiable") == 2


def test_no_words_are_left_over_for_the_next_utterance(transcriber: Transcriber) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    transcriber.begin().feed(samples)
    assert transcribe(transcriber, np.zeros(16_000, np.int16)) == ""


def test_a_recogniser_is_replaced_after_some_utterances_and_transcribes_each_like_the_first(speech_model: Path) -> None:
    transcriber = Transcriber(speech_model, 0.7, utterances_per_recogniser=3)
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    used = []
    for _ in range(7):
        assert transcribe(transcriber, samples) == "he might even have been made amiable himself"
        used.append(transcriber._current.recogniser)
    assert [used.count(each) for each in dict.fromkeys(used)] == [3, 3, 1]


def test_a_prepared_recogniser_transcribes_like_one_that_is_not(speech_model: Path) -> None:
    transcriber = Transcriber(speech_model, 0.7, utterances_per_recogniser=2)
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    used = []
    for wait in (True, False, True, True, False):
        transcriber.prepare(wait=wait)
        assert transcribe(transcriber, samples) == "he might even have been made amiable himself"
        used.append(transcriber._current.recogniser)
    assert [used.count(each) for each in dict.fromkeys(used)] == [2, 2, 1]


class CountedRecogniser:
    """A recogniser of which the test knows how many there are, and what each is doing."""

    alive = 0
    most_alive = 0
    accepted = 0
    begun = threading.Event()
    may_go_on = threading.Event()
    fault: SpeechModelError | None = None

    def __init__(self, *_arguments: object) -> None:
        if self.fault is not None:
            raise self.fault
        kind = type(self)
        kind.alive += 1
        kind.most_alive = max(kind.most_alive, kind.alive)

    def __del__(self) -> None:
        if self.fault is None:
            type(self).alive -= 1

    def accept(self, audio: bytes) -> bool:
        kind = type(self)
        kind.accepted += len(audio) // 2
        kind.begun.set()
        assert kind.may_go_on.wait(LIMIT_S)
        return False

    def final_result(self) -> str:
        return "{}"


@pytest.fixture
def counted(transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch) -> type[CountedRecogniser]:
    class Counted(CountedRecogniser):
        begun = threading.Event()
        may_go_on = threading.Event()

    monkeypatch.setattr("device.recognition.transcriber.VoskRecogniser", Counted)
    monkeypatch.setattr(transcriber, "_current", _CurrentRecogniser())
    monkeypatch.setattr(transcriber, "_utterances_per_recogniser", 1)
    return Counted


def test_an_utterance_waits_for_one_step_of_the_preparation(
    transcriber: Transcriber, counted: type[CountedRecogniser]
) -> None:
    transcriber.prepare()
    assert counted.begun.wait(LIMIT_S)
    preparation = transcriber._current.preparation
    assert preparation is not None
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(preparation.recogniser)
        wait_until(preparation._needed.is_set)
        counted.may_go_on.set()
        assert isinstance(begun.result(LIMIT_S), counted)
    assert counted.accepted == 512


def test_there_are_never_two_recognisers(transcriber: Transcriber, counted: type[CountedRecogniser]) -> None:
    counted.may_go_on.set()
    for _ in range(3):
        transcriber.prepare(wait=True)
        transcriber.begin()
    assert (counted.most_alive, counted.accepted) == (1, 3 * 16_000)


def test_a_recogniser_that_is_not_due_is_not_replaced(transcriber: Transcriber) -> None:
    transcriber.begin()
    recogniser = transcriber._current.recogniser
    transcriber.prepare()
    transcriber.begin()
    assert transcriber._current.recogniser is recogniser


def test_a_preparation_that_fails_is_reported_when_someone_speaks(
    transcriber: Transcriber, counted: type[CountedRecogniser]
) -> None:
    counted.fault = SpeechModelError("no memory")
    transcriber.prepare()
    with pytest.raises(SpeechModelError, match="no memory"):
        transcriber.begin()


def test_threads_that_transcribe_at_once_do_not_disturb_each_other(transcriber: Transcriber) -> None:
    """With one recogniser they would mix up their words, and crash the process."""
    clips = [soundfile.read(CLIPS / f"{name}.flac", dtype="int16")[0] for name in ("austen-0930", "austen-0920")]
    alone = [transcribe(transcriber, clip) for clip in clips]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(partial(transcribe, transcriber), clips * 3)) == alone * 3


def test_noise_is_not_transcribed(transcriber: Transcriber, speech_model: Path) -> None:
    noise = (np.random.default_rng(0).standard_normal(16_000 * 4) * 1000).astype(np.int16)
    assert transcribe(Transcriber(speech_model, 0.0), noise) == "huh"
    assert transcribe(transcriber, noise) == ""


class FinishedRecogniser:
    """A recogniser whose utterance is over, with the words and confidences of the test."""

    def __init__(self, *words: tuple[str, float]) -> None:
        self._words = words

    def final_result(self) -> str:
        return json.dumps({"result": [{"word": word, "conf": confidence} for word, confidence in self._words]})


def test_a_lone_word_counts_if_vosk_is_confident() -> None:
    assert Transcription(FinishedRecogniser(("himself", 0.81)), 0.7).text() == "himself"
    assert Transcription(FinishedRecogniser(("himself", 0.81)), 0.81).text() == "himself"
    assert Transcription(FinishedRecogniser(("himself", 0.81)), 0.9).text() == ""
    assert Transcription(FinishedRecogniser(("himself", 0.81), ("huh", 0.1)), 0.9).text() == "himself huh"


def test_a_lone_word_of_a_voice_is_transcribed(speech_model: Path) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    pause = np.zeros(8000, np.int16)
    # Vosk dithers the audio: of 150 times its confidence in this word was between 0.66 and 1, and of 60 times it was
    # four times "themself".
    word = np.concatenate([pause, samples[int(2.3 * 16_000) :], pause])
    assert transcribe(Transcriber(speech_model, 0.4), word) in ("himself", "themself")


def test_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(SpeechModelError, match="Vosk cannot load it") as error:
        Transcriber(tmp_path, 0.7)
    assert error.value.fix == "run `edge-mcnn fetch-speech-model` to get a complete one"
