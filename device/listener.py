"""Joins the stations: frames in, predictions out. It holds nothing but the joining."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from device.bundle import Bundle
from device.front_end.spectrogram import MelSpectrogram, picture
from device.front_end.tokens import Tokens
from device.hearing.endpoint import Endpointer, Step
from device.sentence import Frame, Prediction, Utterance
from device.understanding.classifier import Classifier
from device.understanding.transcriber import Transcriber


class Listener:
    """Hears a stream of frames and answers each utterance in it.

    Args:
        endpointer: says which frames belong to an utterance; a stream needs a fresh one.
        transcriber: hears the words in them.
        classifier: answers.
        bundle: whose front end and vocabulary the classifier's network was trained with.
    """

    def __init__(
        self, endpointer: Endpointer, transcriber: Transcriber, classifier: Classifier, bundle: Bundle
    ) -> None:
        self._endpointer = endpointer
        self._transcriber = transcriber
        self._classifier = classifier
        self._front_end = bundle.companions.front_end
        self._spectrogram = MelSpectrogram(self._front_end)
        self._tokens = Tokens(bundle.companions.vocabulary, self._front_end)

    def predictions(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """One prediction per utterance, as soon as it is over."""
        for frame in frames:
            yield from self._after(self._endpointer.push(frame))
        yield from self._after(self._endpointer.finish())

    def _after(self, step: Step) -> Iterator[Prediction]:
        for frame in step.frames:
            self._transcriber.feed(frame.samples)
            self._spectrogram.feed(frame.samples)
        if step.utterance is not None:
            yield self._answer(step.utterance)

    def _answer(self, utterance: Utterance) -> Prediction:
        text = self._transcriber.finish()
        image = picture(self._spectrogram.finish(), self._front_end)
        probabilities = self._classifier.probabilities(image, self._tokens.ids(text))
        label = max(probabilities, key=lambda name: probabilities[name])
        return Prediction(datetime.now().astimezone(), label, probabilities, text, utterance)
