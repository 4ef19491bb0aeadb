"""The state of a screen, from what the listening thread reports."""

from dataclasses import replace
from datetime import datetime
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from device.audio.level import LOWEST_DBFS
from device.audio.liveness import Liveness, State
from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame
from device.outputs.terminal.state import ScreenState, Snapshot
from device.outputs.terminal.text import UNICODE
from tests.device.audio.square_wave import square_wave
from tests.device.outputs.predictions import IMAGE, LABELS, prediction, preview

HEALTHY = Liveness(State.HEALTHY, 0, "", "USB", 48_000)
LOST = Liveness(State.LOST, 0, "gone")


class Rig:
    """A screen state with the test's clock, and an utterance that the test controls."""

    def __init__(self) -> None:
        self.time = 100.0
        self.state = ScreenState(
            UNICODE, hold_s=5, clock=lambda: self.time, now=lambda: datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001  # the time on a wall clock
        )  # fmt: skip
        self.state.classes(LABELS)
        self.words = ""
        self.computed: list[str] = []

    def healthy(self) -> "Rig":
        self.state.microphone(HEALTHY)
        return self

    def receive(self, level: int, frames: int = 4) -> None:
        for _ in range(frames):
            self.state.frame(Frame(square_wave(level, FRAME_LENGTH), 0, 0))

    def speak(self, words: str, frames: int = 1) -> None:
        def spoken() -> str:
            self.computed.append("words")
            return words

        def image() -> NDArray[np.float32]:
            self.computed.append("image")
            return IMAGE

        for _ in range(frames):
            self.state.speech(Mock(words=spoken, image=image))

    def history(self, snapshot: Snapshot | None = None) -> list[str]:
        console = Console(width=200)
        with console.capture() as capture:
            for each in (snapshot or self.state.snapshot()).above:
                console.print(each)
        return capture.get().splitlines()


def test_the_state_of_the_microphone() -> None:
    screen_state = ScreenState(UNICODE, hold_s=5)
    assert screen_state.snapshot().content.state.plain == "loading the network and the speech model"
    screen_state.classes(LABELS)
    assert screen_state.snapshot().content.state.plain == "opening the microphone"
    shown = []
    for state, reason in [
        (State.RECOVERING, "opened, and no audio yet"), (State.HEALTHY, ""), (State.SILENT, "is it muted?"),
        (State.LOST, "it is gone;\x1b[2J\nwas it pulled out?"), (State.FAILED, "it hangs"),
    ]:  # fmt: skip
        screen_state.microphone(Liveness(state, 0, reason, "USB\x07", 48_000))
        content = screen_state.snapshot().content
        shown.append((content.state.plain, content.receiving))
    assert shown == [
        (r"opening USB\x07, 48000 Hz", False),
        (r"USB\x07, 48000 Hz", True),
        ("microphone silent: is it muted?", True),
        (r"microphone lost, waiting for it: it is gone;\x1b[2J\nwas it pulled out?", False),
        ("microphone failed: it hangs", False),
    ]


@pytest.mark.parametrize(("fix", "muted"), [("open it", True), ("", False)])
def test_a_key_opens_a_muted_microphone_but_not_one_that_another_process_uses(fix: str, muted: bool) -> None:
    screen_state = ScreenState(UNICODE, hold_s=5)
    screen_state.microphone(Liveness(State.MUTED, 0, "it is closed", fix=fix))
    content = screen_state.snapshot().content
    assert (content.state.plain, content.receiving, content.muted) == ("muted: it is closed", False, muted)


def test_the_level_is_that_of_the_loudest_frame_and_is_still_when_none_arrives() -> None:
    rig = Rig().healthy()
    rig.receive(327)
    rig.receive(3277)
    rig.receive(327)
    assert rig.state.snapshot().dbfs == pytest.approx(-20, abs=0.1)
    assert rig.state.snapshot().dbfs == pytest.approx(-20, abs=0.1), "no block arrived meanwhile"
    rig.receive(0)
    assert rig.state.snapshot().dbfs == pytest.approx(-20 - 24 * 4 * FRAME_SECONDS, abs=0.1)
    rig.state.microphone(LOST)
    assert rig.state.snapshot().dbfs == LOWEST_DBFS


def test_a_light_goes_out_after_its_time() -> None:
    rig = Rig().healthy()
    assert not rig.state.snapshot().lit
    rig.state.prediction(prediction("positive"))
    assert rig.state.snapshot().lit
    rig.time += 4.9
    assert rig.state.snapshot().lit
    rig.time += 0.2
    assert not rig.state.snapshot().lit
    assert rig.state.snapshot().content.prediction is not None, "the prediction is still shown"


def test_a_prediction_with_which_the_lights_stay_is_shown_beside_the_light_of_an_earlier_one() -> None:
    rig = Rig().healthy()
    rig.state.prediction(prediction("positive"))
    rig.time += 4
    rig.state.prediction(prediction("negative", "what a mess"), lights_stay=True)
    snapshot = rig.state.snapshot()
    assert (snapshot.lit, snapshot.content.light) == (True, "positive")
    assert snapshot.content.prediction is not None
    assert snapshot.content.prediction.label == "negative"
    assert [line.split()[1] for line in rig.history(snapshot)] == ["positive"]
    rig.time += 1.1
    assert not rig.state.snapshot().lit, "it goes out at its time"
    assert [each.head.plain.split()[1] for each in rig.state.last_history()] == ["negative"]


def test_low_confidence_puts_the_light_out_or_lights_the_class_in_the_settings() -> None:
    rig = Rig().healthy()
    rig.state.prediction(prediction("positive"))
    doubtful = replace(prediction("negative"), confident=False)
    rig.state.prediction(doubtful)
    assert rig.state.snapshot().content.light is None
    rig.state.prediction(replace(doubtful, low_confidence_label="neutral"))
    assert (rig.state.snapshot().lit, rig.state.snapshot().content.light) == (True, "neutral")


def test_the_light_goes_out_when_the_microphone_is_lost() -> None:
    rig = Rig().healthy()
    rig.state.prediction(prediction("positive"))
    rig.state.microphone(LOST)
    assert not rig.state.snapshot().lit


def test_words_and_image_are_computed_only_now_and_then() -> None:
    rig = Rig().healthy()
    second = round(1 / FRAME_SECONDS)
    rig.speak("he might", frames=4 * second)
    assert 14 <= rig.computed.count("words") <= 17, "four times a second"
    assert 7 <= rig.computed.count("image") <= 8, "twice a second"
    assert rig.computed[0] == "words"
    snapshot = rig.state.snapshot()
    assert (snapshot.content.speaking, snapshot.content.words, snapshot.content.image is IMAGE) == (
        True,
        "he might",
        True,
    )
    rig.state.prediction(prediction("neutral"))
    snapshot = rig.state.snapshot()
    assert (snapshot.content.speaking, snapshot.content.words) == (False, "")
    rig.computed.clear()
    rig.speak("")
    assert rig.computed == ["words"], "the next one begins at once"


def test_a_prediction_joins_the_history_when_something_takes_its_place() -> None:
    rig = Rig().healthy()
    rig.state.prediction(prediction("positive", "one"))
    assert rig.history() == [], "it is drawn"
    rig.speak("")
    assert rig.history() == ["03:04:05  positive   70%  \u201cone\u201d"]
    rig.state.prediction(prediction("negative", "two"))
    rig.state.prediction(prediction("neutral", "three"))
    assert rig.history() == ["03:04:05  negative   70%  \u201ctwo\u201d"]
    rig.state.message("microphone lost\x1b[2J")
    assert rig.history() == ["03:04:05  neutral    70%  \u201cthree\u201d", r"03:04:05  microphone lost\x1b[2J"]
    rig.state.prediction(replace(prediction("positive", ""), confident=False))
    assert rig.history() == []
    last = [each.body.plain for each in rig.state.last_history()]
    assert last == ["low confidence  (no words; classified by the audio alone)"]
    assert rig.state.last_history() == ()


def test_an_utterance_ends_when_the_microphone_is_lost() -> None:
    rig = Rig().healthy()
    rig.speak("he might")
    rig.state.microphone(LOST)
    assert not rig.state.snapshot().content.speaking


def test_the_content_is_the_same_object_until_something_changes() -> None:
    rig = Rig().healthy()
    before = rig.state.snapshot().content
    rig.receive(3277)
    assert rig.state.snapshot().content is before
    rig.speak("he", frames=30)
    before = rig.state.snapshot().content
    rig.speak("he", frames=8)
    assert rig.state.snapshot().content is before or rig.computed[-1] == "image"


def test_history_that_is_not_drawn_is_bounded() -> None:
    rig = Rig()
    for number in range(5000):
        rig.state.message(f"{number}")
    assert len(rig.state.snapshot().above) == 1000


def test_the_fix_is_beside_the_state_of_the_microphone() -> None:
    screen_state = ScreenState(UNICODE, hold_s=5)
    screen_state.microphone(Liveness(State.LOST, 0, "it is gone", fix="plug it in again"))
    shown = screen_state.snapshot().content.state.plain
    assert shown == "microphone lost, waiting for it: it is gone; plug it in again"


def test_a_correction_lights_its_class_and_the_history_contains_the_prediction() -> None:
    rig = Rig().healthy()
    rig.state.corrected("negative")  # before any prediction nothing happens
    assert rig.state.snapshot().content.prediction is None
    rig.state.prediction(replace(prediction("positive"), confident=False))
    rig.time += 6
    assert not rig.state.snapshot().lit
    rig.state.corrected("negative")
    corrected = rig.state.snapshot()
    assert corrected.lit
    assert corrected.content.prediction is not None
    assert corrected.content.light == "negative"
    assert corrected.content.prediction.probabilities == prediction("positive").probabilities
    rig.state.message("learnt")
    assert [line.split()[1] for line in rig.history()] == ["positive", "learnt"]


def test_a_correction_while_the_microphone_is_lost_leaves_the_lights_dark() -> None:
    rig = Rig()
    rig.state.prediction(prediction("positive"))
    rig.time += 6
    rig.state.corrected("negative", lights_stay=True)
    snapshot = rig.state.snapshot()
    assert not snapshot.lit
    assert snapshot.content.prediction is not None
    assert snapshot.content.prediction.label == "negative"


def test_a_light_that_is_shown_on_request_changes_no_prediction() -> None:
    rig = Rig()
    rig.state.show("negative")
    snapshot = rig.state.snapshot()
    assert (snapshot.lit, snapshot.content.light, snapshot.content.prediction) == (True, "negative", None)
    assert rig.history() == []


def test_whether_keys_are_read_changes_the_content_only_when_it_changes() -> None:
    rig = Rig()
    before = rig.state.snapshot().content
    rig.state.keys(read=False, learns=True)
    assert rig.state.snapshot().content is before
    rig.state.keys(read=True, learns=True)
    assert rig.state.snapshot().content.keys


def test_bars_and_light_follow_while_someone_speaks() -> None:
    rig = Rig().healthy()
    rig.speak("i")
    rig.state.preview(preview("negative"))
    snapshot = rig.state.snapshot()
    assert snapshot.content.preview is not None
    assert (snapshot.content.preview.label, snapshot.lit) == ("negative", False)
    rig.state.preview(preview("negative", "negative"))
    rig.time += 60
    assert (rig.state.snapshot().lit, rig.state.snapshot().content.light) == (True, "negative"), "it goes on"
    rig.state.prediction(prediction("positive"))
    snapshot = rig.state.snapshot()
    assert (snapshot.lit, snapshot.content.light, snapshot.content.preview) == (True, "positive", None)
    rig.time += 5.1
    assert not rig.state.snapshot().lit


def test_a_correction_while_someone_speaks_stays_until_the_light_of_the_preview_changes() -> None:
    rig = Rig().healthy()
    rig.state.prediction(prediction("positive"))
    rig.speak("i")
    rig.state.preview(preview("negative", "negative"))
    rig.state.corrected("neutral")
    rig.state.preview(preview("negative", "negative"))
    assert rig.state.snapshot().content.light == "neutral"
    rig.state.preview(preview("positive", "positive"))
    assert rig.state.snapshot().content.light == "positive"


def test_a_preview_ends_with_its_utterance() -> None:
    rig = Rig().healthy()
    rig.speak("i")
    rig.state.preview(preview("negative", "negative"))
    rig.state.microphone(LOST)
    assert (rig.state.snapshot().lit, rig.state.snapshot().content.preview) == (False, None)
    rig.healthy()
    rig.speak("i")
    rig.state.preview(preview("negative"))
    rig.state.prediction(prediction("positive"))
    rig.speak("you")
    assert rig.state.snapshot().content.preview is None
