"""What the commands `listen` and `classify` do, to be called from Python as well."""

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from device.bundle import DEFAULT_BUNDLE, Companions, read_bundle
from device.errors import AudioError
from device.hearing.endpoint import Endpointer
from device.hearing.microphone import Microphone
from device.hearing.recording import Recording
from device.hearing.voice import VoiceDetector
from device.listener import Listener
from device.sentence import Frame, Prediction
from device.settings import Settings
from device.showing.json_lines import as_table
from device.showing.lights import Lights
from device.understanding import speech_model
from device.understanding.classifier import Classifier
from device.understanding.transcriber import Transcriber

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Understanding:
    """All that is loaded once and serves every stream of sound."""

    settings: Settings
    companions: Companions
    transcriber: Transcriber
    classifier: Classifier

    @classmethod
    def load(cls, settings: Settings, announce: Callable[[str], None]) -> "Understanding":
        """Read the bundle, find or fetch the speech model and load both.

        Args:
            settings: of the daemon.
            announce: is told what takes long.

        Raises:
            BundleError, InterpreterError, SpeechModelError: as their names say.
        """
        path = Path(settings.classifier.model).expanduser() if settings.classifier.model else DEFAULT_BUNDLE
        bundle = read_bundle(path)
        classifier = Classifier(bundle, runtime=settings.classifier.runtime, threads=settings.classifier.threads)
        configured = settings.transcriber.speech_model
        found = speech_model.find(Path(configured).expanduser() if configured else None, announce=announce)
        return cls(
            settings, bundle.companions, Transcriber(found, settings.transcriber.lone_word_confidence), classifier
        )

    def listener(self) -> Listener:
        """A listener for one stream."""
        endpoint = self.settings.endpoint
        endpointer = Endpointer(endpoint, VoiceDetector(endpoint.gate_dbfs))
        return Listener(endpointer, self.transcriber, self.classifier, self.companions)


def listen(
    understanding: Understanding,
    lights: Lights,
    tell: Callable[[dict[str, Any]], None],
    announce: Callable[[str], None],
) -> None:
    """Listen to the microphone and light a light per utterance, until SIGTERM or SIGINT.

    Args:
        understanding: what was loaded.
        lights: turned off at the end, whatever happens.
        tell: is given the table of `device.showing.json_lines` for each prediction, after its light is on.
        announce: is told when sound arrives.

    Raises:
        AudioError: the microphone cannot be opened or is lost.
    """
    settings = understanding.settings.microphone
    microphone = Microphone(settings.name, settings.no_sound_limit_s)
    with _stopped_by_signals(microphone.stop), lights, microphone:
        greeting = f"listening to {microphone.info.name} at {microphone.rate} Hz; speak, or end with Ctrl-C"
        frames = _announced(microphone.frames(), lambda: announce(greeting))
        for prediction in understanding.listener().predictions(frames):
            lights.show(prediction)
            tell(as_table(prediction, time.monotonic()))
        if microphone.dropped_blocks:
            _LOG.warning("%d blocks of sound were dropped: this machine is too slow", microphone.dropped_blocks)


def classify(understanding: Understanding, path: Path) -> Iterator[Prediction]:
    """The predictions for the utterances of one recording, as if it were spoken into the microphone.

    Raises:
        AudioError: not a readable recording, or no speech is heard in it.
    """
    endpoint = understanding.settings.endpoint
    recording = Recording(path, silence_after_s=endpoint.hang_over_s + endpoint.pre_roll_s)
    answered = False
    for prediction in understanding.listener().predictions(recording.frames()):
        answered = True
        yield prediction
    if not answered and recording.peak_dbfs < endpoint.gate_dbfs:
        raise AudioError(f"{path}: silent (never above {endpoint.gate_dbfs:g} dBFS, see endpoint.gate_dbfs)")
    if not answered:
        raise AudioError(f"{path}: no speech heard in it")


def _announced(frames: Iterator[Frame], announce: Callable[[], None]) -> Iterator[Frame]:
    """The same frames; `announce` is called when the first is there."""
    for first in frames:
        announce()
        yield first
        break
    yield from frames


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the listening in good order instead of the process at once."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
