"""One microphone for the lifetime of the daemon: opened, watched, closed and opened again.

It delivers one stream of frames for each time that the microphone was open. `device.audio.liveness` decides when the
microphone counts as lost; what an utterance is, is decided elsewhere.
"""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Protocol, TypeVar

from device.audio.channels import mix_of
from device.audio.framer import Framer
from device.audio.liveness import Due, LivenessMachine, Muting, State
from device.audio.microphone import Block, Microphone, MicrophoneInfo, refresh_devices
from device.errors import AudioError
from device.events import Frame

_TICK_S = 0.1
_MUTED_TICK_S = 0.8
"""While it is muted, nothing but a call can change anything."""
_LONGEST_WAIT_S = 0.8
"""Longest wait for a block before the liveness is checked; longer than the largest batch, so it rarely runs out."""
Result = TypeVar("Result")


class OpenMicrophone(Protocol):
    """A microphone that is open, see `device.audio.microphone.Microphone`."""

    info: MicrophoneInfo
    rate: int
    dropped_blocks: int
    batch_size: int

    @property
    def ended(self) -> bool:
        """Whether the stream ended by itself."""

    def block(self, limit_s: float) -> Block | None:
        """Return the next block, if one arrives within the limit."""

    def wake(self) -> None:
        """Make `block` return immediately."""

    def close(self) -> None:
        """Close the microphone."""


class ReconnectingMicrophone:
    """Delivers frames from one microphone, and opens it again whenever it is lost.

    Args:
        name: full or partial name, see `device.audio.microphone.find_microphone`.
        liveness: decides when the microphone is lost and when to try again; used by this object alone.
        stuck_limit_s: seconds that opening or closing may take.
        tick: called at least once a second, as long as nothing hangs.
        batch_size: returns how many callbacks may make a block now; more than one saves wake-ups in a quiet room.
            Called after the frames of each block were consumed.
        patient: wait for a microphone that cannot be opened at first, instead of raising.
        channels: `channels` under `[microphone]`.
        open_microphone: opens a microphone by name; by default `Microphone` with these channels.
        on_block: called with each block and the microphone that delivered it, before the frames that it completes.
        refresh: called before each further attempt to open it.
        wait: waits the given number of seconds; replaceable for tests with a fake clock.
    """

    def __init__(
        self,
        name: str,
        liveness: LivenessMachine,
        stuck_limit_s: float,
        tick: Callable[[], None] = lambda: None,
        batch_size: Callable[[], int] = lambda: 1,
        *,
        patient: bool = True,
        channels: str | tuple[int, ...] = "auto",
        open_microphone: Callable[[str], OpenMicrophone] | None = None,
        on_block: Callable[[OpenMicrophone, Block], None] = lambda microphone, block: None,
        refresh: Callable[[], None] = refresh_devices,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._name = name
        self._liveness = liveness
        self._stuck_limit_s = stuck_limit_s
        self._tick = tick
        self._batch_size = batch_size
        self._patient = patient
        self._mix = mix_of(channels)
        self._open_microphone = open_microphone or partial(Microphone, channels=channels)
        self._on_block = on_block
        self._refresh = refresh
        self._stopping = threading.Event()
        self._muting: Muting | None = None
        self._changed = threading.Event()
        """Set when `stop` or `mute` was called: whatever waits goes on."""
        self._wait = wait or self._changed.wait
        self._tried = self._was_open = False
        self._microphone: OpenMicrophone | None = None
        self._dropped_before = 0
        self.received_blocks = 0
        """Number of callbacks whose audio was received since the start."""

    @property
    def dropped_blocks(self) -> int:
        """Number of callbacks since the start whose audio was dropped because it was not read in time."""
        microphone = self._microphone
        return self._dropped_before + (microphone.dropped_blocks if microphone else 0)

    def stop(self) -> None:
        """Make `streams` end; may be called from another thread."""
        self._stopping.set()
        self._wake()

    def mute(self, muting: Muting | None) -> None:
        """Close the microphone for this reason, until called with None; may be called from another thread.

        The liveness is `State.MUTED` once it is closed.
        """
        self._muting = muting
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        if (microphone := self._microphone) is not None:
            microphone.wake()

    def streams(self) -> Generator[Iterator[Frame], None, None]:
        """Yield a stream of frames for each time that the microphone could be opened, until `stop`.

        Each stream must be consumed to its end. A caller that may leave early must close the generator, which closes
        the microphone.

        Raises:
            AudioError: the sound system hangs; or the microphone cannot be opened the first time, without `patient`.
        """
        while not self._stopping.is_set():
            self._changed.clear()
            self._tick()
            if (muting := self._muting) is not None:
                self._liveness.muted(muting)
            elif self._liveness.now.state == State.MUTED:
                self._liveness.unmuted()
            if self._liveness.due() != Due.OPEN:
                if not self._stopping.is_set():  # it may have been set before `_changed` was cleared
                    self._wait(_MUTED_TICK_S if muting is not None else _TICK_S)
                continue
            self._liveness.opening()
            try:
                microphone = self._within_limit(self._reopen, "opening")
            except AudioError as error:
                # Muted while it was being opened: it may have failed because the other process has it by now.
                may_go_on = self._patient or self._was_open or self._muting is not None
                if self._liveness.now.state == State.FAILED or not may_go_on:
                    raise
                self._liveness.refused(error.message, error.fix)
                continue
            self._was_open = True
            self._microphone = microphone
            self._liveness.opened(microphone.info.name, microphone.rate)
            with contextlib.closing(self._frames(microphone)) as frames:
                yield frames

    def _reopen(self) -> OpenMicrophone:
        if self._tried:
            self._refresh()
        self._tried = True
        return self._open_microphone(self._name)

    def _frames(self, microphone: OpenMicrophone) -> Generator[Frame, None, None]:
        framer = Framer(microphone.rate, self._mix)
        try:
            while not self._stopping.is_set() and self._muting is None:
                self._tick()
                block = microphone.block(_LONGEST_WAIT_S)
                if self._muting is not None:
                    break  # nothing that was spoken since then is used
                if block is not None:
                    self.received_blocks += block.callbacks
                    self._liveness.block(constant=block.constant)
                    self._on_block(microphone, block)
                    yield from framer.push(block.samples, arrived_at=block.arrived_at)
                    microphone.batch_size = self._batch_size() if self._liveness.now.state == State.HEALTHY else 1
                elif microphone.ended:
                    self._liveness.ended()
                if self._liveness.due() == Due.CLOSE:
                    break
        finally:
            self._within_limit(microphone.close, "closing")
            self._microphone = None  # first, so that `dropped_blocks`, read meanwhile, counts nothing twice
            self._dropped_before += microphone.dropped_blocks
            self._liveness.closed()

    def _within_limit(self, function: Callable[[], Result], doing: str) -> Result:
        """Call `function` in a separate thread, which is abandoned if it does not return in time."""
        results: list[Result] = []
        errors: list[Exception] = []

        def call() -> None:
            try:
                results.append(function())
            except Exception as error:  # noqa: BLE001  # raised again below
                errors.append(error)

        thread = threading.Thread(target=call, name=f"{doing} the microphone", daemon=True)
        thread.start()
        thread.join(self._stuck_limit_s)
        if thread.is_alive():
            self._liveness.stuck(doing)
            raise AudioError(self._liveness.now.reason)
        if errors:
            raise errors[0]
        return results[0]
