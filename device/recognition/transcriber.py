"""From audio to words with Vosk, which is fed while the person speaks."""

import atexit
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.events import FRAME_LENGTH, SAMPLE_RATE
from device.recognition.vosk_library import VoskModel, VoskRecogniser
from device.recognition.vosk_loading import Loading, SpeechModelLoading

_NOISE_LENGTH = SAMPLE_RATE
"""Samples of noise with which a recogniser is prepared.

They cost no more than they save: what is joined for any sound, such as the beginnings of all words, need not be joined
for the first utterance. Two seconds of speech would save twice as much, and cost four times as much as they save.
"""
_NOISE_LEVEL = 1000.0
"""RMS of the noise. In silence Vosk follows few hypotheses, so less would be prepared."""
_STEP_BYTES = FRAME_LENGTH * 2


class Transcriber:
    """Transcribes one utterance after the other.

    Vosk joins its words with its grammar while it decodes, and a recogniser keeps what it has joined: for the next
    utterance it needs half of the time, and more and more memory. So a recogniser is replaced after some utterances.
    The first decoding with a new one takes longest, which `prepare` moves to a time at which nobody speaks. Each
    calling thread has a separate recogniser; all share the model.

    Args:
        speech_model: folder of a Vosk model; or a model that is being loaded, with its own `search`.
        lone_word_confidence: a transcript of a single word with a lower confidence (0 to 1) is dropped.
        utterances_per_recogniser: number of utterances after which a recogniser is replaced.
        search: "quick", or "thorough", which is what the model's maker published.

    Raises:
        SpeechModelError: Vosk cannot load the model, has too little memory for it or hangs, or Vosk itself cannot be
            loaded.
    """

    def __init__(
        self,
        speech_model: Path | SpeechModelLoading,
        lone_word_confidence: float,
        utterances_per_recogniser: int = 16,
        *,
        search: str = "quick",
    ) -> None:
        loading = SpeechModelLoading(speech_model, search) if isinstance(speech_model, Path) else speech_model
        self._model = loading.model()
        self._lone_word_confidence = lone_word_confidence
        self._utterances_per_recogniser = utterances_per_recogniser
        self._current = _CurrentRecogniser()

    def prepare(self, *, wait: bool = False) -> None:
        """Make a recogniser in a thread and decode noise with it, if the next utterance needs a new one.

        Call it in the thread that calls `begin`, while nobody speaks. An utterance that begins meanwhile waits for a
        step of 32 ms of audio at most, and gets a recogniser that is prepared that far.

        Args:
            wait: whether to return only when it is prepared.
        """
        current = self._current
        if current.preparation is None and self._is_due(current):
            replaced = [current.recogniser]
            current.recogniser = None
            current.preparation = _Preparation(self._model, replaced)
        if wait and current.preparation is not None:
            current.preparation.wait()

    def begin(self) -> "Transcription":
        """Begin an utterance; the previous one is over with this call, whether or not its text was read.

        Raises:
            SpeechModelError: Vosk cannot make a recogniser.
        """
        current = self._current
        if current.preparation is not None:
            preparation, current.preparation = current.preparation, None
            current.recogniser, current.utterances = preparation.recogniser(), 0
        if current.recogniser is None or self._is_due(current):
            current.recogniser = None  # frees the old one before there are two
            current.recogniser = VoskRecogniser(self._model, SAMPLE_RATE)
            current.utterances = 0
        else:
            current.recogniser.final_result()  # discards the rest of the previous utterance, or of the noise
        current.utterances += 1
        return Transcription(current.recogniser, self._lone_word_confidence)

    def _is_due(self, current: "_CurrentRecogniser") -> bool:
        return current.recogniser is None or current.utterances >= self._utterances_per_recogniser


class Transcription:
    """The words of one utterance while it is spoken; made by `Transcriber.begin`."""

    def __init__(self, recogniser: Any, lone_word_confidence: float) -> None:
        self._recogniser = recogniser
        self._lone_word_confidence = lone_word_confidence
        self._words: list[tuple[str, float]] = []

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Process the next samples, shape (n,), 16 kHz."""
        if self._recogniser.accept(samples.tobytes()):  # Vosk detected a pause by its own rules
            self._add(self._recogniser.result())

    def so_far(self) -> str:
        """Return the words as Vosk guesses them now, formatted as `text`; the last ones may still change."""
        guessed = json.loads(self._recogniser.partial_result()).get("partial", "")
        return " ".join([*(word for word, _ in self._words), *guessed.split()])

    def text(self) -> str:
        """Return the words so far, lower case, separated by spaces; empty if none was recognised.

        More samples may be fed afterwards; as after any pause, they are then recognised from their sound alone, without
        the words before them.
        """
        self._add(self._recogniser.final_result())
        if len(self._words) == 1 and self._words[0][1] < self._lone_word_confidence:
            return ""
        return " ".join(word for word, _ in self._words)

    def _add(self, result: str) -> None:
        self._words += [(word["word"], word["conf"]) for word in json.loads(result).get("result", [])]


class _Preparation:
    """A recogniser that a thread makes and prepares, after it has freed the old one.

    Args:
        model: the model of the recogniser.
        replaced: the only reference to the recogniser that it replaces; removed before there are two.
    """

    def __init__(self, model: VoskModel, replaced: list[VoskRecogniser | None]) -> None:
        self._model = model
        self._replaced = replaced
        self._needed = threading.Event()
        self._loading = Loading(self._prepare)
        atexit.register(self._needed.set)  # runs before `Loading` waits for its thread

    def wait(self) -> None:
        """Wait until it is prepared."""
        self._loading.result()

    def recogniser(self) -> VoskRecogniser:
        """Return the recogniser, prepared or not; the noise may not be over for it.

        Raises:
            SpeechModelError: Vosk cannot make it.
        """
        self._needed.set()
        atexit.unregister(self._needed.set)
        return self._loading.result()

    def _prepare(self) -> VoskRecogniser:
        self._replaced.clear()
        recogniser = VoskRecogniser(self._model, SAMPLE_RATE)
        noise = np.random.default_rng(0).normal(0, _NOISE_LEVEL, _NOISE_LENGTH).astype(np.int16).tobytes()
        for start in range(0, len(noise), _STEP_BYTES):
            if self._needed.is_set():
                return recogniser
            recogniser.accept(noise[start : start + _STEP_BYTES])
        recogniser.final_result()
        return recogniser


class _CurrentRecogniser(threading.local):
    """The recogniser of a thread. Two threads that shared one would mix up their words, and crash."""

    recogniser: VoskRecogniser | None = None
    preparation: _Preparation | None = None
    """What makes the next recogniser; there is no current one meanwhile."""
    utterances = 0
