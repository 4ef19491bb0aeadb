"""What a learning session collects: an example for each accepted take, in memory only."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.adaptation.profile import SESSION, Example
from device.bundle import Companions
from device.events import UtteranceFeatures, most_probable
from device.front_end.spectrogram import mel_power, spectrogram_image
from device.front_end.tokens import Tokens
from device.recorder.take import Take

_ADJECTIVES = {
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "afraid",
    "happiness": "happy",
    "joy": "joyful",
    "sadness": "sad",
    "surprise": "surprised",
}
"""How a voice sounds, for names of classes that are nouns."""
_KINDS = {"negative": ("angry", "sad", "afraid", "disgusted"), "positive": ("happy", "pleased", "excited")}
"""What the classes of a sentiment consist of: one prompt after the other names another kind, so that all are learnt."""


class Rater(Protocol):
    """Rates the classes; implemented by `device.adaptation.adapted_classifier.AdaptedClassifier`."""

    def rate(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[dict[str, float], UtteranceFeatures]:
        """Compute the probability of each class, and what can be learnt from the utterance."""


class ExampleCollection:
    """Classifies each take as the daemon does, and makes an example of each one that is accepted.

    Args:
        rater: rates the classes.
        companions: labels, vocabulary and front end of the model.
        takes: number of takes of each class.
    """

    question = "Enter: accept  r: speak again  n: next class  q: quit"
    activity = "listening"

    def __init__(self, rater: Rater, companions: Companions, takes: int) -> None:
        self.classes = companions.labels
        """Names of the classes, in the order in which they are prompted for."""
        self.examples: list[Example] = []
        """The accepted takes, oldest first."""
        self._rater = rater
        self._front_end = companions.front_end
        self._tokens = Tokens(companions.vocabulary, companions.front_end)
        self._takes = takes
        self._rated: tuple[Take, dict[str, float], UtteranceFeatures] | None = None
        """The latest take with its rating, so that the network runs once for a take."""

    def is_complete(self, label: str) -> bool:
        """Whether a class has as many examples as planned."""
        return self._count(label) >= self._takes

    def prompt(self, label: str) -> str:
        """Return the line that prompts for the next example of a class."""
        count = self._count(label)
        adjective = _ADJECTIVES.get(label.lower(), label)
        kinds = _KINDS.get(label.lower())
        example = f", for example {kinds[count % len(kinds)]}" if kinds else ""
        name = f"{label}, " if adjective != label else ""
        return f"Say something that sounds {adjective}{example}, in your own words ({name}{count + 1} of {self._takes})"

    def description(self, take: Take, label: str) -> Sequence[str]:
        """Return lines about a take, with what the model predicts for it at present."""
        probabilities, _ = self._rate(take)
        best = most_probable(probabilities)
        rest = "" if best == label else f"; {label} has {probabilities[label]:.0%}"
        return [take.description(with_words=True), f"predicted {best}, {probabilities[best]:.0%}{rest}"]

    def accept(self, take: Take, label: str) -> str:
        """Make an example of a take."""
        _, utterance = self._rate(take)
        self.examples.append(Example.now(label, utterance, SESSION))
        return f"accepted as {label}"

    def _count(self, label: str) -> int:
        return sum(example.label == label for example in self.examples)

    def _rate(self, take: Take) -> tuple[dict[str, float], UtteranceFeatures]:
        if self._rated is None or self._rated[0] is not take:
            image = spectrogram_image(mel_power(take.samples, self._front_end), self._front_end)
            self._rated = (take, *self._rater.rate(image, self._tokens.ids(take.text)))
        return self._rated[1:]
