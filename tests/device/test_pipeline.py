"""The joining, with stations of the test that write down what they are asked."""

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from device.audio.endpoint import Endpointer, EndpointerUpdate
from device.bundle import Companions
from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame, Prediction, Utterance
from device.front_end.parameters import FrontEnd
from device.outputs.base import Monitor
from device.pipeline import Pipeline
from device.recognition.transcriber import Transcriber

LOUD, QUIET = 8000, 1


class Rig:
    """A listener whose endpointer does what the test says, frame by frame."""

    def __init__(
        self,
        *,
        trim_db: float | None = 30.0,
        words: bool = True,
        confidence: float = 0.0,
        instead: str | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        self.calls: list[str] = []
        self._frames = 0
        self._words = words
        self._steps: Iterator[EndpointerUpdate] = iter(())
        companions = Companions(("a", "b"), ("word",), FrontEnd(trim_db=trim_db))
        self.pipeline = Pipeline(
            cast(Endpointer, self),
            cast(Transcriber, self),
            cast(Any, self),
            companions,
            confidence=confidence,
            low_confidence_label=instead,
            monitor=monitor,
        )

    # The endpointer
    def push(self, _frame: Frame) -> EndpointerUpdate:
        return next(self._steps)

    def finish(self) -> EndpointerUpdate:
        return next(self._steps, EndpointerUpdate())

    # The transcriber, and a transcription
    def begin(self) -> "Rig":
        self.calls.append("begin")
        self.fed = 0
        return self

    def feed(self, samples: NDArray[np.int16]) -> None:
        self.fed += 1

    def so_far(self) -> str:
        self.calls.append(f"so far after {self.fed}")
        return f"{self.fed} so far"

    def text(self) -> str:
        self.calls.append(f"text after {self.fed}")
        return f"{self.fed} frames" if self._words else ""

    # The classifier
    def probabilities(self, picture: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        self.calls.append("network")
        self.asked = (picture, ids)
        return {"a": 0.25, "b": 0.75}

    def frame(self, level: int) -> Frame:
        samples = (np.random.default_rng(self._frames).standard_normal(FRAME_LENGTH) * level).astype(np.int16)
        self._frames += 1
        return Frame(samples, self._frames * FRAME_SECONDS, time.monotonic())

    def heard(self, *steps: EndpointerUpdate) -> list[Prediction]:
        self._steps = iter(steps)
        return list(self.pipeline.predictions([self.frame(LOUD)] * sum(1 for step in steps if step.frames)))


def over(ending: Any = "silence") -> Utterance:
    return Utterance(0.0, 0.5, 1.0, time.monotonic(), ending)


def test_nothing_is_left_to_do_when_the_pause_was_foreseen() -> None:
    rig = Rig()
    [prediction] = rig.heard(
        EndpointerUpdate((rig.frame(LOUD), rig.frame(LOUD))),
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    assert rig.calls == ["begin", "text after 5", "network"], "the answer was there"
    assert (prediction.text, prediction.label) == ("5 frames", "b")


def test_someone_who_speaks_on_is_heard() -> None:
    rig = Rig()
    [prediction] = rig.heard(
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    # What came between the expected end and the voice is fed, too, and in order.
    assert rig.calls == ["begin", "text after 2", "network", "text after 5", "network"]
    assert prediction.text == "5 frames"


def test_a_picture_that_the_pause_changes_is_looked_at_again() -> None:
    rig = Rig(trim_db=None)  # all of the pause is in the picture
    rig.heard(
        EndpointerUpdate((rig.frame(LOUD),) * 8),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        *(EndpointerUpdate((rig.frame(QUIET),), expected=True) for _ in range(5)),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    assert rig.calls == ["begin", "text after 9", "network", "network"]


@pytest.mark.parametrize("ending", ["longest", "end_of_stream"])
def test_an_end_that_was_not_foreseen(ending: str) -> None:
    rig = Rig()
    last = () if ending == "end_of_stream" else (rig.frame(LOUD),)
    [prediction] = rig.heard(
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate(last, over(ending)),
    )
    assert prediction.text == f"{3 + len(last)} frames"


def test_the_next_utterance_begins_anew() -> None:
    rig = Rig()
    first, second = rig.heard(
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), over()),
        EndpointerUpdate(),
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    assert (first.text, second.text) == ("2 frames", "2 frames")
    assert rig.calls.count("begin") == 2


def test_without_words_the_sound_is_answered() -> None:
    rig = Rig(words=False)
    [prediction] = rig.heard(EndpointerUpdate((rig.frame(LOUD),) * 4), EndpointerUpdate((rig.frame(QUIET),), over()))
    assert (prediction.text, prediction.label, prediction.light) == ("", "b", "b")
    picture, ids = rig.asked
    assert not ids.any(), "no word is asked about"
    assert picture.any(), "the sound is"


@pytest.mark.parametrize(
    ("confidence", "instead", "sure", "shown"),
    [(0.0, None, True, "b"), (0.75, "a", True, "b"), (0.76, None, False, None), (0.76, "a", False, "a")],
)
def test_an_answer_below_the_confidence_is_unsure(
    confidence: float, instead: str | None, sure: bool, shown: str | None
) -> None:
    rig = Rig(confidence=confidence, instead=instead)
    [prediction] = rig.heard(EndpointerUpdate((rig.frame(LOUD),)), EndpointerUpdate((rig.frame(QUIET),), over()))
    assert (prediction.confident, prediction.light) == (sure, shown)
    assert (prediction.label, prediction.probabilities) == ("b", {"a": 0.25, "b": 0.75}), (
        "what it was is told all the same"
    )


class Watcher:
    """An monitor that asks for all that it can have, and writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.pictures: list[NDArray[np.float32]] = []

    def frame(self, frame: Frame) -> None:
        self.told.append("frame")

    def speech(self, words: Callable[[], str], picture: Callable[[], NDArray[np.float32]]) -> None:
        self.told.append(words())
        self.pictures.append(picture())


STEPS = (True, True, False, False, True, False, False)


def watched(monitor: Watcher | None) -> tuple[Rig, list[Prediction]]:
    rig = Rig(monitor=cast(Monitor, monitor))
    steps = [EndpointerUpdate((rig.frame(LOUD if loud else QUIET),), expected=not loud) for loud in STEPS]
    return rig, rig.heard(EndpointerUpdate(), *steps, EndpointerUpdate((rig.frame(QUIET),), over()))


def test_who_watches_is_told_each_frame_and_words_while_someone_speaks() -> None:
    watcher = Watcher()
    rig = Rig(monitor=cast(Monitor, watcher))
    rig._steps = iter(
        [
            EndpointerUpdate(),
            EndpointerUpdate((rig.frame(LOUD), rig.frame(LOUD))),
            EndpointerUpdate((rig.frame(QUIET),), expected=True),
            EndpointerUpdate((rig.frame(QUIET),), expected=True),
            EndpointerUpdate((rig.frame(LOUD),)),
            EndpointerUpdate((rig.frame(QUIET),), expected=True),
            EndpointerUpdate((rig.frame(QUIET),), over()),
        ]
    )
    answers = []
    for prediction in rig.pipeline.predictions([rig.frame(LOUD)] * 7):
        answers.append(prediction)
        watcher.told.append("light")
    # Nothing is asked in the pause, when a light is near; and no frame is told before what it brings is done.
    assert watcher.told == [
        "frame",
        "2 so far",
        "frame",
        "frame",
        "frame",
        "5 so far",
        "frame",
        "frame",
        "light",
        "frame",
    ]
    assert [picture.shape for picture in watcher.pictures] == [(64, 64, 3)] * 2
    assert [answer.image is rig.asked[0] for answer in answers] == [True], "what the network saw"


def test_who_watches_changes_nothing() -> None:
    (alone, [answer]), (_, [answer_watched]) = watched(None), watched(Watcher())
    assert (answer.text, answer.probabilities) == (answer_watched.text, answer_watched.probabilities)
    assert answer.image is not None
    assert answer_watched.image is not None
    assert np.array_equal(answer.image, answer_watched.image)
    assert not any("so far" in call for call in alone.calls), "where nobody watches nothing is asked"
