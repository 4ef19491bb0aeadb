"""The two parts with simulated blocks; tests/system/test_calibrate.py has a virtual microphone."""

import numpy as np
import pytest

from device.audio.framer import Framer
from device.audio.microphone import Block
from device.room.phases import SETTLE_S, TEXT_TO_READ, Phases
from tests.device.audio.test_reconnecting import FakeMicrophone
from tests.device.recorder.conftest import RecordedDisplay
from tests.device.recorder.conftest import display as display

RATE, SECONDS = 48_000, 2.0


class Rig:
    """Delivers blocks of 128 ms of a square wave to both parts, as `device.audio.reconnecting` does."""

    def __init__(self, display: RecordedDisplay) -> None:
        self.phases = Phases(SECONDS, display)
        self._microphone = FakeMicrophone(0, rate=RATE)
        self._framer = Framer(RATE)
        self.phases.prompt()

    def play(self, value: int, seconds: float) -> None:
        for _ in range(round(seconds / 0.128)):
            wave = np.where(np.arange(6144) // 96 % 2, -value, value).astype(np.int16)
            samples = np.stack([wave, wave], axis=1)
            self.phases.receive(self._microphone, Block(samples, 0.0, constant=False))
            for frame in self._framer.push(samples):
                self.phases.process(frame)
            self.phases.tick()


def test_both_parts_are_collected_without_their_beginning(display: RecordedDisplay) -> None:
    rig = Rig(display)
    assert display.lines == ["1. Be quiet: the room is measured for 2 s."]
    rig.play(7000, SETTLE_S)  # a click
    rig.play(100, SECONDS)
    rig.play(3000, SETTLE_S + SECONDS + 0.3)
    assert rig.phases.finished
    assert (rig.phases.lost, rig.phases.stopped) == (False, False)
    assert len(display.lines) == 2
    assert display.lines[1].startswith("2. Now speak at your usual distance for 2 s;")
    assert TEXT_TO_READ in display.lines[1]
    for recording, value in ((rig.phases.room, 100), (rig.phases.speech, 3000)):
        assert recording.rate == RATE
        assert recording.samples.shape[1] == 2
        assert abs(len(recording.samples) / RATE - SECONDS) < 0.2
        assert abs(len(recording.frames) * 0.032 - SECONDS) < 0.04
        assert np.median(np.abs(recording.samples)) == value
    assert (np.abs(rig.phases.room.samples) == 7000).mean() < 0.1
    assert rig.phases.microphone == f"fake at {RATE}"


def test_the_meter_counts_down(display: RecordedDisplay) -> None:
    rig = Rig(display)
    rig.phases.tick()
    assert display.redrawn == "", "the microphone is not open yet"
    rig.play(100, 0.3)
    assert display.redrawn == "be quiet, 2 s left"
    rig.play(100, SETTLE_S + 1.2)
    assert display.redrawn == "be quiet, 1 s left"
    rig.play(20_000, 0.8)
    rig.play(3000, 0.4)
    assert display.redrawn.startswith("speak, ")
    assert display.levels[-1] == pytest.approx(-21, abs=1), "not the loudest so far"


def test_a_lost_microphone_ends_the_measurement(display: RecordedDisplay) -> None:
    rig = Rig(display)
    rig.play(100, 1)
    rig.phases.microphone_lost()
    assert rig.phases.finished
    assert (rig.phases.lost, rig.phases.stopped) == (True, False)


def test_the_end_of_the_stream_after_both_parts_is_no_loss(display: RecordedDisplay) -> None:
    rig = Rig(display)
    rig.play(100, 3 * (SECONDS + SETTLE_S) + 0.3)
    rig.phases.microphone_lost()
    rig.phases.stop()
    assert (rig.phases.lost, rig.phases.stopped) == (False, False)


def test_a_signal_ends_the_measurement(display: RecordedDisplay) -> None:
    rig = Rig(display)
    rig.play(100, 1)
    rig.phases.stop()
    assert rig.phases.finished
    rig.phases.microphone_lost()
    assert (rig.phases.lost, rig.phases.stopped) == (False, True)
    rig.play(100, 5)  # what still arrives is ignored
    assert len(display.lines) == 1
