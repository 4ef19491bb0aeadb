"""`ReconnectingMicrophone` with fake microphones whose opening fails or hangs, or whose audio stops."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from device.audio import reconnecting
from device.audio.liveness import Liveness, LivenessMachine, Muting
from device.audio.microphone import Block, MicrophoneInfo
from device.audio.reconnecting import ReconnectingMicrophone
from device.errors import AudioError
from device.settings.schema import LivenessSettings
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SETTINGS = LivenessSettings(
    no_sound_limit_s=1.0, retry_s=0.1, silent_after_s=1.0, reopen_silent_s=1.0, stuck_limit_s=1.0
)


MUTING = Muting("it is closed", "open it")


class FakeMicrophone:
    """A microphone that delivers some blocks and then ends, freezes or hangs, as `then` says."""

    def __init__(self, blocks: int, then: str = "ends", *, rate: int = 16_000, constant: bool = False) -> None:
        self.info = MicrophoneInfo(0, f"fake at {rate}", rate, 1, is_default=True)
        self.rate = rate
        self.dropped_blocks = 2
        self.batch_size = 1
        self.woken = threading.Event()
        self.closed = threading.Event()
        self.unstick = threading.Event()
        self._blocks = blocks
        self._then = then
        self._constant = constant

    @property
    def ended(self) -> bool:
        return self._blocks == 0 and self._then == "ends"

    def block(self, limit_s: float) -> Block | None:
        if self._blocks == 0:
            if not self.ended:
                time.sleep(limit_s)
            return None
        self._blocks -= 1
        if self._constant:
            time.sleep(0.001)  # slows down the blocks, so that a second of silence is a second
        level = 0 if self._constant else 3000
        return Block(np.full((round(self.rate * 0.032), 1), level, np.int16), time.monotonic(), self._constant)

    def wake(self) -> None:
        self.woken.set()

    def close(self) -> None:
        if self._then == "hangs in close":
            self.unstick.wait(30)
        self.closed.set()


class Rig:
    """A `ReconnectingMicrophone` that opens what the test has prepared, and its changes of liveness."""

    def __init__(
        self,
        *prepared: FakeMicrophone | Exception | Callable[[], FakeMicrophone],
        patient: bool = True,
        batch_size: Callable[[], int] = lambda: 1,
    ) -> None:
        self._prepared = list(prepared)
        self.blocks: list[tuple[str, tuple[int, ...]]] = []
        """Name of the microphone and shape of the samples of each block."""
        self.refreshed = 0
        self.ticks = 0
        self.changes: list[Liveness] = []
        self.liveness = LivenessMachine(SETTINGS, time.monotonic, self.changes.append)
        self.microphone = ReconnectingMicrophone(
            "fake",
            self.liveness,
            SETTINGS.stuck_limit_s,
            tick=self._tick,
            batch_size=batch_size,
            patient=patient,
            open_microphone=self._open,
            refresh=self._refresh,
            on_block=lambda microphone, block: self.blocks.append((microphone.info.name, block.samples.shape)),
        )

    def _tick(self) -> None:
        self.ticks += 1

    def _refresh(self) -> None:
        self.refreshed += 1

    def _open(self, name: str) -> FakeMicrophone:
        assert name == "fake"
        if not self._prepared:
            self.microphone.stop()
            raise AudioError("no more")
        following = self._prepared.pop(0)
        if isinstance(following, Exception):
            raise following
        return following if isinstance(following, FakeMicrophone) else following()

    def lengths(self) -> list[int]:
        """Frames of each stream."""
        return [sum(1 for _ in frames) for frames in self.microphone.streams()]

    @property
    def states(self) -> list[str]:
        return [each.state.value for each in self.changes]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    wait_until(lambda: threading.active_count() <= before, limit_s=5, message=lambda: str(threading.enumerate()))


def test_muting_closes_the_microphone_and_unmuting_opens_the_next() -> None:
    first, second = FakeMicrophone(1000), FakeMicrophone(5)
    rig = Rig(first, second)

    def unmute() -> None:
        try:
            wait_until(lambda: rig.states[-1] == "muted")
            assert rig.liveness.now.microphone == ""
            ticks = rig.ticks
            wait_until(lambda: rig.ticks > ticks, message="the watchdog would end the process")
        finally:  # else the test would wait for the next stream
            rig.microphone.mute(None)

    thread = threading.Thread(target=unmute, daemon=True)
    with contextlib.closing(rig.microphone.streams()) as streams:
        frames = next(streams)
        next(frames)
        rig.microphone.mute(MUTING)
        assert first.woken.is_set(), "muting waits for no block"
        received = rig.microphone.received_blocks
        assert list(frames) == [], "what was spoken after it was muted is not used"
        assert first.closed.is_set()
        assert rig.microphone.received_blocks == received
        thread.start()
        assert sum(1 for _ in next(streams)) == 5
    thread.join()
    assert rig.states[:5] == ["recovering", "healthy", "muted", "recovering", "recovering"]
    assert rig.states[5] == "healthy"
    assert "lost" not in rig.states[:6]


def test_a_block_that_arrives_after_muting_is_not_used() -> None:
    class MutedWhileWaiting(FakeMicrophone):
        def block(self, limit_s: float) -> Block | None:
            rig.microphone.mute(MUTING)
            return super().block(limit_s)

    rig = Rig(MutedWhileWaiting(5))
    with contextlib.closing(rig.microphone.streams()) as streams:
        assert list(next(streams)) == []
    assert rig.blocks == []


def test_a_microphone_that_is_muted_at_the_start_is_never_opened() -> None:
    rig = Rig(FakeMicrophone(5))
    rig.microphone.mute(MUTING)
    thread = threading.Thread(target=rig.lengths, daemon=True)
    thread.start()
    wait_until(lambda: rig.ticks > 1)
    rig.microphone.stop()
    thread.join()
    assert rig.microphone.received_blocks == 0
    assert rig.states == ["muted"]


def test_muting_a_lost_microphone_ends_the_attempts_to_open_it() -> None:
    rig = Rig(AudioError("gone"), *[AudioError("still gone")] * 1000)
    thread = threading.Thread(target=rig.lengths, daemon=True)
    thread.start()
    wait_until(lambda: "lost" in rig.states)
    rig.microphone.mute(MUTING)
    wait_until(lambda: rig.states[-1] == "muted")
    refreshed, ticks = rig.refreshed, rig.ticks
    wait_until(lambda: rig.ticks > ticks + 1)
    assert rig.refreshed == refreshed
    rig.microphone.stop()
    thread.join()


def test_there_is_a_stream_for_each_time_that_the_microphone_was_open() -> None:
    first, second = FakeMicrophone(5), FakeMicrophone(30, rate=48_000)
    rig = Rig(first, AudioError("gone"), AudioError("gone"), second)
    # 48 kHz is resampled, and the resampler holds back a part of the audio for a while.
    assert rig.lengths() == [5, pytest.approx(30, abs=2)]
    assert rig.states[:5] == ["recovering", "healthy", "lost", "lost", "recovering"]
    assert first.closed.is_set()
    assert second.closed.is_set()
    assert rig.refreshed == 4  # before each but the first
    assert rig.microphone.received_blocks == 35
    assert rig.microphone.dropped_blocks == 4
    assert rig.liveness.now.microphone == ""


def test_each_block_is_passed_on_as_the_microphone_delivers_it() -> None:
    rig = Rig(FakeMicrophone(2), FakeMicrophone(1, rate=48_000))
    rig.lengths()
    assert rig.blocks == [("fake at 16000", (512, 1)), ("fake at 16000", (512, 1)), ("fake at 48000", (1536, 1))]


@pytest.mark.parametrize(("channels", "silent"), [("auto", False), ((1, 0), True)])
def test_the_channels_of_the_settings(
    channels: str | tuple[int, ...], silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are opened, and mixed as the settings say: two channels that cancel are inverted, but not if they are
    selected by number."""
    opened: list[object] = []

    class Stereo(FakeMicrophone):
        def __init__(self, *arguments: object, channels: object) -> None:
            opened.append((*arguments, channels))
            super().__init__(20)

        def block(self, limit_s: float) -> Block | None:
            wave = np.rint(3000 * np.sin(np.arange(512) / 10)).astype(np.int16)
            block = super().block(limit_s)
            return block and replace(block, samples=np.stack([wave, -wave], axis=1))

    monkeypatch.setattr(reconnecting, "Microphone", Stereo)
    liveness = LivenessMachine(SETTINGS, time.monotonic)
    microphone = ReconnectingMicrophone("fake", liveness, SETTINGS.stuck_limit_s, channels=channels)
    streams = microphone.streams()
    *_, last = next(streams)
    streams.close()
    assert opened == [("fake", channels)]
    assert (not last.samples.any()) == silent


def test_the_batch_size_is_updated_after_each_block_of_a_healthy_microphone() -> None:
    speaking = False
    fake = FakeMicrophone(9)
    rig = Rig(fake, batch_size=lambda: 1 if speaking else 4)
    sizes = []
    for frames in rig.microphone.streams():
        for number, _ in enumerate(frames):
            sizes.append(fake.batch_size)
            speaking = 3 <= number < 6
    assert sizes == [1, 4, 4, 4, 1, 1, 1, 4, 4]


def test_a_frozen_microphone_is_closed_and_opened_again() -> None:
    rig = Rig(FakeMicrophone(5, "freezes"), FakeMicrophone(3))
    assert rig.lengths() == [5, 3]
    assert "no audio for 1 s" in rig.changes[2].reason


def test_a_silent_microphone_is_reported_and_opened_again() -> None:
    fake = FakeMicrophone(10_000, constant=True)
    rig = Rig(fake, FakeMicrophone(3))
    lengths = rig.lengths()
    assert lengths[1:] == [3]
    assert rig.states[:4] == ["recovering", "healthy", "silent", "healthy"]


def test_without_patience_the_error_of_the_first_opening_is_raised() -> None:
    with pytest.raises(AudioError, match="no microphone"):
        Rig(AudioError("no microphone"), FakeMicrophone(3), patient=False).lengths()
    rig = Rig(FakeMicrophone(3), AudioError("gone"), FakeMicrophone(4), patient=False)
    assert rig.lengths() == [3, 4]  # a microphone that was open once is waited for


def test_muted_while_it_is_opened_an_error_is_none() -> None:
    """Whoever muted it may have it by now."""

    def refuse() -> FakeMicrophone:
        rig.microphone.mute(MUTING)
        raise AudioError("Device unavailable")

    rig = Rig(refuse, FakeMicrophone(3), patient=False)
    thread = threading.Thread(target=rig.lengths, daemon=True)
    thread.start()
    wait_until(lambda: rig.states[-1:] == ["muted"])
    rig.microphone.mute(None)
    wait_until(lambda: "healthy" in rig.states)
    rig.microphone.stop()
    thread.join()


def test_opening_that_hangs_has_failed() -> None:
    release = threading.Event()

    def hang() -> FakeMicrophone:
        release.wait(30)
        return FakeMicrophone(0)

    rig = Rig(hang)
    start = time.monotonic()
    with pytest.raises(AudioError, match="opening the microphone hangs for 1 s"):
        rig.lengths()
    assert time.monotonic() - start < 10
    assert rig.states == ["failed"]
    release.set()


def test_closing_that_hangs_has_failed() -> None:
    fake = FakeMicrophone(3, "hangs in close")
    rig = Rig(fake)
    with pytest.raises(AudioError, match="closing the microphone hangs"):
        rig.lengths()
    fake.unstick.set()


@pytest.mark.parametrize("prepared", [FakeMicrophone(10**9), AudioError("none")])
def test_stopped_from_another_thread(prepared: FakeMicrophone | AudioError) -> None:
    rig = Rig(*([prepared] * (1 if isinstance(prepared, FakeMicrophone) else 1000)))
    thread = threading.Thread(target=rig.lengths, daemon=True)
    thread.start()
    wait_until(lambda: rig.ticks >= 3, limit_s=10)
    rig.microphone.stop()
    thread.join(5)
    assert not thread.is_alive()
    if isinstance(prepared, FakeMicrophone):
        assert prepared.closed.is_set()
