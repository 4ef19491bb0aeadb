"""Runs a guided session with the microphone, for `record` and `learn`."""

import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from edge_mcnn.output import out

if TYPE_CHECKING:
    from device.errors import AudioError
    from device.recorder.session import Collection
    from device.recorder.take import Transcriber
    from device.recorder.ui import RecorderDisplay
    from device.settings.schema import Settings


@dataclass(frozen=True)
class MicrophoneFault:
    """Why a session ended early."""

    error: "AudioError"
    """What is wrong with the microphone."""
    stuck: bool
    """Whether a thread hangs in the sound system, so that the process cannot exit in an orderly way."""

    def exit(self) -> NoReturn:
        """Raise the error; or print it and end the process at once if a thread is stuck."""
        if not self.stuck:
            raise self.error
        out.error(self.error)
        sys.stdout.flush()
        os._exit(1)


def has_keyboard() -> bool:
    """Whether standard input is a terminal, so that the user can press keys."""
    return sys.stdin is not None and sys.stdin.isatty()


def run_session(
    settings: "Settings", collection: "Collection", transcriber: "Transcriber | None", display: "RecorderDisplay"
) -> MicrophoneFault | None:
    """Prompt for takes until the collection is complete, the user quits, or a signal stops the session.

    A running daemon does not listen meanwhile, if this user may control it: a sound card serves one program at a time,
    and what is spoken here is not meant for it.

    Args:
        settings: which microphone is used, and how utterances are found.
        collection: receives the accepted takes; without a keyboard, every take.
        transcriber: transcribes the takes; None for no transcripts.
        display: what the user sees.

    Returns:
        Why the microphone ended the session; None if it did not. Takes that were accepted before stay.

    Raises:
        RecordingError: a take cannot be saved, and there is no keyboard to let the user try again.
    """
    from device.audio.silero_vad import VoiceDetector
    from device.daemon.control import held_microphone
    from device.errors import AudioError, StatusError
    from device.recorder.recorder import Recorder
    from device.recorder.session import Session
    from device.recorder.take import TakeListener
    from device.system.streams.terminal_mode import Keyboard

    listener = TakeListener(settings.endpoint, VoiceDetector(settings.endpoint.gate_dbfs), transcriber)
    with ExitStack() as stack:
        with suppress(StatusError):  # it listens, too: on many systems several programs can record at the same time
            stack.enter_context(held_microphone(out.announce))
        keyboard = stack.enter_context(Keyboard(sys.stdin.fileno())) if has_keyboard() else None
        stack.enter_context(display)
        recorder = Recorder(settings, Session(collection, listener, display, keyboard), display)
        try:
            recorder.run()
        except AudioError as error:
            return MicrophoneFault(_with_service(error), recorder.stuck)
    return None


def _with_service(error: "AudioError") -> "AudioError":
    """Return an error with one more fix, if the service is installed: PortAudio does not list what it uses."""
    from device.errors import AudioError
    from device.service.systemctl import UNIT_FILE

    stop = "sudo systemctl stop edge-mcnn"
    if stop in error.fix or not UNIT_FILE.exists():
        return error
    return AudioError(error.message, fix=f"{error.fix}{'; ' if error.fix else ''}if the service uses it: {stop}")
