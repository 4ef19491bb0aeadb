"""Microphones of the test: what a session makes of those that are lost, and of signals."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from device.audio.microphone import Block, MicrophoneInfo
from device.errors import AudioError, RecordingError
from device.recorder.clip_folder import ClipFolder
from device.recorder.recorder import Recorder
from device.recorder.session import RecordingPlan, Session
from device.recorder.take import TakeListener
from device.settings.schema import LivenessSettings, Settings
from tests.device.recorder.conftest import LOUD, Shown
from tests.device.recorder.test_clip_folder import largest_file, rows

SETTINGS = replace(Settings(), liveness=LivenessSettings(retry_s=0.1, stuck_limit_s=5))


class Fake:
    """Gives frames of these levels, and ends; or does something, once, and waits."""

    def __init__(self, *parts: tuple[int, int], after: Callable[[], None] | None = None) -> None:
        self.info = MicrophoneInfo(0, "fake", 16_000, 1, is_default=True)
        self.rate = 16_000
        self.dropped_blocks = 0
        self.blocks_at_once = 1
        self.closed = False
        self._levels = [level for level, count in parts for _ in range(count)]
        self._after = after
        self._ends = after is None

    @property
    def ended(self) -> bool:
        return not self._levels and self._ends

    def block(self, limit_s: float) -> Block | None:
        if self._levels:
            return Block(np.full((512, 1), self._levels.pop(0), np.int16), time.monotonic(), zero=False)
        if self._after is not None:
            after, self._after = self._after, None
            after()
        return None

    def wake(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def recorder(
    folder: ClipFolder, listener: TakeListener, shown: Shown, clips: int, *microphones: Fake | AudioError
) -> Recorder:
    prepared = list(microphones)

    def opened(_name: str) -> Fake:
        following = prepared.pop(0)
        if isinstance(following, AudioError):
            raise following
        return following

    session = Session(RecordingPlan(("happy",), clips), folder, listener, shown, None)
    return Recorder(SETTINGS, session, shown, open_microphone=opened)


SPOKEN = ((1, 10), (LOUD, 20), (1, 15))


def test_it_ends_when_all_is_there(folder: ClipFolder, listener: TakeListener, shown: Shown) -> None:
    microphone = Fake(*SPOKEN, *SPOKEN, *SPOKEN)
    recorder(folder, listener, shown, 2, microphone).run()
    assert shown.lines[:2] == ["listening to fake at 16000 Hz", "Say something happy (1 of 2)"]
    assert len(rows(folder.path)) == 2
    assert microphone.closed


def test_a_lost_microphone_is_waited_for(folder: ClipFolder, listener: TakeListener, shown: Shown) -> None:
    half = ((1, 10), (LOUD, 20))
    recorder(folder, listener, shown, 2, Fake(*SPOKEN, *half), AudioError("gone"), Fake((1, 20), *SPOKEN)).run()
    assert len(rows(folder.path)) == 2
    told = "\n".join(shown.lines)
    assert "microphone lost, waiting for it: it is gone; was it pulled out?" in told
    assert "this is no clip" in told
    assert [line for line in shown.lines if line.startswith("Say")] == [
        "Say something happy (1 of 2)",
        "Say something happy (2 of 2)",
        "Say something happy (2 of 2)",
    ]


def test_none_at_the_start_is_an_error(folder: ClipFolder, listener: TakeListener, shown: Shown) -> None:
    with pytest.raises(AudioError, match="none there"):
        recorder(folder, listener, shown, 2, AudioError("none there")).run()


def test_a_full_disk_is_told_once_the_microphone_is_let_go_of(
    folder: ClipFolder, listener: TakeListener, shown: Shown
) -> None:
    microphone = Fake(*SPOKEN, *SPOKEN)
    with largest_file(100), pytest.raises(RecordingError, match="free some space"):
        recorder(folder, listener, shown, 2, microphone).run()
    assert microphone.closed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(
    folder: ClipFolder, listener: TakeListener, shown: Shown, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    microphone = Fake(*SPOKEN, (1, 5), (LOUD, 5), after=lambda: os.kill(os.getpid(), number))
    recorder(folder, listener, shown, 5, microphone).run()
    assert len(rows(folder.path)) == 1
    assert shown.lines[-1] == "not kept"
    assert microphone.closed
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_ends_it_at_once(folder: ClipFolder, listener: TakeListener, shown: Shown) -> None:
    def twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        recorder(folder, listener, shown, 5, Fake(*SPOKEN, after=twice)).run()
    assert len(rows(folder.path)) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "it is as it was"
