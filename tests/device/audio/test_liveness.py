import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.audio.liveness import Due, Liveness, LivenessMachine, Muting, State
from device.settings.schema import LivenessSettings

SETTINGS = LivenessSettings(
    no_sound_limit_s=3.0, retry_s=1.0, silent_after_s=30.0, reopen_silent_s=60.0, stuck_limit_s=20.0
)
BLOCK_S = 0.032
MUTING = Muting("it is closed", "open it")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A machine on a fake clock, with its changes of liveness."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.changes: list[Liveness] = []
        self.machine = LivenessMachine(SETTINGS, self.clock, self.changes.append)

    @property
    def states(self) -> list[str]:
        return [each.state.value for each in self.changes]

    def open(self) -> None:
        assert self.machine.due() == Due.OPEN
        self.machine.opening()
        self.machine.opened("USB", 48_000)

    def receive(self, seconds: float, *, constant: bool = False) -> Due:
        """Deliver blocks for some time, or until something is due."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += BLOCK_S
            self.machine.block(constant=constant)
            if (due := self.machine.due()) != Due.NOTHING:
                return due
        return Due.NOTHING


@pytest.fixture
def healthy() -> Rig:
    rig = Rig()
    rig.open()
    rig.receive(1)
    rig.changes.clear()
    return rig


def test_from_the_start_to_the_first_block() -> None:
    rig = Rig()
    assert rig.machine.now.state == State.LOST
    rig.open()
    assert rig.machine.due() == Due.NOTHING
    rig.clock.now += 1.2
    rig.machine.block(constant=False)
    assert rig.states == ["recovering", "healthy"]
    assert rig.machine.now == Liveness(State.HEALTHY, rig.clock.now, "", "USB", 48_000)


def test_no_block_for_too_long_is_a_loss(healthy: Rig) -> None:
    healthy.clock.now += 2.9
    assert healthy.machine.due() == Due.NOTHING
    healthy.clock.now += 0.2
    assert healthy.machine.due() == Due.CLOSE
    assert healthy.states == ["lost"]
    assert "no audio for 3 s" in healthy.machine.now.reason
    assert (healthy.machine.now.microphone, healthy.machine.now.rate) == ("", 0), "it is of no use, although open"
    healthy.machine.closed()
    healthy.open()  # immediately, because the last attempt is long ago
    assert healthy.states == ["lost", "recovering"]


def test_pulled_out_and_back(healthy: Rig) -> None:
    healthy.machine.ended()
    assert healthy.machine.due() == Due.CLOSE
    healthy.machine.closed()
    healthy.clock.now += 1
    for _ in range(5):
        assert healthy.machine.due() == Due.OPEN
        healthy.machine.opening()
        healthy.machine.refused("no microphone found", "plug one in")
        healthy.clock.now += 0.5
        assert healthy.machine.due() == Due.NOTHING  # not more often than every `retry_s`
        healthy.clock.now += 0.5
    healthy.open()
    healthy.machine.block(constant=False)
    assert healthy.states == ["lost", "lost", "recovering", "healthy"]
    assert healthy.changes[0].description == "microphone lost, waiting for it: it is gone"
    assert healthy.changes[0].description_and_fix == "microphone lost, waiting for it: it is gone; plug it in again"
    assert [(each.reason, each.fix) for each in healthy.changes[:2]] == [
        ("it is gone", "plug it in again"), ("no microphone found", "plug one in"),
    ]  # fmt: skip
    assert (healthy.changes[-1].reason, healthy.changes[-1].fix) == ("", "")
    assert healthy.changes[0].since == healthy.changes[1].since  # still the same loss


def test_zeros_are_silence_and_the_microphone_is_opened_again(healthy: Rig) -> None:
    assert healthy.receive(29, constant=True) == Due.NOTHING
    assert healthy.states == []
    assert healthy.receive(3, constant=True) == Due.NOTHING
    assert healthy.states == ["silent"]
    assert healthy.receive(60, constant=True) == Due.CLOSE
    assert (healthy.machine.now.microphone, healthy.machine.now.rate) == ("USB", 48_000)
    healthy.machine.closed()
    assert (healthy.machine.now.microphone, healthy.machine.now.rate) == ("", 0)
    healthy.open()
    assert (healthy.machine.now.microphone, healthy.machine.now.rate) == ("USB", 48_000)
    assert healthy.receive(59, constant=True) == Due.NOTHING
    assert healthy.states == ["silent"], "it is still silent after it was opened again"
    healthy.machine.block(constant=False)
    assert healthy.states == ["silent", "healthy"]


def test_one_block_of_audio_ends_the_wait_for_silence(healthy: Rig) -> None:
    healthy.receive(29, constant=True)
    healthy.machine.block(constant=False)
    healthy.receive(29, constant=True)
    assert healthy.states == []


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (State.HEALTHY, "listening to USB at 48000 Hz"),
        (State.SILENT, "microphone silent: why"),
        (State.LOST, "microphone lost, waiting for it: why"),
        (State.FAILED, "microphone failed: why"),
        (State.RECOVERING, "microphone recovering: why"),
    ],
)
def test_only_a_lost_microphone_is_waited_for(state: State, line: str) -> None:
    assert Liveness(state, 0, "why", "USB", 48_000).description == line


def test_silent_and_then_lost(healthy: Rig) -> None:
    healthy.receive(31, constant=True)
    healthy.machine.ended()
    healthy.machine.closed()
    assert healthy.states == ["silent", "lost"]


def test_a_microphone_that_hangs_has_failed_for_good(healthy: Rig) -> None:
    healthy.machine.stuck("closing")
    assert healthy.machine.now.state == State.FAILED
    assert "closing the microphone hangs for 20 s" in healthy.machine.now.reason
    healthy.clock.now += 1000
    assert healthy.machine.due() == Due.NOTHING


event = st.sampled_from(["block", "constant", "ended", "due"])


@given(st.lists(st.tuples(event, st.floats(0, 50)), max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_after_any_events_it_is_opened_again(events: list[tuple[str, float]], opens: list[bool]) -> None:
    """After random events, with everything due being done, audio makes the state healthy within a retry."""
    rig = Rig()
    machine = rig.machine
    is_open = False
    luck = iter(opens)

    def do_what_is_due(*, works: bool) -> None:
        nonlocal is_open
        due = machine.due()
        if due == Due.CLOSE:
            assert is_open, "only an open microphone is closed"
            machine.closed()
            is_open = False
        elif due == Due.OPEN:
            assert not is_open, "only a closed microphone is opened"
            machine.opening()
            if works:
                machine.opened("USB", 48_000)
                is_open = True
            else:
                machine.refused("no")

    for name, pause in events:
        rig.clock.now += pause
        if is_open and name != "due":
            machine.ended() if name == "ended" else machine.block(constant=name == "constant")
        do_what_is_due(works=next(luck))
    for _ in range(3):
        rig.clock.now += SETTINGS.retry_s
        if is_open:
            machine.block(constant=False)
        do_what_is_due(works=True)
    machine.block(constant=False)
    assert machine.now.state == State.HEALTHY
    assert all(before.state != after.state or before.reason != after.reason
               for before, after in zip(rig.changes, rig.changes[1:], strict=False))  # fmt: skip


def test_muted_until_unmuted(healthy: Rig) -> None:
    healthy.machine.closed()
    healthy.machine.muted(MUTING)
    healthy.clock.now += 1e6
    assert healthy.machine.due() == Due.NOTHING
    healthy.machine.muted(MUTING)
    assert healthy.states == ["muted"]
    now = healthy.machine.now
    assert now.description_and_fix == "muted: it is closed; open it"
    assert (now.microphone, now.rate) == ("", 0)
    healthy.machine.muted(Muting("another program uses it"))
    assert healthy.machine.now.description_and_fix == "muted: another program uses it"
    healthy.machine.unmuted()
    assert healthy.machine.due() == Due.OPEN
    healthy.open()
    healthy.receive(1)
    assert healthy.states == ["muted", "muted", "recovering", "recovering", "healthy"]


def test_a_silent_microphone_is_muted(healthy: Rig) -> None:
    healthy.receive(31, constant=True)
    assert healthy.states == ["silent"]
    healthy.machine.muted(MUTING)
    assert healthy.machine.now.microphone == ""
    healthy.machine.unmuted()
    healthy.open()
    healthy.receive(1)
    assert healthy.states == ["silent", "muted", "recovering", "recovering", "healthy"]


def test_unmuting_opens_it_at_once_even_if_it_was_just_opened() -> None:
    rig = Rig()
    rig.open()
    rig.machine.muted(MUTING)
    rig.machine.unmuted()
    assert rig.machine.due() == Due.OPEN
