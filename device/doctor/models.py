"""The models: the bundle with its network, the speech model, and the weights of the voice detector."""

from collections.abc import Iterator
from pathlib import Path

from device.audio.silero_vad import Silero
from device.bundle import DEFAULT_BUNDLE
from device.doctor.findings import Finding, Verdict
from device.errors import SpeechModelError
from device.loading import open_bundle
from device.recognition.classifier import Classifier, low_confidence_label
from device.recognition.speech_model import fetch as speech_model
from device.recognition.speech_model.manifest import ENGLISH
from device.settings.schema import Settings, TranscriberSettings


def bundle(settings: Settings) -> Iterator[Finding]:
    """Whether it can be read, and runs in the interpreter that it requires or that the settings choose.

    Raises:
        BundleError, InterpreterError: not so.
        SettingsError: an unsure answer is to be shown as a class that the model does not have.
    """
    found = open_bundle(settings)
    low_confidence_label(settings.classifier, found.companions.labels)
    classifier = Classifier(found, runtime=settings.classifier.runtime)
    shown = "the one that ships" if found.path == DEFAULT_BUNDLE else str(found.path)
    requires = found.companions.card.get("requires")
    runtime = f"{classifier.runtime}{', which it requires' if requires else ''}"
    yield Finding("model", Verdict.GOOD, f"{shown}: {', '.join(classifier.labels)}; {runtime}")


def speech(settings: TranscriberSettings) -> Iterator[Finding]:
    """Whether it is there, and each file as published; the user's own is taken as it is.

    Raises:
        SpeechModelError: it is damaged, or the settings name a folder that holds none.
    """
    if settings.speech_model:
        own = speech_model.find(Path(settings.speech_model).expanduser(), announce=print)
        yield Finding("speech model", Verdict.GOOD, f"{own}, as the settings say")
        return
    path = speech_model.default_path()
    if not path.exists():
        told = "not there yet; `listen` fetches it, 68 MB"
        mend = "to have it before, or without network (--from): edge-mcnn fetch-speech-model"
        yield Finding("speech model", Verdict.WARNING, told, mend)
        return
    try:
        speech_model.verify(path)
    except SpeechModelError as error:
        told, _, mend = str(error).rpartition("; ")
        yield Finding("speech model", Verdict.BAD, told, mend)
        return
    yield Finding("speech model", Verdict.GOOD, f"{path}: all {len(ENGLISH.files)} files as published")


def detector() -> Iterator[Finding]:
    """Whether the weights of the voice detector are as they are known.

    Raises:
        DetectorError: they are not.
    """
    Silero()
    yield Finding("voice detector", Verdict.GOOD, "Silero, computed with numpy")
