"""ReconnectingMicrophone with microphones of the test: what they do when opening fails, hangs, or the sound stops."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from device.audio.liveness import Liveness, LivenessMachine
from device.audio.microphone import Block, MicrophoneInfo
from device.audio.reconnecting import ReconnectingMicrophone
from device.errors import AudioError
from device.settings.schema import LivenessSettings

SETTINGS = LivenessSettings(
    no_sound_limit_s=1.0, retry_s=0.1, silent_after_s=1.0, reopen_silent_s=1.0, stuck_limit_s=1.0
)


class Fake:
    """A microphone that gives some blocks and then does what it was made for."""

    def __init__(self, blocks: int, then: str = "ends", *, rate: int = 16_000, zero: bool = False) -> None:
        self.info = MicrophoneInfo(0, f"fake at {rate}", rate, 1, is_default=True)
        self.rate = rate
        self.dropped_blocks = 2
        self.blocks_at_once = 1
        self.closed = threading.Event()
        self.unstick = threading.Event()
        self._blocks = blocks
        self._then = then
        self._zero = zero

    @property
    def ended(self) -> bool:
        return self._blocks == 0 and self._then == "ends"

    def block(self, limit_s: float) -> Block | None:
        if self._blocks == 0:
            time.sleep(limit_s)
            return None
        self._blocks -= 1
        if self._zero:
            time.sleep(0.001)  # a second of silence must last
        level = 0 if self._zero else 3000
        return Block(np.full((round(self.rate * 0.032), 1), level, np.int16), time.monotonic(), self._zero)

    def wake(self) -> None:
        pass

    def close(self) -> None:
        if self._then == "hangs in close":
            self.unstick.wait(30)
        self.closed.set()


class Rig:
    """ReconnectingMicrophone that open what the test has prepared, and everything that they told."""

    def __init__(
        self,
        *prepared: Fake | Exception | Callable[[], Fake],
        patient: bool = True,
        urgent: Callable[[], bool] = lambda: True,
    ) -> None:
        self._prepared = list(prepared)
        self.refreshed = 0
        self.turns = 0
        self.told: list[Liveness] = []
        self.ears = ReconnectingMicrophone(
            "fake",
            LivenessMachine(SETTINGS, time.monotonic, self.told.append),
            SETTINGS.stuck_limit_s,
            turn=self._turn,
            urgent=urgent,
            patient=patient,
            open_microphone=self._open,
            refresh=self._refresh,
        )

    def _turn(self) -> None:
        self.turns += 1

    def _refresh(self) -> None:
        self.refreshed += 1

    def _open(self, name: str) -> Fake:
        assert name == "fake"
        if not self._prepared:
            self.ears.stop()
            raise AudioError("no more")
        following = self._prepared.pop(0)
        if isinstance(following, Exception):
            raise following
        return following if isinstance(following, Fake) else following()

    def lengths(self) -> list[int]:
        """Frames of each stream."""
        return [sum(1 for _ in frames) for frames in self.ears.streams()]

    @property
    def states(self) -> list[str]:
        return [each.state.value for each in self.told]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    end = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < end, threading.enumerate()
        time.sleep(0.01)


def test_a_stream_for_each_time_that_it_was_open() -> None:
    first, second = Fake(5), Fake(30, rate=48_000)
    rig = Rig(first, AudioError("gone"), AudioError("gone"), second)
    # 48 kHz is resampled, which keeps a part of the sound for a while.
    assert rig.lengths() == [5, pytest.approx(30, abs=2)]
    assert rig.states[:5] == ["recovering", "healthy", "lost", "lost", "recovering"]
    assert first.closed.is_set()
    assert second.closed.is_set()
    assert rig.refreshed == 4  # before each but the first
    assert rig.ears.received_blocks == 35
    assert rig.ears.dropped_blocks == 4
    assert rig.ears.microphone is None


def test_at_leisure_blocks_come_some_at_a_time() -> None:
    speaks = False
    fake = Fake(9)
    rig = Rig(fake, urgent=lambda: speaks)
    at_once = []
    for frames in rig.ears.streams():
        for number, _ in enumerate(frames):
            at_once.append(fake.blocks_at_once)
            speaks = 3 <= number < 6
    assert at_once == [1, 4, 4, 4, 1, 1, 1, 4, 4]


def test_frozen_is_closed_and_opened_anew() -> None:
    rig = Rig(Fake(5, "freezes"), Fake(3))
    assert rig.lengths() == [5, 3]
    assert "no sound for 1 s" in rig.told[2].reason


def test_silence_is_told_and_opened_anew() -> None:
    fake = Fake(10_000, zero=True)
    rig = Rig(fake, Fake(3))
    lengths = rig.lengths()
    assert lengths[1:] == [3]
    assert rig.states[:4] == ["recovering", "healthy", "silent", "healthy"]


def test_impatient_ears_raise_what_stopped_the_first_opening() -> None:
    with pytest.raises(AudioError, match="no microphone"):
        Rig(AudioError("no microphone"), Fake(3), patient=False).lengths()
    rig = Rig(Fake(3), AudioError("gone"), Fake(4), patient=False)
    assert rig.lengths() == [3, 4]  # once it was there, they wait


def test_opening_that_hangs_has_failed() -> None:
    release = threading.Event()

    def hang() -> Fake:
        release.wait(30)
        return Fake(0)

    rig = Rig(hang)
    start = time.monotonic()
    with pytest.raises(AudioError, match="opening the microphone hangs for 1 s"):
        rig.lengths()
    assert time.monotonic() - start < 10
    assert rig.states == ["failed"]
    release.set()


def test_closing_that_hangs_has_failed() -> None:
    fake = Fake(3, "hangs in close")
    rig = Rig(fake)
    with pytest.raises(AudioError, match="closing the microphone hangs"):
        rig.lengths()
    fake.unstick.set()


@pytest.mark.parametrize("prepared", [Fake(10**9), AudioError("none")])
def test_stopped_from_another_thread(prepared: Fake | AudioError) -> None:
    rig = Rig(*([prepared] * (1 if isinstance(prepared, Fake) else 1000)))
    thread = threading.Thread(target=rig.lengths)
    thread.start()
    end = time.monotonic() + 10
    while rig.turns < 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    rig.ears.stop()
    thread.join(5)
    assert not thread.is_alive()
    if isinstance(prepared, Fake):
        assert prepared.closed.is_set()
