"""Whether takes are saved or discarded, key by key."""

from pathlib import Path

import pytest
import soundfile

from device.errors import RecordingError
from device.recorder.clip_collection import ClipCollection, RecordingPlan
from device.recorder.clip_folder import ClipFolder
from device.recorder.session import Session
from device.recorder.take import TakeListener
from tests.device.recorder.conftest import LOUD, FakeKeyboard, RecordedDisplay, Stream
from tests.device.recorder.test_clip_folder import files, largest_file, rows


class Rig:
    """A session with simulated audio and keys."""

    def __init__(
        self,
        plan: RecordingPlan,
        folder: ClipFolder,
        listener: TakeListener,
        display: RecordedDisplay,
        stream: Stream,
        keyboard: FakeKeyboard | None,
    ) -> None:
        self.folder, self.display, self._stream, self._keyboard = folder, display, stream, keyboard
        self.session = Session(ClipCollection(plan, folder), listener, display, keyboard, clock=lambda: stream.now)
        self.session.prompt()

    def play(self, level: int, count: int) -> None:
        for frame in self._stream.frames(level, count):
            self.session.process(frame)
        self.session.tick()

    def speak(self, count: int = 20) -> None:
        self.play(0, 20)
        self.play(LOUD, count)
        self.play(0, 20)

    def press(self, key: str) -> None:
        assert self._keyboard is not None
        self._keyboard.press(key)
        self.session.tick()

    @property
    def clips(self) -> list[str]:
        return files(self.folder.path)


@pytest.fixture
def plan() -> RecordingPlan:
    return RecordingPlan(("happy", "angry"), 2, "Ann")


@pytest.fixture
def rig(
    plan: RecordingPlan,
    folder: ClipFolder,
    listener: TakeListener,
    display: RecordedDisplay,
    stream: Stream,
    keyboard: FakeKeyboard,
) -> Rig:
    return Rig(plan, folder, listener, display, stream, keyboard)


def test_enter_saves_clips_class_by_class(rig: Rig) -> None:
    assert rig.display.lines == ["Say something happy (1 of 2)"]
    for number in range(4):
        assert not rig.session.finished
        rig.speak(20 + number)
        assert rig.display.redrawn.startswith("Enter: save")
        rig.press("\r")
    assert rig.session.finished
    assert [line for line in rig.display.lines if line.startswith("Say")] == [
        "Say something happy (1 of 2)",
        "Say something happy (2 of 2)",
        "Say something angry (1 of 2)",
        "Say something angry (2 of 2)",
    ]
    assert rig.clips == ["angry/0001.flac", "angry/0002.flac", "clips.csv", "happy/0001.flac", "happy/0002.flac"]
    assert [(row["label"], row["text"], row["speaker"]) for row in rows(rig.folder.path)] == [
        (label, f"{frames} frames", "Ann")
        for label, frames in [("happy", 35), ("happy", 36), ("angry", 37), ("angry", 38)]
    ]
    assert "1.1 s, \u201c35 frames\u201d" in rig.display.lines
    assert "saved as happy/0001.flac" in rig.display.lines


def test_nothing_is_written_before_it_is_saved(rig: Rig) -> None:
    rig.speak()
    assert rig.clips == []
    rig.speak()  # while the first take is undecided
    rig.press("\n")
    assert rig.clips == ["clips.csv", "happy/0001.flac"]
    assert not rig.display.redrawn.startswith("Enter"), "the second take was ignored"


def test_record_again(rig: Rig) -> None:
    rig.speak()
    rig.press("R")
    assert rig.clips == []
    assert rig.display.lines[-1] == "Say something happy (1 of 2)"
    rig.speak(30)
    rig.press("\r")
    [row] = rows(rig.folder.path)
    assert row["text"] == "45 frames"


def test_record_again_in_the_middle_of_a_sentence(rig: Rig) -> None:
    rig.play(LOUD, 20)
    assert rig.display.redrawn == "recording"
    rig.press("r")
    assert rig.display.redrawn == "one moment"
    rig.play(0, 30)
    assert rig.display.redrawn == "speak when you are ready"
    assert "Enter" not in rig.display.redrawn
    rig.speak(30)
    rig.press("\r")
    [row] = rows(rig.folder.path)
    assert row["text"] == "45 frames"


def test_no_clip_contains_the_click_of_a_key(rig: Rig) -> None:
    rig.speak()
    rig.press("\r")
    rig.play(LOUD, 5)
    rig.speak()
    rig.press("\r")
    samples, _ = soundfile.read(rig.folder.path / "happy/0002.flac", dtype="int16")
    assert list(samples[::512]) == [0] * 5 + [LOUD] * 20 + [0] * 10


def test_a_key_without_a_function_makes_no_gap(rig: Rig) -> None:
    rig.play(LOUD, 20)
    rig.press("\r")
    rig.play(LOUD, 20)
    rig.play(0, 20)
    rig.press("\r")
    [row] = rows(rig.folder.path)
    assert row["text"] == "50 frames"


def test_next_class(rig: Rig) -> None:
    rig.press("n")
    assert rig.display.lines[-1] == "Say something angry (1 of 2)"
    rig.speak()
    rig.press("n")
    assert "discarded" in rig.display.lines
    assert rig.session.finished
    assert rig.clips == []


@pytest.mark.parametrize("key", ["q", "Q", "\x04"])
def test_saved_clips_stay_after_quitting(rig: Rig, key: str) -> None:
    rig.speak()
    rig.press("\r")
    rig.speak()
    rig.press(f"{key}\r")
    assert rig.session.finished
    assert rig.clips == ["clips.csv", "happy/0001.flac"]


def test_keys_without_a_function_are_ignored(rig: Rig) -> None:
    rig.press("\r\rxr ")
    assert rig.display.lines == ["Say something happy (1 of 2)"]
    rig.speak()
    rig.press("xyz")
    assert rig.clips == []
    assert rig.display.redrawn.startswith("Enter")


def test_a_new_session_continues_where_the_last_one_stopped(
    rig: Rig, plan: RecordingPlan, listener: TakeListener, display: RecordedDisplay
) -> None:
    rig.speak()
    rig.press("\rq")
    Session(ClipCollection(plan, rig.folder), listener, display, None).prompt()
    assert display.lines[-1] == "Say something happy (2 of 2)"
    more = RecordingPlan(("happy", "angry"), 1)
    Session(ClipCollection(more, rig.folder), listener, display, None).prompt()
    assert display.lines[-1] == "Say something angry (1 of 1)"


def test_without_a_keyboard_every_clip_is_saved(
    plan: RecordingPlan, folder: ClipFolder, listener: TakeListener, display: RecordedDisplay, stream: Stream
) -> None:
    rig = Rig(plan, folder, listener, display, stream, None)
    for _ in range(5):
        rig.speak()
    assert rig.session.finished
    assert len(rows(folder.path)) == 4


def test_sentences_are_the_same_in_each_class(
    folder: ClipFolder, listener: TakeListener, display: RecordedDisplay, stream: Stream
) -> None:
    plan = RecordingPlan(("happy", "angry"), 3, "", ("Come here.", "Well, well."), transcribed=False)
    rig = Rig(plan, folder, listener, display, stream, None)
    for _ in range(6):
        rig.speak()
    prompts = [line for line in display.lines if line.startswith("Read")]
    assert prompts[:3] == [
        "Read, happy (1 of 3): \u201cCome here.\u201d",
        "Read, happy (2 of 3): \u201cWell, well.\u201d",
        "Read, happy (3 of 3): \u201cCome here.\u201d",
    ]
    assert [line.replace("angry", "happy") for line in prompts[3:]] == prompts[:3]
    assert [row["text"] for row in rows(folder.path)] == ["Come here.", "Well, well.", "Come here."] * 2


def test_the_transcript_wins_over_the_sentence_to_read(
    folder: ClipFolder, listener: TakeListener, display: RecordedDisplay, stream: Stream
) -> None:
    rig = Rig(RecordingPlan(("happy",), 1, "", ("Come here.",)), folder, listener, display, stream, None)
    rig.speak()
    assert [row["text"] for row in rows(folder.path)] == ["35 frames"]


def test_after_a_full_disk_the_clip_can_still_be_saved(rig: Rig) -> None:
    rig.speak()
    rig.press("\r")
    rig.speak()
    with largest_file(100):
        rig.press("\r")
    assert "error: " in rig.display.lines[-1]
    assert "free some space" in rig.display.lines[-1]
    assert rig.display.redrawn.startswith("Enter")
    assert len(rows(rig.folder.path)) == 1
    rig.press("\r")
    assert len(rows(rig.folder.path)) == 2


def test_a_full_disk_without_a_keyboard_is_an_error(
    plan: RecordingPlan, folder: ClipFolder, listener: TakeListener, display: RecordedDisplay, stream: Stream
) -> None:
    rig = Rig(plan, folder, listener, display, stream, None)
    rig.speak()
    with largest_file(100), pytest.raises(RecordingError, match="cannot be written") as error:
        rig.speak()
    assert error.value.fix.startswith("free some space")
    assert len(rows(folder.path)) == 1


def test_a_sentence_that_is_cut_off_is_discarded(rig: Rig) -> None:
    rig.play(LOUD, 20)
    rig.session.microphone_lost()
    assert "the microphone was lost" in rig.display.lines[-1]
    rig.session.tick()
    assert rig.display.redrawn == "waiting for the microphone"
    rig.play(0, 30)
    assert rig.clips == []
    rig.speak()
    rig.session.microphone_lost()  # while the take is undecided
    rig.press("\r")
    assert rig.clips == ["clips.csv", "happy/0001.flac"]


def test_the_meter_shows_the_highest_level_since_it_was_last_drawn(rig: Rig, stream: Stream) -> None:
    for frame in [*stream.frames(32767, 1), *stream.frames(3277, 1)]:
        rig.session.process(frame)
    rig.session.tick()
    rig.play(3277, 1)
    rig.play(0, 1)
    assert rig.display.levels == pytest.approx([0, -20, -96], abs=0.1)


def test_remarks_on_a_take(rig: Rig) -> None:
    rig.play(32767, 105)
    assert "too loud" in rig.display.lines[-1]
    assert "there was no pause" in rig.display.lines[-1]


def test_frames_after_the_last_clip_are_ignored(
    folder: ClipFolder, listener: TakeListener, display: RecordedDisplay, stream: Stream
) -> None:
    rig = Rig(RecordingPlan(("happy",), 1), folder, listener, display, stream, None)
    rig.speak()
    rig.speak()
    assert rig.session.finished
    assert rig.clips == ["clips.csv", "happy/0001.flac"]
    assert Path(rig.folder.path / "happy").is_dir()
