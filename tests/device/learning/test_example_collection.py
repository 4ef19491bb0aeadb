"""A learning session with fake frames, keys and network: what is shown, and which examples it collects."""

from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from device.adaptation.adapted_classifier import AdaptedClassifier
from device.adaptation.profile import SESSION
from device.learning.example_collection import ExampleCollection
from device.recognition.classifier import Classifier, NetworkOutput
from device.recorder.session import Session
from device.recorder.take import Take, TakeListener
from tests.device.learning.conftest import FEATURES, LABELS, FakeNetwork, bundle_with, variation
from tests.device.recorder.conftest import (
    LOUD,
    FakeKeyboard,
    RecordedDisplay,
    Stream,
)
from tests.device.recorder.conftest import display as display
from tests.device.recorder.conftest import keyboard as keyboard
from tests.device.recorder.conftest import listener as listener
from tests.device.recorder.conftest import stream as stream

OUTPUTS = [((0.1 * place, 0.9 - 0.1 * place, 0.1), (float(place),) * FEATURES) for place in range(9)]
"""The embedding of the nth take is n."""


class Rig:
    """A session with simulated audio and keys."""

    def __init__(
        self, listener: TakeListener, display: RecordedDisplay, stream: Stream, keyboard: FakeKeyboard | None
    ) -> None:
        self.network = FakeNetwork(*OUTPUTS)
        bundle = bundle_with(variation())
        classifier = AdaptedClassifier(cast("Classifier", self.network), bundle)
        self.collection = ExampleCollection(classifier, bundle.companions, 2)
        self.display, self._stream, self._keyboard = display, stream, keyboard
        self.session = Session(self.collection, listener, display, keyboard, clock=lambda: stream.now)
        self.session.prompt()

    def speak(self) -> None:
        for level, count in ((0, 20), (LOUD, 20), (0, 20)):
            for frame in self._stream.frames(level, count):
                self.session.process(frame)
            self.session.tick()

    def press(self, key: str) -> None:
        assert self._keyboard is not None
        self._keyboard.press(key)
        self.session.tick()

    @property
    def learnt(self) -> list[tuple[str, float]]:
        """Class of each example, and number of its take."""
        return [(each.label, float(each.utterance.features[0])) for each in self.collection.examples]


@pytest.fixture
def rig(listener: TakeListener, display: RecordedDisplay, stream: Stream, keyboard: FakeKeyboard) -> Rig:
    return Rig(listener, display, stream, keyboard)


def test_enter_accepts_takes_class_by_class(rig: Rig) -> None:
    for _ in range(6):
        assert not rig.session.finished
        rig.speak()
        assert rig.display.redrawn == "Enter: accept  r: speak again  n: next class  q: quit"
        rig.press("\r")
    assert rig.session.finished
    assert [line for line in rig.display.lines if line.startswith("Say")] == [
        f"Say something that sounds {kind}, in your own words ({number} of 2)"
        for kinds in (
            ("negative, for example angry", "negative, for example sad"),
            ("neutral", "neutral"),
            ("positive, for example happy", "positive, for example pleased"),
        )
        for number, kind in enumerate(kinds, 1)
    ]
    assert rig.learnt == [(LABELS[take // 2], take) for take in range(6)]
    assert {example.source for example in rig.collection.examples} == {SESSION}
    np.testing.assert_allclose(rig.collection.examples[2].utterance.logits, np.log([0.2, 0.7, 0.1]), atol=1e-4)


def test_each_take_is_shown_with_its_words_and_the_prediction(rig: Rig) -> None:
    rig.speak()
    assert rig.display.lines[1:] == ["1.1 s, \u201c35 frames\u201d", "predicted neutral, 90%; negative has 0%"]
    rig.press("n")
    for _ in range(2):
        rig.speak()
        rig.press("\r")
    assert "predicted neutral, 80%" in rig.display.lines, "nothing follows a right prediction"
    assert "accepted as neutral" in rig.display.lines


def test_the_network_runs_once_for_a_take(rig: Rig) -> None:
    rig.speak()
    rig.press("\r")
    assert rig.network.calls == 1


def test_speak_again(rig: Rig) -> None:
    rig.speak()
    rig.press("r")
    assert rig.learnt == []
    assert rig.display.lines[-1] == "Say something that sounds negative, for example angry, in your own words (1 of 2)"
    rig.speak()
    rig.press("\r")
    assert rig.learnt == [("negative", 1.0)]


def test_next_class_and_quit(rig: Rig) -> None:
    rig.speak()
    rig.press("\r")
    rig.press("n")
    assert rig.display.lines[-1] == "Say something that sounds neutral, in your own words (1 of 2)"
    rig.speak()
    rig.press("q")
    assert rig.session.finished
    assert rig.learnt == [("negative", 0.0)], "accepted takes stay, the undecided one does not"


def test_without_a_keyboard_every_take_is_accepted(
    listener: TakeListener, display: RecordedDisplay, stream: Stream
) -> None:
    rig = Rig(listener, display, stream, None)
    for _ in range(6):
        rig.speak()
    assert rig.session.finished
    assert [label for label, _ in rig.learnt] == [label for label in LABELS for _ in range(2)]


def test_the_display_does_not_claim_to_record(rig: Rig, stream: Stream) -> None:
    for frame in stream.frames(LOUD, 20):
        rig.session.process(frame)
    rig.session.tick()
    assert rig.display.redrawn == "listening"


@pytest.mark.parametrize(
    ("label", "prompt"),
    [("anger", "sounds angry, in your own words (anger, 1 of 3)"), ("calm", "sounds calm, in your own words (1 of 3)")],
)
def test_names_of_classes_that_are_nouns(label: str, prompt: str) -> None:
    bundle = bundle_with(None)
    classifier = AdaptedClassifier(cast("Classifier", FakeNetwork(embedding_size=0)), bundle)
    assert ExampleCollection(classifier, bundle.companions, 3).prompt(label) == f"Say something that {prompt}"


def test_the_words_of_a_take_reach_the_network() -> None:
    """The ids of its words, and an image of its audio that is not that of silence."""

    class Network(FakeNetwork):
        def run(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> NetworkOutput:
            self.seen = image, ids
            return super().run(image, ids)

    network, bundle = Network(), bundle_with(variation())
    collection = ExampleCollection(AdaptedClassifier(cast("Classifier", network), bundle), bundle.companions, 1)
    word = bundle.companions.vocabulary[6]
    noise = np.random.default_rng(0).normal(0, 1000, 16_000).astype(np.int16)
    collection.accept(Take(noise, word, "silence"), "neutral")
    image, ids = network.seen
    assert 7 in ids
    assert image.shape == (64, 64, 3)
    assert image.std() > 0.05
