"""Whether the microphone delivers audio: a state machine from events and times to a state and a next step.

It opens no microphone, switches no light and reads no system clock: `device.audio.reconnecting` reports to it what
happens, and does what is due.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from device.settings.schema import LivenessSettings


class State(StrEnum):
    """State of the microphone."""

    RECOVERING = "recovering"
    """It was opened, and no audio has arrived yet."""
    HEALTHY = "healthy"
    """Audio arrives."""
    SILENT = "silent"
    """Blocks arrive, and all samples have the same value, which may be zero."""
    LOST = "lost"
    """There is no microphone, or it delivers nothing; opening it is retried until it succeeds."""
    FAILED = "failed"
    """The sound system hangs; only a new process can recover."""
    MUTED = "muted"
    """It is closed on request, and nothing is recorded; see `Muting`."""


class Due(StrEnum):
    """What `device.audio.reconnecting` must do next."""

    NOTHING = "nothing"
    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True)
class Muting:
    """Why the microphone is closed on request."""

    reason: str
    """For people, such as who uses it instead."""
    fix: str = ""
    """What opens it; empty if that happens by itself."""


@dataclass(frozen=True)
class Liveness:
    """State of the microphone, since when, why, and which microphone it is."""

    state: State
    since: float
    """When the state was entered, seconds on the clock of the machine."""
    reason: str
    """What is wrong, for people; empty while the microphone is healthy."""
    microphone: str = ""
    """Name of the open microphone; empty while none is open."""
    rate: int = 0
    """Sample rate of the open microphone, Hz; 0 while none is open."""
    fix: str = ""
    """What the user can do about the reason; empty if it leaves no doubt."""

    @property
    def description_and_fix(self) -> str:
        """The state and the fix on one line, where there is no second one for the fix."""
        return f"{self.description}; {self.fix}" if self.fix else self.description

    @property
    def description(self) -> str:
        """The state as a line for people, without the fix."""
        match self.state:
            case State.HEALTHY:
                return f"listening to {self.microphone} at {self.rate} Hz"
            case State.SILENT:  # it is there, so there is nothing to wait for: only the user can change it
                return f"microphone silent: {self.reason}"
            case State.LOST:
                return f"microphone lost, waiting for it: {self.reason}"
            case State.MUTED:
                return f"muted: {self.reason}"
        return f"microphone {self.state}: {self.reason}"


class LivenessMachine:
    """Follows one microphone through its losses.

    The states run recovering -> healthy <-> silent, from each of them to lost, and from lost back to recovering; failed
    is final. A silent microphone that is opened again stays silent until it delivers audio, or is lost. Each but failed
    leads to muted, and muted to recovering.

    Args:
        settings: the time limits.
        clock: monotonic time, seconds.
        on_change: called with the new liveness after each change of state or reason.
    """

    def __init__(
        self,
        settings: LivenessSettings,
        clock: Callable[[], float],
        on_change: Callable[[Liveness], None] = lambda now: None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._now = Liveness(State.LOST, clock(), "not opened yet")
        self._open = False
        self._last_attempt = -math.inf
        self._last_block = 0.0
        self._last_audio = 0.0

    @property
    def now(self) -> Liveness:
        """The current liveness."""
        return self._now

    def due(self) -> Due:
        """What must be done now; to be called at every tick, because time alone can make something due."""
        time = self._clock()
        state = self._now.state
        if state in (State.FAILED, State.MUTED):
            return Due.NOTHING
        if not self._open:
            return Due.OPEN if time - self._last_attempt >= self._settings.retry_s else Due.NOTHING
        if time - self._last_block >= self._settings.no_sound_limit_s:
            reason = f"no audio for {self._settings.no_sound_limit_s:g} s"
            self._become(State.LOST, reason, "if it does not come back by itself, unplug it and plug it in again")
        elif state == State.HEALTHY and time - self._last_audio >= self._settings.silent_after_s:
            self._become(State.SILENT, "every sample has the same value", "unmute it: alsamixer, F4")
        elif state == State.SILENT and time - self._last_attempt >= self._settings.reopen_silent_s:
            return Due.CLOSE
        return Due.CLOSE if self._now.state == State.LOST else Due.NOTHING

    def opening(self) -> None:
        """Report that the microphone is about to be opened, which may take a while."""
        self._last_attempt = self._clock()

    def opened(self, microphone: str, rate: int) -> None:
        """Report that the microphone is open; its first block may still take a while.

        Args:
            microphone: its name.
            rate: its sample rate, Hz.
        """
        self._open = True
        self._last_block = self._clock()
        self._now = replace(self._now, microphone=microphone, rate=rate)
        if self._now.state != State.SILENT:
            self._last_audio = self._last_block
            self._become(State.RECOVERING, "opened, and no audio yet")

    def refused(self, reason: str, fix: str = "") -> None:
        """Report that the microphone could not be opened, why, and what the user can do about it."""
        self._open = False
        self._become(State.LOST, reason, fix)

    def block(self, *, constant: bool) -> None:
        """Report that a block arrived; `constant` if all its samples have the same value, so that it holds no sound."""
        self._last_block = self._clock()
        if not constant:
            self._last_audio = self._last_block
            if self._now.state != State.HEALTHY:
                self._become(State.HEALTHY, "")
        elif self._now.state == State.RECOVERING:
            self._become(State.HEALTHY, "")  # until the silence has lasted

    def ended(self) -> None:
        """Report that the stream ended by itself."""
        self._become(State.LOST, "it is gone", "plug it in again")

    def closed(self) -> None:
        """Report that the microphone was closed, as was due."""
        self._open = False
        self._now = replace(self._now, microphone="", rate=0)

    def muted(self, muting: Muting) -> None:
        """Report that the microphone was closed on request."""
        self._open = False
        self._become(State.MUTED, muting.reason, muting.fix)

    def unmuted(self) -> None:
        """Report that the microphone may be opened again: that is due at once."""
        self._last_attempt = -math.inf
        self._become(State.RECOVERING, "unmuted, and not opened yet")

    def stuck(self, doing: str) -> None:
        """Report that opening or closing the microphone does not return."""
        self._become(State.FAILED, f"{doing} the microphone hangs for {self._settings.stuck_limit_s:g} s")

    def _become(self, state: State, reason: str, fix: str = "") -> None:
        if (state, reason, fix) == (self._now.state, self._now.reason, self._now.fix):
            return
        since = self._now.since if state == self._now.state else self._clock()
        # A lost microphone may still have to be closed, and is of no use any more.
        microphone, rate = ("", 0) if state in (State.LOST, State.MUTED) else (self._now.microphone, self._now.rate)
        self._now = Liveness(state, since, reason, microphone, rate, fix)
        self._on_change(self._now)
