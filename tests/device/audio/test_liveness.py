import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.audio.liveness import Due, Liveness, LivenessMachine, State
from device.settings.schema import LivenessSettings

SETTINGS = LivenessSettings(
    no_sound_limit_s=3.0, retry_s=1.0, silent_after_s=30.0, reopen_silent_s=60.0, stuck_limit_s=20.0
)
BLOCK_S = 0.032


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Following:
    """A machine on a clock of the test, with what it told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[Liveness] = []
        self.machine = LivenessMachine(SETTINGS, self.clock, self.told.append)

    @property
    def states(self) -> list[str]:
        return [each.state.value for each in self.told]

    def open(self) -> None:
        assert self.machine.due() == Due.OPEN
        self.machine.opening()
        self.machine.opened("USB", 48_000)

    def hear(self, seconds: float, *, zero: bool = False) -> Due:
        """Blocks for some time, or until something is due."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += BLOCK_S
            self.machine.block(zero=zero)
            if (due := self.machine.due()) != Due.NOTHING:
                return due
        return Due.NOTHING


@pytest.fixture
def healthy() -> Following:
    following = Following()
    following.open()
    following.hear(1)
    following.told.clear()
    return following


def test_from_the_start_to_the_first_sound() -> None:
    following = Following()
    assert following.machine.now.state == State.LOST
    following.open()
    assert following.machine.due() == Due.NOTHING
    following.clock.now += 1.2
    following.machine.block(zero=False)
    assert following.states == ["recovering", "healthy"]
    assert following.machine.now == Liveness(State.HEALTHY, following.clock.now, "", "USB", 48_000)


def test_no_block_for_too_long_is_a_loss(healthy: Following) -> None:
    healthy.clock.now += 2.9
    assert healthy.machine.due() == Due.NOTHING
    healthy.clock.now += 0.2
    assert healthy.machine.due() == Due.CLOSE
    assert healthy.states == ["lost"]
    assert "no audio for 3 s" in healthy.machine.now.reason
    assert (healthy.machine.now.microphone, healthy.machine.now.rate) == ("", 0), "it is of no use, although open"
    healthy.machine.closed()
    healthy.open()  # at once: the last try is long ago
    assert healthy.states == ["lost", "recovering"]


def test_pulled_out_and_back(healthy: Following) -> None:
    healthy.machine.ended()
    assert healthy.machine.due() == Due.CLOSE
    healthy.machine.closed()
    healthy.clock.now += 1
    for _ in range(5):
        assert healthy.machine.due() == Due.OPEN
        healthy.machine.opening()
        healthy.machine.refused("no microphone found")
        healthy.clock.now += 0.5
        assert healthy.machine.due() == Due.NOTHING  # not more often than it was asked for
        healthy.clock.now += 0.5
    healthy.open()
    healthy.machine.block(zero=False)
    assert healthy.states == ["lost", "lost", "recovering", "healthy"]
    assert [each.reason for each in healthy.told[:2]] == ["it is gone; was it pulled out?", "no microphone found"]
    assert healthy.told[0].since == healthy.told[1].since  # still the same loss


def test_zeros_are_silence_and_the_microphone_is_opened_anew(healthy: Following) -> None:
    assert healthy.hear(29, zero=True) == Due.NOTHING
    assert healthy.states == []
    assert healthy.hear(3, zero=True) == Due.NOTHING
    assert healthy.states == ["silent"]
    assert healthy.hear(60, zero=True) == Due.CLOSE
    assert (healthy.machine.now.microphone, healthy.machine.now.rate) == ("USB", 48_000)
    healthy.machine.closed()
    assert (healthy.machine.now.microphone, healthy.machine.now.rate) == ("", 0)
    healthy.open()
    assert (healthy.machine.now.microphone, healthy.machine.now.rate) == ("USB", 48_000)
    assert healthy.hear(59, zero=True) == Due.NOTHING
    assert healthy.states == ["silent"], "opened anew it is no less silent"
    healthy.machine.block(zero=False)
    assert healthy.states == ["silent", "healthy"]


def test_one_sound_ends_the_wait_for_silence(healthy: Following) -> None:
    healthy.hear(29, zero=True)
    healthy.machine.block(zero=False)
    healthy.hear(29, zero=True)
    assert healthy.states == []


def test_silent_and_then_lost(healthy: Following) -> None:
    healthy.hear(31, zero=True)
    healthy.machine.ended()
    healthy.machine.closed()
    assert healthy.states == ["silent", "lost"]


def test_what_hangs_has_failed_for_good(healthy: Following) -> None:
    healthy.machine.stuck("closing")
    assert healthy.machine.now.state == State.FAILED
    assert "closing the microphone hangs for 20 s" in healthy.machine.now.reason
    healthy.clock.now += 1000
    assert healthy.machine.due() == Due.NOTHING


event = st.sampled_from(["block", "zero", "ended", "due"])


@given(st.lists(st.tuples(event, st.floats(0, 50)), max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_whatever_happens_it_is_opened_again(events: list[tuple[str, float]], opens: list[bool]) -> None:
    """Random lives: what is due is done; then sound comes, and a healthy microphone is heard within a retry."""
    following = Following()
    machine = following.machine
    is_open = False
    luck = iter(opens)

    def do_what_is_due(*, works: bool) -> None:
        nonlocal is_open
        due = machine.due()
        if due == Due.CLOSE:
            assert is_open, "only what is open is closed"
            machine.closed()
            is_open = False
        elif due == Due.OPEN:
            assert not is_open, "only what is closed is opened"
            machine.opening()
            if works:
                machine.opened("USB", 48_000)
                is_open = True
            else:
                machine.refused("no")

    for name, pause in events:
        following.clock.now += pause
        if is_open and name != "due":
            machine.ended() if name == "ended" else machine.block(zero=name == "zero")
        do_what_is_due(works=next(luck))
    for _ in range(3):
        following.clock.now += SETTINGS.retry_s
        if is_open:
            machine.block(zero=False)
        do_what_is_due(works=True)
    machine.block(zero=False)
    assert machine.now.state == State.HEALTHY
    assert all(before.state != after.state or before.reason != after.reason
               for before, after in zip(following.told, following.told[1:], strict=False))  # fmt: skip
