"""Is the microphone alive? A state machine: from what happened to it, and when, follow its state and what to do.

It knows no microphone, no lights and no clock of its own; `device.audio.reconnecting` tells it what happens and does
what is due.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from device.settings.schema import LivenessSettings


class State(StrEnum):
    """How the microphone is."""

    RECOVERING = "recovering"
    """It is being opened, and no sound has come yet."""
    HEALTHY = "healthy"
    """Sound arrives."""
    SILENT = "silent"
    """Blocks arrive, and every sample in them is zero."""
    LOST = "lost"
    """There is none, or it gives nothing; it is looked for again and again."""
    FAILED = "failed"
    """The sound system hangs; only a new process can help."""


class Due(StrEnum):
    """What is to be done now."""

    NOTHING = "nothing"
    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True)
class Liveness:
    """A state, since when, and why."""

    state: State
    since: float
    """On the clock of the machine."""
    reason: str
    """For people; empty while all is well."""


class LivenessMachine:
    """Follows one microphone through its losses.

    The way is recovering -> healthy <-> silent, and from each of them to lost and back to recovering; failed is the
    end. A silent one that is opened anew stays silent until it gives sound, or is lost.

    Args:
        settings: its times.
        clock: seconds, monotonic.
        tell: is called after each change of state.
    """

    def __init__(
        self,
        settings: LivenessSettings,
        clock: Callable[[], float],
        tell: Callable[[Liveness], None] = lambda now: None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._now = Liveness(State.LOST, clock(), "not opened yet")
        self._open = False
        self._last_try = -float("inf")
        self._last_block = 0.0
        self._last_sound = 0.0

    @property
    def now(self) -> Liveness:
        """The state of this moment."""
        return self._now

    def due(self) -> Due:
        """What is to be done now; to be asked at every turn."""
        time = self._clock()
        state = self._now.state
        if state == State.FAILED:
            return Due.NOTHING
        if not self._open:
            return Due.OPEN if time - self._last_try >= self._settings.retry_s else Due.NOTHING
        if time - self._last_block >= self._settings.no_sound_limit_s:
            self._become(State.LOST, f"no sound for {self._settings.no_sound_limit_s:g} s; is it suspended or frozen?")
        elif state == State.HEALTHY and time - self._last_sound >= self._settings.silent_after_s:
            self._become(State.SILENT, "each sample is zero; is it muted?")
        elif state == State.SILENT and time - self._last_try >= self._settings.reopen_silent_s:
            return Due.CLOSE
        return Due.CLOSE if self._now.state == State.LOST else Due.NOTHING

    def opening(self) -> None:
        """It is about to be opened; this may take a while."""
        self._last_try = self._clock()

    def opened(self) -> None:
        """It is open; the first block may still take its time."""
        self._open = True
        self._last_block = self._clock()
        if self._now.state != State.SILENT:
            self._last_sound = self._last_block
            self._become(State.RECOVERING, "opened, and no sound yet")

    def refused(self, reason: str) -> None:
        """It could not be opened."""
        self._open = False
        self._become(State.LOST, reason)

    def block(self, *, zero: bool) -> None:
        """A block of sound arrived; `zero` if each sample in it is."""
        self._last_block = self._clock()
        if not zero:
            self._last_sound = self._last_block
            if self._now.state != State.HEALTHY:
                self._become(State.HEALTHY, "")
        elif self._now.state == State.RECOVERING:
            self._become(State.HEALTHY, "")  # until the silence has lasted

    def ended(self) -> None:
        """The stream ended by itself."""
        self._become(State.LOST, "it is gone; was it pulled out?")

    def closed(self) -> None:
        """It was closed, as was due."""
        self._open = False

    def stuck(self, doing: str) -> None:
        """Opening or closing it does not return."""
        self._become(State.FAILED, f"{doing} the microphone hangs for {self._settings.stuck_limit_s:g} s")

    def _become(self, state: State, reason: str) -> None:
        if (state, reason) == (self._now.state, self._now.reason):
            return
        since = self._now.since if state == self._now.state else self._clock()
        self._now = Liveness(state, since, reason)
        self._tell(self._now)
