"""Joins the stations: frames in, predictions out. It holds nothing but the joining."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.audio.endpoint import Endpointer, EndpointerUpdate
from device.bundle import Companions
from device.events import Frame, Prediction, Utterance
from device.front_end.spectrogram import MelSpectrogram, spectrogram_image
from device.front_end.tokens import Tokens
from device.outputs.base import Monitor
from device.recognition.transcriber import Transcriber, Transcription


class Answers(Protocol):
    """What tells the classes apart: `device.recognition.classifier.Classifier`."""

    def probabilities(self, picture: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        """Probability of each class."""


@dataclass(frozen=True, eq=False)
class _Answer:
    """To what was heard so far."""

    text: str
    picture: NDArray[np.float32]
    probabilities: dict[str, float]


@dataclass(eq=False)
class _Hearing:
    """An utterance that is not over."""

    transcription: Transcription
    spectrogram: MelSpectrogram
    answer: _Answer | None = None
    """Worked out while the pause lasts that is likely to end it, so that nothing is left to do when it does."""
    unsaid: list[Frame] = field(default_factory=list)
    """Frames after that, which hold no words unless someone speaks on."""


class Pipeline:
    """Hears one stream of frames and answers each utterance in it.

    Args:
        endpointer: says which frames belong to an utterance; like the listener itself it is for one stream.
        transcriber: hears the words in them.
        classifier: answers.
        companions: whose front end and vocabulary the classifier's network was trained with.
        confidence: probability below which an answer is not sure.
        low_confidence_label: the class that is shown of an answer that is not sure; None for none.
        monitor: follows speech as it happens; None where nothing shows it.
    """

    def __init__(
        self,
        endpointer: Endpointer,
        transcriber: Transcriber,
        classifier: Answers,
        companions: Companions,
        *,
        confidence: float = 0.0,
        low_confidence_label: str | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        self._endpointer = endpointer
        self._transcriber = transcriber
        self._classifier = classifier
        self._front_end = companions.front_end
        self._tokens = Tokens(companions.vocabulary, self._front_end)
        self._confidence = confidence
        self._low_confidence_label = low_confidence_label
        self._monitor = monitor
        self._hearing: _Hearing | None = None

    @property
    def hearing(self) -> bool:
        """Whether someone speaks, or has just spoken and is not answered yet."""
        return self._hearing is not None

    def predictions(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """One prediction per utterance, as soon as it is over."""
        for frame in frames:
            yield from self._after(self._endpointer.push(frame))
            if self._monitor is not None:  # last, so that no light waits for it
                self._monitor.frame(frame)
        yield from self._after(self._endpointer.finish())

    def _after(self, step: EndpointerUpdate) -> Iterator[Prediction]:
        if step.frames and self._hearing is None:
            self._hearing = _Hearing(self._transcriber.begin(), MelSpectrogram(self._front_end))
        if self._hearing is None:
            return
        hearing = self._hearing
        for frame in step.frames:
            hearing.spectrogram.feed(frame.samples)
        hearing.unsaid += step.frames
        ended_as_foreseen = step.utterance is not None and step.utterance.ending == "silence"
        if hearing.answer is None or not (step.expected or ended_as_foreseen):
            # Someone speaks, or speaks on.
            for frame in hearing.unsaid:
                hearing.transcription.feed(frame.samples)
            hearing.unsaid.clear()
            hearing.answer = None
            if self._monitor is not None and step.utterance is None and not step.expected:
                self._monitor.speech(hearing.transcription.so_far, partial(self._seen, hearing))
        if step.expected and hearing.answer is None:
            hearing.answer = self._answer(hearing)
        if step.utterance is not None:
            self._hearing = None
            yield self._prediction(step.utterance, self._answer(hearing))

    def _answer(self, hearing: _Hearing) -> _Answer:
        before = hearing.answer
        text = hearing.transcription.text() if before is None else before.text
        image = self._seen(hearing)
        # Edges as quiet as a pause are cut off, so that a longer pause gives the same picture.
        if before is not None and np.array_equal(before.picture, image):
            return before
        return _Answer(text, image, self._classifier.probabilities(image, self._tokens.ids(text)))

    def _seen(self, hearing: _Hearing) -> NDArray[np.float32]:
        return spectrogram_image(hearing.spectrogram.power(), self._front_end)

    def _prediction(self, utterance: Utterance, answer: _Answer) -> Prediction:
        probabilities = answer.probabilities
        label = max(probabilities, key=lambda name: probabilities[name])
        sure = probabilities[label] >= self._confidence
        return Prediction(
            datetime.now().astimezone(),
            label,
            probabilities,
            answer.text,
            utterance,
            sure,
            self._low_confidence_label,
            answer.picture,
        )
