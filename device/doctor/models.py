"""Checks of the models: the bundle with its network, the speech model, and the weights of the voice detector."""

from collections.abc import Iterator

from device.adaptation.adapted_classifier import AdaptedClassifier
from device.adaptation.profile_path import profile_path
from device.audio.silero_vad import Silero
from device.bundle import shipped_name
from device.doctor.findings import Finding, Verdict
from device.errors import ProfileError, SpeechModelError
from device.loading import NO_GAIN, open_bundle
from device.recognition.classifier import Classifier, low_confidence_label, required_confidences
from device.recognition.context import conversation_filter
from device.recognition.speech_model.fetch import find_speech_model, speech_model_path, verify_speech_model
from device.recognition.speech_model.manifest import ENGLISH
from device.settings.schema import Settings, TranscriberSettings
from device.system.display import counted, displayable
from device.system.paths import error_about, expanded, file_problem, folder_problem
from device.system.streams.stderr import announce


def check_bundle(settings: Settings) -> Iterator[Finding]:
    """Check that the bundle can be read, and runs in the interpreter that it requires or that the settings select.

    Raises:
        BundleError: the bundle cannot be read.
        InterpreterError: the interpreter is missing, or refuses the model.
        SettingsError: the settings name a class that the model does not have, or earlier utterances are to have an
            influence and the model has no class transitions.
    """
    bundle = open_bundle(settings)
    chosen = settings.classifier
    confidences = required_confidences(chosen.confidence, bundle.companions.labels)
    low_confidence_label(confidences, chosen.low_confidence)
    conversation_filter(chosen.context_s, bundle.companions)
    classifier = Classifier(bundle, runtime=settings.classifier.runtime)
    name = shipped_name(bundle.path)
    path = f"the shipped model {name}" if name else str(bundle.path)
    required = ", which the model requires" if bundle.companions.card.get("requires") else ""
    yield Finding("model", Verdict.OK, f"{path}: {', '.join(classifier.labels)}; {classifier.runtime}{required}")


def check_profile(settings: Settings) -> Iterator[Finding]:
    """Check that the voice profile of the settings belongs to their model, and report whether its examples are used.

    Raises:
        BundleError: the bundle cannot be read.
        InterpreterError: the interpreter is missing, or refuses the model.
    """
    topic = "voice profile"
    path = profile_path(settings.classifier.profile)
    if path is None:
        yield Finding(topic, Verdict.OK, "none, as the settings choose")
        return
    problem = file_problem(path)
    if problem is not None and problem.is_missing:
        fix = "to adapt to your voice, run: edge-mcnn learn; or correct predictions while `listen` runs"
        yield Finding(topic, Verdict.OK, "none yet", fix)
        return
    bundle = open_bundle(settings)
    classifier = AdaptedClassifier(Classifier(bundle, runtime=settings.classifier.runtime), bundle, path)
    try:
        classifier.load()
    except ProfileError as error:
        yield Finding(topic, Verdict.WARN, f"not used: {error.message}", error.fix)
        return
    examples = counted(len(classifier.profile.examples), "example")
    used = "used" if classifier.uses_examples else f"not used: {NO_GAIN}"
    yield Finding(topic, Verdict.OK, f"{displayable(path)}: {examples}, {used}")


def check_speech_model(settings: TranscriberSettings) -> Iterator[Finding]:
    """Check that the speech model is present and every file is as published; the user's own model is not verified.

    Raises:
        SpeechModelError: the folder that the settings name holds no speech model.
    """
    if settings.speech_model:
        own = find_speech_model(expanded(settings.speech_model), announce=announce)
        yield Finding("speech model", Verdict.OK, f"{own}, from the settings")
        return
    path = speech_model_path()
    problem = folder_problem(path)
    if problem is not None and not problem.is_missing:
        raise error_about(path, problem, SpeechModelError)
    if problem is not None:
        message = "not present yet; `listen` fetches it, 68 MB"
        fix = "to fetch it now, or to copy it to a machine without network (--from): edge-mcnn fetch-speech-model"
        yield Finding("speech model", Verdict.WARN, message, fix)
        return
    try:
        verify_speech_model(path)
    except SpeechModelError as error:
        yield Finding("speech model", Verdict.FAIL, error.message, error.fix)
        return
    yield Finding("speech model", Verdict.OK, f"{path}: all {len(ENGLISH.files)} files are as published")


def check_voice_detector() -> Iterator[Finding]:
    """Check that the weights of the voice detector are present and in the known format.

    Raises:
        DetectorError: they are missing, or in an unknown format.
    """
    Silero()
    yield Finding("voice detector", Verdict.OK, "Silero, computed with numpy")
