"""Models that are present, missing, or damaged."""

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device.adaptation.adapted_classifier import identity_of
from device.adaptation.profile import SESSION, Example, Profile, write_profile
from device.audio import silero_vad as silero
from device.bundle import DEFAULT_BUNDLE, SHIPPED_BUNDLES, pack, read_bundle
from device.doctor import models
from device.doctor.findings import Finding
from device.errors import BundleError, DetectorError, InterpreterError, SettingsError, SpeechModelError
from device.events import UtteranceFeatures
from device.recognition import classifier as unsure
from device.recognition import runtimes as interpreter
from device.recognition.speech_model.manifest import ENGLISH
from device.settings.schema import ClassifierSettings, Settings, TranscriberSettings


def only(findings: Iterable[Finding]) -> Finding:
    [finding] = findings
    return finding


def with_model(path: Path) -> Settings:
    return Settings(classifier=ClassifierSettings(model=str(path)))


def requiring(runtime: str, path: Path) -> Path:
    bundle = read_bundle(DEFAULT_BUNDLE)
    companions = replace(bundle.companions, card={**bundle.companions.card, "requires": runtime})
    path.write_bytes(pack(bundle.model[: bundle.flatbuffer_size], companions))
    return path


def test_the_shipped_bundle() -> None:
    found = only(models.check_bundle(Settings()))
    assert (found.topic, found.verdict.value) == ("model", "OK")
    assert found.message.startswith("the shipped model sentiment: negative, neutral, positive; ")
    named = only(models.check_bundle(Settings(classifier=ClassifierSettings(model="emotions"))))
    assert named.message.startswith("the shipped model emotions: neutral, joy, sadness, anger, surprise, fear, disgust")


def test_a_bundle_that_requires_an_installed_runtime(tmp_path: Path) -> None:
    bundle = read_bundle(DEFAULT_BUNDLE)
    runtime = interpreter.runtime_of(interpreter.load_interpreter(bundle.model))
    path = requiring(runtime, tmp_path / "Model.tflite")
    assert only(models.check_bundle(with_model(path))).message.endswith(f"{path}: negative, neutral, positive; "
                                                              f"{runtime}, which the model requires")  # fmt: skip


def test_a_bundle_that_requires_a_missing_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(interpreter.RUNTIMES, "ai-edge-litert", "no_such_package.interpreter")
    path = requiring("ai-edge-litert", tmp_path / "Model.tflite")
    with pytest.raises(InterpreterError, match="requires ai-edge-litert, which is not installed; run: pip install"):
        only(models.check_bundle(with_model(path)))


def test_context_needs_a_model_with_transitions(without_transitions: Path) -> None:
    settings = Settings(classifier=ClassifierSettings(model=str(without_transitions), context_s=30))
    with pytest.raises(SettingsError, match="the model has no class transitions"):
        only(models.check_bundle(settings))


def test_confidences_name_classes_of_the_model() -> None:
    known = ClassifierSettings(confidence={"neutral": 0.5})
    assert only(models.check_bundle(Settings(classifier=known))).verdict.value == "OK"
    with pytest.raises(SettingsError, match=r"no such class .*; did you mean neutral"):
        only(models.check_bundle(Settings(classifier=ClassifierSettings(confidence={"Neutral": 0.5}))))


def test_the_class_for_low_confidence_must_be_one_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(classifier=ClassifierSettings(confidence=0.5, low_confidence="neutral"))
    assert only(models.check_bundle(settings)).verdict.value == "OK"
    monkeypatch.setattr(unsure, "NEUTRAL", "calm")
    with pytest.raises(SettingsError, match="the model has no such class"):
        only(models.check_bundle(settings))


def test_files_that_are_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        only(models.check_bundle(with_model(tmp_path / "Model.tflite")))
    (tmp_path / "half.tflite").write_bytes(DEFAULT_BUNDLE.read_bytes()[:100_000])
    with pytest.raises(BundleError, match="without labels"):
        only(models.check_bundle(with_model(tmp_path / "half.tflite")))


def test_a_bundle_that_is_too_new_for_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    def old(**_options: object) -> None:
        raise ValueError("Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'")

    for name in interpreter.RUNTIMES.values():
        if importlib.util.find_spec(name.partition(".")[0]):
            monkeypatch.setattr(importlib.import_module(name), "Interpreter", old)
    with pytest.raises(InterpreterError, match=r"refuses the model \(Didn't find op for builtin opcode"):
        only(models.check_bundle(Settings()))


def with_profile(path: str) -> Settings:
    return Settings(classifier=ClassifierSettings(profile=path))


def write_examples(path: Path, model: str, count: int, *, helpful: bool) -> None:
    """Write a profile whose examples are of the right class, or of any."""
    identity = identity_of(read_bundle(SHIPPED_BUNDLES[model]))
    random = np.random.default_rng(0)
    examples = []
    for number in range(count):
        label = number % len(identity.labels)
        features = 3 * np.eye(identity.features)[label] if helpful else np.zeros(identity.features)
        features = features + 0.1 * random.normal(size=identity.features)
        logits = np.log(np.full(len(identity.labels), 1 / len(identity.labels)))
        examples.append(Example.now(identity.labels[label], UtteranceFeatures(features, logits), SESSION))
    write_profile(path, Profile(identity).with_examples(examples))


def test_no_voice_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = only(models.check_profile(Settings()))
    assert (found.verdict.value, found.message) == ("OK", "none yet")
    assert "edge-mcnn learn" in found.fix
    none = only(models.check_profile(with_profile("none")))
    assert (none.verdict.value, none.message, none.fix) == ("OK", "none, as the settings choose", "")
    write_examples(tmp_path / "edge-mcnn/profile.json", "sentiment", 9, helpful=True)
    found = only(models.check_profile(Settings()))
    assert (found.verdict.value, found.message) == ("OK", f"{tmp_path}/edge-mcnn/profile.json: 9 examples, used")


@pytest.mark.parametrize(
    ("count", "shown"), [(1, "1 example, not used: each of them"), (6, "6 examples, not used: each of them")]
)
def test_examples_that_do_not_help(tmp_path: Path, count: int, shown: str) -> None:
    path = tmp_path / "profile.json"
    write_examples(path, "sentiment", count, helpful=False)
    found = only(models.check_profile(with_profile(str(path))))
    assert found.verdict.value == "OK"
    assert found.message.startswith(f"{path}: {shown}")


def test_a_voice_profile_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_examples(path, "emotions", 3, helpful=True)
    other = only(models.check_profile(with_profile(str(path))))
    assert (other.verdict.value, "was learnt with another model" in other.message) == ("WARN", True)
    path.write_text('{"edge_mcnn_profile": 1}')
    damaged = only(models.check_profile(with_profile(str(path))))
    assert (damaged.verdict.value, damaged.message) == ("WARN", f"not used: {path}: a damaged voice profile")
    assert other.fix
    assert damaged.fix
    path.unlink()
    path.symlink_to("nowhere")
    assert only(models.check_profile(with_profile(str(path)))).verdict.value == "WARN"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech_model: Path) -> Path:
    """A separate cache folder with links to the files of the real model."""
    folder = tmp_path / "cache" / ENGLISH.name
    for name in ENGLISH.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(speech_model / name)
    monkeypatch.setattr("device.doctor.models.speech_model_path", lambda: folder)
    return folder


def test_a_complete_speech_model(cache: Path) -> None:
    found = only(models.check_speech_model(TranscriberSettings()))
    assert (found.verdict.value, found.message) == ("OK", f"{cache}: all {len(ENGLISH.files)} files are as published")


def test_a_speech_model_with_one_wrong_bit(cache: Path) -> None:
    path = cache / "conf" / "mfcc.conf"
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.unlink()
    path.write_bytes(content)
    found = only(models.check_speech_model(TranscriberSettings()))
    assert found.verdict.value == "FAIL"
    assert str(path) in found.message
    assert found.fix == "run `edge-mcnn fetch-speech-model`"


def test_an_incomplete_speech_model(cache: Path) -> None:
    (cache / "am" / "final.mdl").unlink()
    found = only(models.check_speech_model(TranscriberSettings()))
    assert (found.verdict.value, found.message) == ("FAIL", f"{cache / 'am' / 'final.mdl'} is missing")


def test_a_speech_model_that_has_not_been_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.doctor.models.speech_model_path", lambda: tmp_path / "none")
    found = only(models.check_speech_model(TranscriberSettings()))
    assert (found.verdict.value, found.message) == ("WARN", "not present yet; `listen` fetches it, 68 MB")
    assert list(tmp_path.iterdir()) == [], "nothing is fetched"


def test_the_users_own_speech_model_is_not_verified(tmp_path: Path) -> None:
    settings = TranscriberSettings(speech_model=str(tmp_path))
    with pytest.raises(SpeechModelError, match=r"is not a Vosk model: it has no am/final\.mdl"):
        only(models.check_speech_model(settings))
    (tmp_path / "am").mkdir()
    (tmp_path / "am" / "final.mdl").write_text("anything")
    (tmp_path / "conf").mkdir()
    assert only(models.check_speech_model(settings)).message == f"{tmp_path}, from the settings"


def test_the_weights_of_the_voice_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(models.check_voice_detector()).verdict.value == "OK"
    (tmp_path / "weights").write_bytes(b"\0" * 1000)
    monkeypatch.setattr(silero, "_weights_path", lambda: tmp_path / "weights")
    with pytest.raises(DetectorError, match="pip install --force-reinstall"):
        only(models.check_voice_detector())
