"""Joins microphone and session, until the session is over or a signal ends it. It holds nothing but the joining.

All of it is done in one thread. What is kept is on the disk when the next clip is asked for, so a signal needs no more
than to be noticed at the next turn.
"""

import time
from collections.abc import Callable

from device.audio.liveness import Liveness, LivenessMachine, State
from device.audio.microphone import Microphone
from device.audio.reconnecting import OpenMicrophone, ReconnectingMicrophone
from device.errors import RecordingError
from device.events import Frame
from device.recorder.session import Display, Session
from device.settings.schema import Settings
from device.system.signals import stopped_by_signals


class Recorder:
    """Lets a session hear the microphone.

    Args:
        settings: of the daemon; which microphone, and when it counts as lost.
        session: what hears it.
        display: is told how the microphone is.
        open_microphone: by its name.
    """

    def __init__(
        self,
        settings: Settings,
        session: Session,
        display: Display,
        open_microphone: Callable[[str], OpenMicrophone] = Microphone,
    ) -> None:
        self._session = session
        self._display = display
        self._told_to_stop = False
        self._told = ""
        self._error: RecordingError | None = None
        self._liveness = LivenessMachine(settings.liveness, time.monotonic, self._on_liveness)
        self._microphone = ReconnectingMicrophone(
            settings.microphone.name,
            self._liveness,
            settings.liveness.stuck_limit_s,
            turn=self._turn,
            patient=False,
            open_microphone=open_microphone,
        )

    @property
    def stuck(self) -> bool:
        """Whether a thread hangs in the sound system, which no exit in good order would outlast."""
        return self._liveness.now.state == State.FAILED

    def run(self) -> None:
        """Listen until the session is over, or SIGINT or SIGTERM ends it.

        Raises:
            AudioError: there is no microphone at the start, or the sound system hangs.
            RecordingError: a clip cannot be written, and there is nobody to ask.
        """
        with stopped_by_signals(self._stop, second_ends=True):
            for frames in self._microphone.streams():
                for frame in frames:
                    self._hear(frame)
                self._session.microphone_lost()
        if self._error is not None:
            raise self._error

    def _hear(self, frame: Frame) -> None:
        try:
            self._session.process(frame)
        except RecordingError as error:
            self._error = error  # raised once the microphone is let go of
            self._session.stop()
        if self._session.finished:
            self._microphone.stop()

    def _turn(self) -> None:
        if self._told_to_stop:
            self._session.stop()
        self._session.tick()
        if self._session.finished:
            self._microphone.stop()

    def _stop(self) -> None:
        self._told_to_stop = True

    def _on_liveness(self, liveness: Liveness) -> None:
        if liveness.state in (State.RECOVERING, State.FAILED):
            return  # what comes of it will be told, as an error if it hangs
        if liveness.state == State.HEALTHY:
            line = f"listening to {liveness.microphone} at {liveness.rate} Hz"
        else:
            line = f"microphone {liveness.state}, waiting for it: {liveness.reason}"
        if line != self._told:
            self._told = line
            self._display.print(line)
            if liveness.state == State.HEALTHY:
                self._session.prompt()
