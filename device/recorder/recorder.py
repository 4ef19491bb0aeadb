"""Connects the microphone to a guided session, until the session has finished or a signal stops it.

Everything runs in one thread. An accepted take is saved before the next prompt, so it is enough to react to a signal
at the next tick.
"""

import time
from collections.abc import Callable
from typing import Protocol

from device.audio.liveness import Liveness, LivenessMachine, State
from device.audio.microphone import Block
from device.audio.reconnecting import OpenMicrophone, ReconnectingMicrophone
from device.errors import RecordingError
from device.events import Frame
from device.recorder.session import Display
from device.settings.schema import Settings
from device.system.signals import stopped_by_signals


class GuidedSession(Protocol):
    """A session that receives frames until it has finished; implemented by `device.recorder.session.Session`."""

    @property
    def finished(self) -> bool:
        """Whether no more frames are needed."""

    def prompt(self) -> None:
        """Print what to do; called each time that the microphone delivers audio again."""

    def tick(self) -> None:
        """Process keys and draw; called often, even while no audio arrives."""

    def process(self, frame: Frame) -> None:
        """Process the next frame.

        Raises:
            RecordingError: its result cannot be saved.
        """

    def microphone_lost(self) -> None:
        """Handle a gap in the audio; called at the end of the session, too."""

    def stop(self) -> None:
        """End the session early."""


class Recorder:
    """Passes the frames of the microphone to a session, and prints the state of the microphone.

    Args:
        settings: settings of the daemon: which microphone is used, and when it counts as lost.
        session: receives the frames.
        display: prints the state of the microphone.
        open_microphone: opens a microphone by its name; by default as the settings say.
        on_block: called with each block as the microphone delivers it, before the frames that it completes.
    """

    def __init__(
        self,
        settings: Settings,
        session: GuidedSession,
        display: Display,
        open_microphone: Callable[[str], OpenMicrophone] | None = None,
        on_block: Callable[[OpenMicrophone, Block], None] = lambda microphone, block: None,
    ) -> None:
        self._session = session
        self._display = display
        self._stop_requested = False
        self._printed = ""
        self._error: RecordingError | None = None
        self._liveness = LivenessMachine(settings.liveness, time.monotonic, self._on_liveness)
        self._microphone = ReconnectingMicrophone(
            settings.microphone.name,
            self._liveness,
            settings.liveness.stuck_limit_s,
            tick=self._tick,
            patient=False,
            channels=settings.microphone.channels,
            open_microphone=open_microphone,
            on_block=on_block,
        )

    @property
    def stuck(self) -> bool:
        """Whether a thread hangs in the sound system, so that the process cannot exit in an orderly way."""
        return self._liveness.now.state == State.FAILED

    def run(self) -> None:
        """Run until the session has finished, or SIGINT or SIGTERM stops it.

        Raises:
            AudioError: there is no microphone at the start, or the sound system hangs.
            RecordingError: a take cannot be saved, and there is no keyboard to let the user try again.
        """
        with stopped_by_signals(self._stop, second_ends=True):
            for frames in self._microphone.streams():
                for frame in frames:
                    self._process(frame)
                self._session.microphone_lost()
        if self._error is not None:
            raise self._error

    def _process(self, frame: Frame) -> None:
        try:
            self._session.process(frame)
        except RecordingError as error:
            self._error = error  # raised after the microphone has been closed
            self._session.stop()
        if self._session.finished:
            self._microphone.stop()

    def _tick(self) -> None:
        if self._stop_requested:
            self._session.stop()
        self._session.tick()
        if self._session.finished:
            self._microphone.stop()

    def _stop(self) -> None:
        self._stop_requested = True

    def _on_liveness(self, liveness: Liveness) -> None:
        if liveness.state in (State.RECOVERING, State.FAILED):
            return  # the next state will be printed, or an error raised if the sound system hangs
        line = liveness.description_and_fix
        if line != self._printed:
            self._printed = line
            self._display.print(line)
            if liveness.state == State.HEALTHY:
                self._session.prompt()
