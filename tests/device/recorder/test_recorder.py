"""A recorder with fake microphones: losses and signals."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from device.audio.microphone import Block, MicrophoneInfo
from device.errors import AudioError, RecordingError
from device.recorder.clip_collection import ClipCollection, RecordingPlan
from device.recorder.clip_folder import ClipFolder
from device.recorder.recorder import Recorder
from device.recorder.session import Session
from device.recorder.take import TakeListener
from device.settings.schema import LivenessSettings, Settings
from tests.device.recorder.conftest import LOUD, RecordedDisplay
from tests.device.recorder.test_clip_folder import largest_file, rows

SETTINGS = replace(Settings(), liveness=LivenessSettings(retry_s=0.1, stuck_limit_s=5))


class FakeMicrophone:
    """A microphone with frames of these levels, which then ends; or calls `after` once and stays open."""

    def __init__(self, *parts: tuple[int, int], after: Callable[[], None] | None = None) -> None:
        self.info = MicrophoneInfo(0, "fake", 16_000, 1, is_default=True)
        self.rate = 16_000
        self.dropped_blocks = 0
        self.batch_size = 1
        self.closed = False
        self._levels = [level for level, count in parts for _ in range(count)]
        self._after = after
        self._ends = after is None

    @property
    def ended(self) -> bool:
        return not self._levels and self._ends

    def block(self, limit_s: float) -> Block | None:
        if self._levels:
            level = self._levels.pop(0)
            samples = np.resize(np.array([level, -level], np.int16), (512, 1))
            return Block(samples, time.monotonic(), constant=False)
        if self._after is not None:
            after, self._after = self._after, None
            after()
        return None

    def wake(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def recorder(
    folder: ClipFolder,
    listener: TakeListener,
    display: RecordedDisplay,
    clips: int,
    *microphones: FakeMicrophone | AudioError,
) -> Recorder:
    prepared = list(microphones)

    def opened(_name: str) -> FakeMicrophone:
        following = prepared.pop(0)
        if isinstance(following, AudioError):
            raise following
        return following

    session = Session(ClipCollection(RecordingPlan(("happy",), clips), folder), listener, display, None)
    return Recorder(SETTINGS, session, display, open_microphone=opened)


SPOKEN = ((1, 10), (LOUD, 20), (1, 15))


def test_it_ends_with_the_last_clip(folder: ClipFolder, listener: TakeListener, display: RecordedDisplay) -> None:
    microphone = FakeMicrophone(*SPOKEN, *SPOKEN, *SPOKEN)
    recorder(folder, listener, display, 2, microphone).run()
    assert display.lines[:2] == ["listening to fake at 16000 Hz", "Say something happy (1 of 2)"]
    assert len(rows(folder.path)) == 2
    assert microphone.closed


def test_it_waits_for_a_lost_microphone(folder: ClipFolder, listener: TakeListener, display: RecordedDisplay) -> None:
    half = ((1, 10), (LOUD, 20))
    recorder(
        folder,
        listener,
        display,
        2,
        FakeMicrophone(*SPOKEN, *half),
        AudioError("gone"),
        FakeMicrophone((1, 20), *SPOKEN),
    ).run()
    assert len(rows(folder.path)) == 2
    printed = "\n".join(display.lines)
    assert "microphone lost, waiting for it: it is gone; plug it in again" in printed
    assert "the clip is discarded" in printed
    assert [line for line in display.lines if line.startswith("Say")] == [
        "Say something happy (1 of 2)",
        "Say something happy (2 of 2)",
        "Say something happy (2 of 2)",
    ]


def test_no_microphone_at_the_start_is_an_error(
    folder: ClipFolder, listener: TakeListener, display: RecordedDisplay
) -> None:
    with pytest.raises(AudioError, match="none there"):
        recorder(folder, listener, display, 2, AudioError("none there")).run()


def test_the_microphone_is_closed_before_a_full_disk_is_reported(
    folder: ClipFolder, listener: TakeListener, display: RecordedDisplay
) -> None:
    microphone = FakeMicrophone(*SPOKEN, *SPOKEN)
    with largest_file(100), pytest.raises(RecordingError, match="cannot be written") as error:
        recorder(folder, listener, display, 2, microphone).run()
    assert error.value.fix.startswith("free some space")
    assert microphone.closed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_an_orderly_way(
    folder: ClipFolder, listener: TakeListener, display: RecordedDisplay, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    microphone = FakeMicrophone(*SPOKEN, (1, 5), (LOUD, 5), after=lambda: os.kill(os.getpid(), number))
    recorder(folder, listener, display, 5, microphone).run()
    assert len(rows(folder.path)) == 1
    assert display.lines[-1] == "discarded"
    assert microphone.closed
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_ends_it_at_once(folder: ClipFolder, listener: TakeListener, display: RecordedDisplay) -> None:
    def twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        recorder(folder, listener, display, 5, FakeMicrophone(*SPOKEN, after=twice)).run()
    assert len(rows(folder.path)) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the previous handler is restored"
