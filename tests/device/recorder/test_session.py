"""What becomes of each clip, key by key."""

from pathlib import Path

import pytest
import soundfile

from device.errors import RecordingError
from device.recorder.clip_folder import ClipFolder
from device.recorder.session import RecordingPlan, Session
from device.recorder.take import TakeListener
from tests.device.recorder.conftest import LOUD, Shown, Stream, Typed
from tests.device.recorder.test_clip_folder import files, largest_file, rows


class Rig:
    """A session, with someone who speaks and someone who presses keys."""

    def __init__(
        self,
        plan: RecordingPlan,
        folder: ClipFolder,
        listener: TakeListener,
        shown: Shown,
        stream: Stream,
        typed: Typed | None,
    ) -> None:
        self.folder, self.shown, self._stream, self._typed = folder, shown, stream, typed
        self.session = Session(plan, folder, listener, shown, typed, clock=lambda: stream.now)
        self.session.prompt()

    def hear(self, level: int, count: int) -> None:
        for frame in self._stream.frames(level, count):
            self.session.process(frame)
        self.session.tick()

    def speak(self, count: int = 20) -> None:
        self.hear(0, 20)
        self.hear(LOUD, count)
        self.hear(0, 20)

    def press(self, key: str) -> None:
        assert self._typed is not None
        self._typed.press(key)
        self.session.tick()

    @property
    def clips(self) -> list[str]:
        return files(self.folder.path)


@pytest.fixture
def plan() -> RecordingPlan:
    return RecordingPlan(("happy", "angry"), 2, "Ann")


@pytest.fixture
def rig(
    plan: RecordingPlan, folder: ClipFolder, listener: TakeListener, shown: Shown, stream: Stream, typed: Typed
) -> Rig:
    return Rig(plan, folder, listener, shown, stream, typed)


def test_class_by_class_each_kept_with_enter(rig: Rig) -> None:
    assert rig.shown.lines == ["Say something happy (1 of 2)"]
    for number in range(4):
        assert not rig.session.finished
        rig.speak(20 + number)
        assert rig.shown.moving.startswith("Enter: keep")
        rig.press("\r")
    assert rig.session.finished
    assert [line for line in rig.shown.lines if line.startswith("Say")] == [
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
    assert "1.1 s, \u201c35 frames\u201d" in rig.shown.lines
    assert "kept as happy/0001.flac" in rig.shown.lines


def test_nothing_is_written_before_it_is_kept(rig: Rig) -> None:
    rig.speak()
    assert rig.clips == []
    rig.speak()  # while it is asked what to do with the first
    rig.press("\n")
    assert rig.clips == ["clips.csv", "happy/0001.flac"]
    assert not rig.shown.moving.startswith("Enter"), "the second was not asked for"


def test_again(rig: Rig) -> None:
    rig.speak()
    rig.press("R")
    assert rig.clips == []
    assert rig.shown.lines[-1] == "Say something happy (1 of 2)"
    rig.speak(30)
    rig.press("\r")
    [row] = rows(rig.folder.path)
    assert row["text"] == "45 frames"


def test_again_in_the_middle_of_a_sentence(rig: Rig) -> None:
    rig.hear(LOUD, 20)
    assert rig.shown.moving == "recording"
    rig.press("r")
    assert rig.shown.moving == "a moment"
    rig.hear(0, 30)
    assert rig.shown.moving == "speak when you are ready"
    assert "Enter" not in rig.shown.moving
    rig.speak(30)
    rig.press("\r")
    [row] = rows(rig.folder.path)
    assert row["text"] == "45 frames"


def test_the_click_of_a_key_is_in_no_clip(rig: Rig) -> None:
    rig.speak()
    rig.press("\r")
    rig.hear(LOUD, 5)
    rig.speak()
    rig.press("\r")
    samples, _ = soundfile.read(rig.folder.path / "happy/0002.flac", dtype="int16")
    assert list(samples[::512]) == [0] * 5 + [LOUD] * 20 + [0] * 10


def test_a_key_that_means_nothing_makes_no_hole(rig: Rig) -> None:
    rig.hear(LOUD, 20)
    rig.press("\r")
    rig.hear(LOUD, 20)
    rig.hear(0, 20)
    rig.press("\r")
    [row] = rows(rig.folder.path)
    assert row["text"] == "50 frames"


def test_the_next_class(rig: Rig) -> None:
    rig.press("n")
    assert rig.shown.lines[-1] == "Say something angry (1 of 2)"
    rig.speak()
    rig.press("n")
    assert "not kept" in rig.shown.lines
    assert rig.session.finished
    assert rig.clips == []


@pytest.mark.parametrize("key", ["q", "Q", "\x04"])
def test_quit_keeps_what_was_kept(rig: Rig, key: str) -> None:
    rig.speak()
    rig.press("\r")
    rig.speak()
    rig.press(f"{key}\r")
    assert rig.session.finished
    assert rig.clips == ["clips.csv", "happy/0001.flac"]


def test_keys_that_mean_nothing_now(rig: Rig) -> None:
    rig.press("\r\rxr ")
    assert rig.shown.lines == ["Say something happy (1 of 2)"]
    rig.speak()
    rig.press("xyz")
    assert rig.clips == []
    assert rig.shown.moving.startswith("Enter")


def test_it_goes_on_where_it_stopped(rig: Rig, plan: RecordingPlan, listener: TakeListener, shown: Shown) -> None:
    rig.speak()
    rig.press("\rq")
    Session(plan, rig.folder, listener, shown, None).prompt()
    assert shown.lines[-1] == "Say something happy (2 of 2)"
    more = RecordingPlan(("happy", "angry"), 1)
    Session(more, rig.folder, listener, shown, None).prompt()
    assert shown.lines[-1] == "Say something angry (1 of 1)"


def test_without_a_keyboard_each_is_kept(
    plan: RecordingPlan, folder: ClipFolder, listener: TakeListener, shown: Shown, stream: Stream
) -> None:
    rig = Rig(plan, folder, listener, shown, stream, None)
    for _ in range(5):
        rig.speak()
    assert rig.session.finished
    assert len(rows(folder.path)) == 4


def test_sentences_are_the_same_in_each_class(
    folder: ClipFolder, listener: TakeListener, shown: Shown, stream: Stream
) -> None:
    plan = RecordingPlan(("happy", "angry"), 3, "", ("Come here.", "Well, well."), transcribed=False)
    rig = Rig(plan, folder, listener, shown, stream, None)
    for _ in range(6):
        rig.speak()
    asked = [line for line in shown.lines if line.startswith("Read")]
    assert asked[:3] == [
        "Read, happy (1 of 3): \u201cCome here.\u201d",
        "Read, happy (2 of 3): \u201cWell, well.\u201d",
        "Read, happy (3 of 3): \u201cCome here.\u201d",
    ]
    assert [line.replace("angry", "happy") for line in asked[3:]] == asked[:3]
    assert [row["text"] for row in rows(folder.path)] == ["Come here.", "Well, well.", "Come here."] * 2


def test_with_vosk_it_is_written_what_was_heard_and_not_what_was_to_be_read(
    folder: ClipFolder, listener: TakeListener, shown: Shown, stream: Stream
) -> None:
    rig = Rig(RecordingPlan(("happy",), 1, "", ("Come here.",)), folder, listener, shown, stream, None)
    rig.speak()
    assert [row["text"] for row in rows(folder.path)] == ["35 frames"]


def test_a_full_disk_loses_nothing_and_the_clip_can_still_be_kept(rig: Rig) -> None:
    rig.speak()
    rig.press("\r")
    rig.speak()
    with largest_file(100):
        rig.press("\r")
    assert "error: " in rig.shown.lines[-1]
    assert "free some space" in rig.shown.lines[-1]
    assert rig.shown.moving.startswith("Enter")
    assert len(rows(rig.folder.path)) == 1
    rig.press("\r")
    assert len(rows(rig.folder.path)) == 2


def test_a_full_disk_with_nobody_to_ask(
    plan: RecordingPlan, folder: ClipFolder, listener: TakeListener, shown: Shown, stream: Stream
) -> None:
    rig = Rig(plan, folder, listener, shown, stream, None)
    rig.speak()
    with largest_file(100), pytest.raises(RecordingError, match="free some space"):
        rig.speak()
    assert len(rows(folder.path)) == 1


def test_half_a_sentence_is_no_clip(rig: Rig) -> None:
    rig.hear(LOUD, 20)
    rig.session.microphone_lost()
    assert "the microphone was lost" in rig.shown.lines[-1]
    rig.session.tick()
    assert rig.shown.moving == "waiting for the microphone"
    rig.hear(0, 30)
    assert rig.clips == []
    rig.speak()
    rig.session.microphone_lost()  # while it is asked what to do with it
    rig.press("\r")
    assert rig.clips == ["clips.csv", "happy/0001.flac"]


def test_the_level_is_the_loudest_since_it_was_last_drawn(rig: Rig, stream: Stream) -> None:
    for frame in [*stream.frames(32767, 1), *stream.frames(3277, 1)]:
        rig.session.process(frame)
    rig.session.tick()
    rig.hear(3277, 1)
    rig.hear(0, 1)
    assert rig.shown.levels == pytest.approx([0, -20, -96], abs=0.1)


def test_remarks_on_a_take(rig: Rig) -> None:
    rig.hear(32767, 105)
    assert "too loud" in rig.shown.lines[-1]
    assert "you made no pause" in rig.shown.lines[-1]


def test_no_class_is_left(folder: ClipFolder, listener: TakeListener, shown: Shown, stream: Stream) -> None:
    rig = Rig(RecordingPlan(("happy",), 1), folder, listener, shown, stream, None)
    rig.speak()
    rig.speak()
    assert rig.session.finished
    assert rig.clips == ["clips.csv", "happy/0001.flac"]
    assert Path(rig.folder.path / "happy").is_dir()
