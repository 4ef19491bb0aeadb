"""From audio to words with Vosk, which is fed while the person speaks."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.events import SAMPLE_RATE
from device.recognition.vosk_library import VoskRecogniser
from device.recognition.vosk_loading import SpeechModelLoading


class Transcriber:
    """Transcribes one utterance after the other.

    Vosk joins its words with its grammar while it decodes, and a recogniser keeps what it has joined: for the next
    utterance it needs half of the time, and more and more memory. So a recogniser is replaced after some utterances.
    Each calling thread has a separate recogniser; all share the model.

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

    def begin(self) -> "Transcription":
        """Begin an utterance; the previous one is over with this call, whether or not its text was read."""
        current = self._current
        if current.recogniser is None or current.utterances >= self._utterances_per_recogniser:
            current.recogniser = None  # frees the old one before there are two
            current.recogniser = VoskRecogniser(self._model, SAMPLE_RATE)
            current.utterances = 0
        else:
            current.recogniser.final_result()  # discards the rest of the previous utterance
        current.utterances += 1
        return Transcription(current.recogniser, self._lone_word_confidence)


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


class _CurrentRecogniser(threading.local):
    """The recogniser of a thread. Two threads that shared one would mix up their words, and crash."""

    recogniser: VoskRecogniser | None = None
    utterances = 0
