"""Joins the stations: frames in, predictions out. It holds nothing but the joining."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.bundle import Companions
from device.front_end.spectrogram import MelSpectrogram, picture
from device.front_end.tokens import Tokens
from device.hearing.endpoint import Endpointer, Step
from device.sentence import Frame, Prediction, Utterance
from device.understanding.transcriber import Transcriber, Transcription


class Answers(Protocol):
    """What tells the classes apart: `device.understanding.classifier.Classifier`."""

    def probabilities(self, picture: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        """Probability of each class."""


class Listener:
    """Hears one stream of frames and answers each utterance in it.

    Args:
        endpointer: says which frames belong to an utterance; like the listener itself it is for one stream.
        transcriber: hears the words in them.
        classifier: answers.
        companions: whose front end and vocabulary the classifier's network was trained with.
    """

    def __init__(
        self, endpointer: Endpointer, transcriber: Transcriber, classifier: Answers, companions: Companions
    ) -> None:
        self._endpointer = endpointer
        self._transcriber = transcriber
        self._classifier = classifier
        self._front_end = companions.front_end
        self._tokens = Tokens(companions.vocabulary, self._front_end)
        self._hearing: tuple[Transcription, MelSpectrogram] | None = None

    def predictions(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """One prediction per utterance, as soon as it is over."""
        for frame in frames:
            yield from self._after(self._endpointer.push(frame))
        yield from self._after(self._endpointer.finish())

    def _after(self, step: Step) -> Iterator[Prediction]:
        if step.frames and self._hearing is None:
            self._hearing = self._transcriber.begin(), MelSpectrogram(self._front_end)
        if self._hearing is None:
            return
        transcription, spectrogram = self._hearing
        for frame in step.frames:
            transcription.feed(frame.samples)
            spectrogram.feed(frame.samples)
        if step.utterance is not None:
            self._hearing = None
            yield self._answer(step.utterance, transcription.finish(), spectrogram.finish())

    def _answer(self, utterance: Utterance, text: str, mel: NDArray[np.float32]) -> Prediction:
        image = picture(mel, self._front_end)
        probabilities = self._classifier.probabilities(image, self._tokens.ids(text))
        label = max(probabilities, key=lambda name: probabilities[name])
        return Prediction(datetime.now().astimezone(), label, probabilities, text, utterance)
