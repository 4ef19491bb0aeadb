"""The models, loaded once from the settings; and the classification of recordings, which `edge-mcnn classify` prints.

For example:

    models = LoadedModels.load(Settings())
    for prediction in classify(models, Path("clip.wav")):
        print(prediction.label, prediction.probabilities, prediction.text)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from device.adaptation.adapted_classifier import UNLABELLED, AdaptedClassifier, own_profile
from device.audio.audio_file import Recording
from device.audio.endpoint import Endpointer
from device.audio.silero_vad import VoiceDetector
from device.bundle import Bundle, Companions, bundle_path, read_bundle
from device.errors import AudioError, ProfileError
from device.events import Prediction
from device.pipeline import Pipeline, SpeechMonitor
from device.recognition.classifier import Classifier, low_confidence_label, required_confidences
from device.recognition.context import conversation_filter
from device.recognition.explanation import ALWAYS, AUTO
from device.recognition.speech_model.fetch import find_speech_model
from device.recognition.transcriber import Transcriber
from device.recognition.vosk_loading import SpeechModelLoading, require_memory, start_loading
from device.settings.schema import Settings
from device.system.display import counted, displayable
from device.system.paths import expanded

NO_GAIN = "each of them is predicted no better with the others"
"""Why the examples of a profile are not used."""
Announce = Callable[[str], object]
"""Receives a line for the user before something that takes long."""


def _no_announcement(_line: str) -> None:
    """Drop the line."""


@dataclass(frozen=True)
class LoadedModels:
    """Everything that is loaded once and serves every stream of audio."""

    settings: Settings
    """The settings that the models were loaded with."""
    companions: Companions
    """Labels, vocabulary, front end and model card of the bundle."""
    transcriber: Transcriber
    """Transcribes with the speech model."""
    classifier: Classifier
    """Runs the bundle's network."""
    adapted_classifier: AdaptedClassifier
    """The same with a voice profile."""
    confidences: dict[str, float] = field(init=False)
    """Probability by class below which a prediction of the class has a low confidence; may be changed at any time."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "confidences", dict(_required_confidences(self.settings, self.companions)))

    @classmethod
    def load(
        cls,
        settings: Settings,
        announce: Announce = _no_announcement,
        *,
        profile: Path | None = None,
        require_profile: bool = False,
        speech_model: SpeechModelLoading | None = None,
    ) -> "LoadedModels":
        """Read the bundle, find or fetch the speech model, and load both; then adapt to a voice profile.

        Args:
            settings: which bundle, which speech model, and how to run them.
            announce: called with a line before something that takes long, such as a download of 68 MB, and with what
                came of the profile.
            profile: file of the voice profile, which need not exist; `profile_path` of `device.adaptation.profile_path`
                is the one that the settings choose. None for no profile.
            require_profile: whether a profile that is missing or cannot be used is an error. Otherwise it is announced,
                and predictions are not adapted.
            speech_model: the speech model that these settings choose, if it is being loaded already.

        Raises:
            BundleError: the bundle is missing or damaged, or is not a bundle.
            ProfileError: the profile is missing or cannot be used, and is required.
            InterpreterError: no TFLite runtime can run the bundle's network.
            SpeechModelError: the speech model is missing and cannot be fetched, or cannot be loaded, or memory is too
                short for it.
            SettingsError: the settings name a class that the model does not have, or earlier utterances should have
                an influence and the model has no class transitions.
        """
        if speech_model is None:
            require_memory()  # first, because other libraries may end the process when memory is short
            speech_model = start_loading(settings.transcriber.speech_model, settings.transcriber.search)
        bundle = open_bundle(settings)
        # Both raise, before anything that takes long.
        required = _required_confidences(settings, bundle.companions)
        low_confidence_label(required, settings.classifier.low_confidence)
        conversation_filter(settings.classifier.context_s, bundle.companions)
        classifier = Classifier(bundle, runtime=settings.classifier.runtime, threads=settings.classifier.threads)
        # A profile that need not exist is that of a device, which follows the voices that it meets.
        unlabelled = UNLABELLED if profile is not None and not require_profile else 0
        adapted = AdaptedClassifier(classifier, bundle, profile, unlabelled=unlabelled)
        if profile is not None and require_profile:
            own_profile(profile, adapted.identity)
        transcriber = load_transcriber(settings, announce, speech_model)
        models = cls(settings, bundle.companions, transcriber, classifier, adapted)
        _load_profile(adapted, announce)
        return models

    def pipeline(
        self, monitor: SpeechMonitor | None = None, *, explain: str | None = None, live: bool = False
    ) -> Pipeline:
        """Build a pipeline for one stream of frames.

        Args:
            monitor: follows frames and speech as they happen, while it watches; None where nothing shows it.
            explain: replaces `explain` under `[classifier]`, one of `device.recognition.explanation.EXPLAIN`.
            live: whether the stream is that of a microphone, see `device.pipeline.Pipeline`.

        Raises:
            DetectorError: the weights of the voice activity detector are missing, or in an unknown format.
        """
        endpoint, chosen = self.settings.endpoint, self.settings.classifier
        detector = VoiceDetector(endpoint.gate_dbfs)
        return Pipeline(
            Endpointer(endpoint, detector),
            self.transcriber,
            self.adapted_classifier,
            self.companions,
            confidences=self.confidences,
            low_confidence_label=low_confidence_label(self.confidences, chosen.low_confidence),
            context_s=chosen.context_s,
            explain=explain or chosen.explain,
            gain=lambda: detector.gain,
            monitor=monitor,
            live=live,
        )


def _load_profile(classifier: AdaptedClassifier, announce: Announce) -> None:
    try:
        classifier.load()
    except ProfileError as error:
        announce(f"the voice profile is not used: {error}")
        return
    if examples := len(classifier.profile.examples):
        own = f"{counted(examples, 'example')} of your voice"
        announce(f"adapted to {own}" if classifier.uses_examples else f"not adapted to {own}: {NO_GAIN}")


def open_bundle(settings: Settings) -> Bundle:
    """Read the bundle that the settings name, else the one that ships.

    Raises:
        BundleError: it is missing or damaged, or is not a bundle.
    """
    return read_bundle(bundle_path(settings.classifier.model))


def load_transcriber(
    settings: Settings, announce: Announce = _no_announcement, speech_model: SpeechModelLoading | None = None
) -> Transcriber:
    """Find or fetch the speech model and load it.

    Args:
        settings: which speech model, and how it is used.
        announce: called with a line before something that takes long.
        speech_model: that model, if it is being loaded already.

    Raises:
        SpeechModelError: it is missing and cannot be fetched, or cannot be loaded.
    """
    chosen = settings.transcriber
    configured = expanded(chosen.speech_model) if chosen.speech_model else None
    found = speech_model or find_speech_model(configured, announce=announce)
    return Transcriber(found, chosen.lone_word_confidence, chosen.utterances_per_recogniser, search=chosen.search)


def classify(models: LoadedModels, path: Path) -> Iterator[Prediction]:
    """Yield a prediction for each utterance of a recording, as if it were spoken into the microphone.

    Each contains what audio alone and words alone predict, unless the settings forbid it: nothing waits for a light.

    Args:
        models: the models to use.
        path: a WAV or FLAC file of any rate and any number of channels; or a pipe, or
            `device.audio.decoding.STANDARD_INPUT`.

    Raises:
        AudioError: not a readable recording, or no speech was detected in it.
    """
    endpoint = models.settings.endpoint
    recording = Recording(path, silence_after_s=endpoint.hang_over_s + endpoint.pre_roll_s)
    detected = False
    explain = models.settings.classifier.explain
    pipeline = models.pipeline(explain=ALWAYS if explain == AUTO else explain)
    for prediction in pipeline.predictions(recording.frames()):
        detected = True
        yield prediction.explained()
    if not detected and recording.peak_dbfs < endpoint.gate_dbfs:
        raise AudioError(
            f"{displayable(path)}: silent (never above {endpoint.gate_dbfs:g} dBFS)",
            fix="lower gate_dbfs under [endpoint]",
        )
    if not detected:
        raise AudioError(f"{displayable(path)}: no speech was detected in it")


def _required_confidences(settings: Settings, companions: Companions) -> dict[str, float]:
    return required_confidences(settings.classifier.confidence, companions.labels)
