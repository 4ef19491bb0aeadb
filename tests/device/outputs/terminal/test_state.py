"""What is remembered of what an observer is told."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from device.audio.level import LOWEST_DBFS
from device.audio.liveness import Liveness, State
from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame
from device.outputs.terminal.state import Look, Scene
from device.outputs.terminal.text import UNICODE
from tests.device.outputs.predictions import LABELS, PICTURE, prediction

HEALTHY = Liveness(State.HEALTHY, 0, "")


class Rig:
    """A scene on a clock of the test, and someone who speaks."""

    def __init__(self) -> None:
        self.time = 100.0
        self.scene = Scene(
            UNICODE, hold_s=5, clock=lambda: self.time, now=lambda: datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001  # a wall clock's
        )  # fmt: skip
        self.scene.classes(LABELS)
        self.words = ""
        self.asked: list[str] = []

    def healthy(self) -> "Rig":
        self.scene.microphone(HEALTHY, "USB", 48_000)
        return self

    def hear(self, level: int, frames: int = 4) -> None:
        for _ in range(frames):
            self.scene.frame(Frame(np.full(FRAME_LENGTH, level, np.int16), 0, 0))

    def speak(self, words: str, frames: int = 1) -> None:
        def said() -> str:
            self.asked.append("words")
            return words

        def seen() -> NDArray[np.float32]:
            self.asked.append("picture")
            return PICTURE

        for _ in range(frames):
            self.scene.speech(said, seen)

    def history(self, look: Look | None = None) -> list[str]:
        console = Console(width=200)
        with console.capture() as capture:
            for each in (look or self.scene.look()).above:
                console.print(each)
        return capture.get().splitlines()


def test_the_state_of_the_microphone() -> None:
    scene = Scene(UNICODE, hold_s=5)
    assert scene.look().moment.state.plain == "loading the network and the speech model"
    scene.classes(LABELS)
    assert scene.look().moment.state.plain == "opening the microphone"
    told = []
    for state, reason in [
        (State.RECOVERING, "opened, and no sound yet"), (State.HEALTHY, ""), (State.SILENT, "is it muted?"),
        (State.LOST, "it is gone;\x1b[2J\nwas it pulled out?"), (State.FAILED, "it hangs"),
    ]:  # fmt: skip
        scene.microphone(Liveness(state, 0, reason), "USB\x07", 48_000)
        moment = scene.look().moment
        told.append((moment.state.plain, moment.hears))
    assert told == [
        ("opening USB , 48000 Hz", False),
        ("USB , 48000 Hz", True),
        ("microphone silent, waiting for it: is it muted?", True),
        ("microphone lost, waiting for it: it is gone; [2J was it pulled out?", False),
        ("microphone failed: it hangs", False),
    ]


def test_the_needle_follows_the_loudest_frame_and_stands_still_where_none_came() -> None:
    rig = Rig().healthy()
    rig.hear(327)
    rig.hear(3277)
    rig.hear(327)
    assert rig.scene.look().dbfs == pytest.approx(-20, abs=0.1)
    assert rig.scene.look().dbfs == pytest.approx(-20, abs=0.1), "no block came meanwhile"
    rig.hear(0)
    assert rig.scene.look().dbfs == pytest.approx(-20 - 24 * 4 * FRAME_SECONDS, abs=0.1)
    rig.scene.microphone(Liveness(State.LOST, 0, "gone"), "", 0)
    assert rig.scene.look().dbfs == LOWEST_DBFS


def test_a_light_goes_out_after_its_time() -> None:
    rig = Rig().healthy()
    assert not rig.scene.look().lit
    rig.scene.answer(prediction("positive"))
    assert rig.scene.look().lit
    rig.time += 4.9
    assert rig.scene.look().lit
    rig.time += 0.2
    assert not rig.scene.look().lit
    assert rig.scene.look().moment.prediction is not None, "what it was is still to be seen"


def test_words_and_picture_are_asked_for_now_and_then_alone() -> None:
    rig = Rig().healthy()
    second = round(1 / FRAME_SECONDS)
    rig.speak("he might", frames=4 * second)
    assert 14 <= rig.asked.count("words") <= 17, "four times a second"
    assert 7 <= rig.asked.count("picture") <= 8, "twice a second"
    assert rig.asked[0] == "words"
    look = rig.scene.look()
    assert (look.moment.speaking, look.moment.words, look.moment.picture is PICTURE) == (True, "he might", True)
    rig.scene.answer(prediction("neutral"))
    look = rig.scene.look()
    assert (look.moment.speaking, look.moment.words) == (False, "")
    rig.asked.clear()
    rig.speak("")
    assert rig.asked == ["words"], "the next one begins at once"


def test_an_answer_joins_the_history_when_something_takes_its_place() -> None:
    rig = Rig().healthy()
    rig.scene.answer(prediction("positive", "one"))
    assert rig.history() == [], "it is drawn"
    rig.speak("")
    assert rig.history() == ["03:04:05  positive   70%  \u201cone\u201d"]
    rig.scene.answer(prediction("negative", "two"))
    rig.scene.answer(prediction("neutral", "three"))
    assert rig.history() == ["03:04:05  negative   70%  \u201ctwo\u201d"]
    rig.scene.say("microphone lost\x1b[2J")
    assert rig.history() == ["03:04:05  neutral    70%  \u201cthree\u201d", "03:04:05  microphone lost [2J"]
    rig.scene.answer(replace(prediction("positive", ""), confident=False))
    assert rig.history() == []
    last = [each.told.plain for each in rig.scene.last()]
    assert last == ["unsure  (no words; answered by the sound alone)"]
    assert rig.scene.last() == ()


def test_who_speaks_when_the_microphone_is_lost_is_not_speaking_any_more() -> None:
    rig = Rig().healthy()
    rig.speak("he might")
    rig.scene.microphone(Liveness(State.LOST, 0, "gone"), "", 0)
    assert not rig.scene.look().moment.speaking


def test_a_moment_is_the_same_object_until_something_changes() -> None:
    rig = Rig().healthy()
    before = rig.scene.look().moment
    rig.hear(3277)
    assert rig.scene.look().moment is before
    rig.speak("he", frames=30)
    before = rig.scene.look().moment
    rig.speak("he", frames=8)
    assert rig.scene.look().moment is before or rig.asked[-1] == "picture"


def test_history_that_nobody_takes_does_not_grow_for_ever() -> None:
    rig = Rig()
    for number in range(5000):
        rig.scene.say(f"{number}")
    assert len(rig.scene.look().above) == 1000
