"""One microphone for as long as the daemon lives: opened, watched, let go of and opened anew.

It gives one stream of frames for each time that the microphone was open. What an utterance is it does not know, nor
who is told how the microphone is: `device.audio.liveness` decides, and tells.
"""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Protocol, TypeVar

from device.audio.framer import Framer
from device.audio.liveness import Due, LivenessMachine, State
from device.audio.microphone import Block, Microphone, MicrophoneInfo, refresh_devices
from device.errors import AudioError
from device.events import Frame

_TURN_S = 0.1
_LONGEST_WAIT_S = 0.8
"""For a block, before someone looks whether one is overdue; longer than they are apart, so that it seldom happens."""
_BLOCKS_AT_LEISURE = 4
"""Half a second, less than the pause after which an utterance is over: an answer never waits for them."""
Result = TypeVar("Result")


class OpenMicrophone(Protocol):
    """`device.audio.microphone.Microphone`."""

    info: MicrophoneInfo
    rate: int
    dropped_blocks: int
    blocks_at_once: int

    @property
    def ended(self) -> bool:
        """Whether the stream ended by itself."""

    def block(self, limit_s: float) -> Block | None:
        """The next block, if one comes within the limit."""

    def wake(self) -> None:
        """Let `block` return at once."""

    def close(self) -> None:
        """Let go of it."""


class ReconnectingMicrophone:
    """Hears through one microphone, whatever happens to it.

    Args:
        name: of the microphone, as `device.audio.microphone.find_microphone` takes it.
        liveness: decides when it is lost and when to look for it; belongs to this object alone.
        stuck_limit_s: seconds that opening or closing may take.
        turn: is called at least once a second, as long as nothing hangs.
        urgent: whether each block is wanted at once, since someone speaks; else they may come some at a time.
        patient: wait for a microphone that cannot be opened at first, instead of raising.
        open_microphone: `Microphone`.
        refresh: called before it is opened anew.
        wait: seconds to pass until there may be something to do; on a clock of the caller's, if that is not `time`'s.
    """

    def __init__(
        self,
        name: str,
        liveness: LivenessMachine,
        stuck_limit_s: float,
        turn: Callable[[], None] = lambda: None,
        urgent: Callable[[], bool] = lambda: True,
        *,
        patient: bool = True,
        open_microphone: Callable[[str], OpenMicrophone] = Microphone,
        refresh: Callable[[], None] = refresh_devices,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._name = name
        self._liveness = liveness
        self._stuck_limit_s = stuck_limit_s
        self._turn = turn
        self._urgent = urgent
        self._patient = patient
        self._open_microphone = open_microphone
        self._refresh = refresh
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._tried = self._was_open = False
        self._dropped_before = 0
        self.microphone: OpenMicrophone | None = None
        """The one that is open, if any."""
        self.received_blocks = 0
        """Since the start."""

    @property
    def dropped_blocks(self) -> int:
        """Blocks since the start that were thrown away because nobody took them in time."""
        microphone = self.microphone
        return self._dropped_before + (microphone.dropped_blocks if microphone else 0)

    def stop(self) -> None:
        """Let `streams` end; may be called from another thread."""
        self._stopping.set()
        if (microphone := self.microphone) is not None:
            microphone.wake()

    def streams(self) -> Generator[Iterator[Frame], None, None]:
        """A stream of frames for each time that the microphone could be opened, until `stop`; take each to its end.

        Whoever may leave early closes the generator, and with it the microphone.

        Raises:
            AudioError: the sound system hangs; or the microphone cannot be opened the first time, without `patient`.
        """
        while not self._stopping.is_set():
            self._turn()
            if self._liveness.due() != Due.OPEN:
                self._wait(_TURN_S)
                continue
            self._liveness.opening()
            try:
                microphone = self._within_limit(self._reopened, "opening")
            except AudioError as error:
                if self._liveness.now.state == State.FAILED or not (self._patient or self._was_open):
                    raise
                self._liveness.refused(str(error))
                continue
            self._was_open = True
            self.microphone = microphone
            self._liveness.opened(microphone.info.name, microphone.rate)
            with contextlib.closing(self._frames(microphone)) as frames:
                yield frames

    def _reopened(self) -> OpenMicrophone:
        if self._tried:
            self._refresh()
        self._tried = True
        return self._open_microphone(self._name)

    def _frames(self, microphone: OpenMicrophone) -> Generator[Frame, None, None]:
        framer = Framer(microphone.rate)
        try:
            while not self._stopping.is_set():
                self._turn()
                block = microphone.block(_LONGEST_WAIT_S)
                if block is not None:
                    self.received_blocks += 1
                    self._liveness.block(zero=block.zero)
                    yield from framer.push(block.samples, arrived_at=block.arrived_at)
                    at_leisure = self._liveness.now.state == State.HEALTHY and not self._urgent()
                    microphone.blocks_at_once = _BLOCKS_AT_LEISURE if at_leisure else 1
                elif microphone.ended:
                    self._liveness.ended()
                if self._liveness.due() == Due.CLOSE:
                    break
        finally:
            self._within_limit(microphone.close, "closing")
            self.microphone = None  # first, so that whoever counts meanwhile counts nothing twice
            self._dropped_before += microphone.dropped_blocks
            self._liveness.closed()

    def _within_limit(self, function: Callable[[], Result], doing: str) -> Result:
        """Call `function` in a thread of its own, which is left behind if it never returns."""
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
