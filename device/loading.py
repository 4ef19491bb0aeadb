"""What understands, loaded once; and what the command `classify` does with it, to be called from Python as well."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from device.audio.audio_file import Recording
from device.audio.endpoint import Endpointer
from device.audio.silero_vad import VoiceDetector
from device.bundle import DEFAULT_BUNDLE, Bundle, Companions, read_bundle
from device.errors import AudioError
from device.events import Prediction
from device.outputs.base import Monitor
from device.pipeline import Pipeline
from device.recognition.classifier import Classifier, low_confidence_label
from device.recognition.speech_model import fetch as speech_model
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings


@dataclass(frozen=True)
class LoadedModels:
    """All that is loaded once and serves every stream of sound."""

    settings: Settings
    companions: Companions
    transcriber: Transcriber
    classifier: Classifier

    @classmethod
    def load(cls, settings: Settings, announce: Callable[[str], None]) -> "LoadedModels":
        """Read the bundle, find or fetch the speech model and load both.

        Args:
            settings: of the daemon.
            announce: is told what takes long.

        Raises:
            BundleError, InterpreterError, SpeechModelError: as their names say.
            SettingsError: an unsure answer is to be shown as a class that the model does not have.
        """
        bundle = open_bundle(settings)
        low_confidence_label(settings.classifier, bundle.companions.labels)  # before what takes long
        classifier = Classifier(bundle, runtime=settings.classifier.runtime, threads=settings.classifier.threads)
        return cls(settings, bundle.companions, load_transcriber(settings, announce), classifier)

    def pipeline(self, monitor: Monitor | None = None) -> Pipeline:
        """A listener for one stream, followed by `monitor`, if there is one."""
        endpoint = self.settings.endpoint
        endpointer = Endpointer(endpoint, VoiceDetector(endpoint.gate_dbfs))
        return Pipeline(
            endpointer,
            self.transcriber,
            self.classifier,
            self.companions,
            confidence=self.settings.classifier.confidence,
            low_confidence_label=low_confidence_label(self.settings.classifier, self.companions.labels),
            monitor=monitor,
        )


def open_bundle(settings: Settings) -> Bundle:
    """The bundle that the settings name, else the one that ships.

    Raises:
        BundleError: it cannot be read, or is none.
    """
    return read_bundle(Path(settings.classifier.model).expanduser() if settings.classifier.model else DEFAULT_BUNDLE)


def load_transcriber(settings: Settings, announce: Callable[[str], None]) -> Transcriber:
    """Find or fetch the speech model and load it.

    Args:
        settings: of the daemon.
        announce: is told what takes long.

    Raises:
        SpeechModelError: it cannot be had, or not be loaded.
    """
    of = settings.transcriber
    found = speech_model.find(Path(of.speech_model).expanduser() if of.speech_model else None, announce=announce)
    return Transcriber(found, of.lone_word_confidence, of.utterances_per_recogniser, search=of.search)


def classify(models: LoadedModels, path: Path) -> Iterator[Prediction]:
    """The predictions for the utterances of one recording, as if it were spoken into the microphone.

    Raises:
        AudioError: not a readable recording, or no speech is heard in it.
    """
    endpoint = models.settings.endpoint
    recording = Recording(path, silence_after_s=endpoint.hang_over_s + endpoint.pre_roll_s)
    answered = False
    for prediction in models.pipeline().predictions(recording.frames()):
        answered = True
        yield prediction
    if not answered and recording.peak_dbfs < endpoint.gate_dbfs:
        raise AudioError(f"{path}: silent (never above {endpoint.gate_dbfs:g} dBFS, see endpoint.gate_dbfs)")
    if not answered:
        raise AudioError(f"{path}: no speech heard in it")
