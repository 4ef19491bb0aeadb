"""The public Python interface: load the models, classify a recording, and a loop of your own."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.adaptation.profile import SESSION, Example, Profile, write_profile
from device.audio.audio_file import Recording
from device.audio.liveness import LivenessMachine
from device.audio.microphone import Block, MicrophoneInfo
from device.audio.reconnecting import ReconnectingMicrophone
from device.bundle import DEFAULT_BUNDLE, SHIPPED_BUNDLES
from device.errors import AudioError, ProfileError, SettingsError
from device.events import BLOCK_SECONDS, SAMPLE_RATE, UtteranceFeatures
from device.loading import LoadedModels, classify, open_bundle
from device.recognition.vosk_loading import start_loading
from device.settings.schema import ClassifierSettings, Settings
from tests.conftest import CLIPS

CLIP = CLIPS / "austen-0930.flac"
TEXT = "he might even have been made amiable himself"


@pytest.fixture(scope="module")
def models(speech_model: Path) -> LoadedModels:
    assert speech_model.is_dir()
    return LoadedModels.load(Settings())


def test_a_speech_model_that_is_being_loaded_is_used(speech_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loading = start_loading(str(speech_model), "quick")

    def checked() -> None:
        raise AssertionError("the model that is being loaded has part of the memory already")

    monkeypatch.setattr("device.loading.require_memory", checked)
    monkeypatch.setattr("device.loading.start_loading", checked)
    models = LoadedModels.load(Settings(), speech_model=loading)
    [prediction] = classify(models, CLIP)
    assert prediction.text == TEXT


class ClipMicrophone:
    """A microphone in front of which a clip is played, followed by a pause."""

    info = MicrophoneInfo(0, "fake", SAMPLE_RATE, 1, is_default=True)
    rate = SAMPLE_RATE
    dropped_blocks = 0
    batch_size = 1

    def __init__(self) -> None:
        samples, _ = soundfile.read(CLIP, dtype="int16")
        samples = np.concatenate([samples, np.ones(SAMPLE_RATE, np.int16)])
        length = round(BLOCK_SECONDS * SAMPLE_RATE)
        self._blocks = np.split(samples, range(length, len(samples), length))

    @property
    def ended(self) -> bool:
        return not self._blocks

    def block(self, _limit_s: float) -> Block | None:
        return Block(self._blocks.pop(0)[:, None], time.monotonic(), constant=False) if self._blocks else None

    def wake(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""


def test_a_recording_is_classified(models: LoadedModels) -> None:
    [prediction] = classify(models, CLIP)
    assert prediction.text == TEXT
    assert tuple(prediction.probabilities) == models.companions.labels == models.classifier.labels
    assert prediction.label in models.companions.labels


@pytest.fixture
def profile(models: LoadedModels, tmp_path: Path) -> Path:
    """A profile of three examples per class, whose voice is far from those that the model was trained with."""
    classifier = models.adapted_classifier
    random = np.random.default_rng(0)
    shift = random.normal(size=classifier.identity.features)
    examples = []
    for place, label in enumerate(classifier.labels * 3):
        features = shift + 2 * np.eye(classifier.identity.features)[place % len(classifier.labels)]
        features = features + 0.05 * random.normal(size=len(features))
        examples.append(Example.now(label, UtteranceFeatures(features, np.log(np.ones(3) / 3)), SESSION))
    path = tmp_path / "profile.json"
    write_profile(path, Profile(classifier.identity).with_examples(examples))
    return path


def test_predictions_are_adapted_to_the_examples_of_a_profile(models: LoadedModels, profile: Path) -> None:
    announced: list[str] = []
    adapted = LoadedModels.load(Settings(), announced.append, profile=profile, require_profile=True)
    assert announced == ["adapted to 9 examples of your voice"]
    [before], [after] = classify(models, CLIP), classify(adapted, CLIP)
    assert (before.adapted, after.adapted) == (False, True)
    assert before.probabilities != after.probabilities
    assert before.audio_only != after.audio_only
    assert before.text_only == after.text_only, "words have no voice"


def test_a_profile_that_cannot_be_used_is_announced_or_an_error(tmp_path: Path, models: LoadedModels) -> None:
    assert models.adapted_classifier.path is None
    path = tmp_path / "profile.json"
    LoadedModels.load(Settings(), pytest.fail, profile=path)  # missing is no problem
    with pytest.raises(ProfileError, match="no such file"):
        LoadedModels.load(Settings(), profile=path, require_profile=True)
    path.write_text("{}")
    announced: list[str] = []
    loaded = LoadedModels.load(Settings(), announced.append, profile=path)
    assert announced == [f"the voice profile is not used: {path}: not a voice profile; give a file that `edge-mcnn "
                         "learn` wrote"]  # fmt: skip
    assert not loaded.adapted_classifier.adapted
    assert path.read_text() == "{}"
    with pytest.raises(ProfileError, match="not a voice profile"):
        LoadedModels.load(Settings(), profile=path, require_profile=True)


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_not_a_file_is_no_missing_profile(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "profile.json"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    announced: list[str] = []
    LoadedModels.load(Settings(), announced.append, profile=path)
    assert len(announced) == 1
    assert announced[0].startswith(f"the voice profile is not used: {path}: is a ")


def test_a_loop_of_your_own(models: LoadedModels) -> None:
    settings = models.settings
    liveness = LivenessMachine(settings.liveness, time.monotonic)
    microphone = ReconnectingMicrophone(
        settings.microphone.name,
        liveness,
        settings.liveness.stuck_limit_s,
        open_microphone=lambda _name: ClipMicrophone(),
        refresh=lambda: None,
    )
    texts = []
    for frames in microphone.streams():
        for prediction in models.pipeline().predictions(frames):
            texts.append(prediction.text)
            assert (liveness.now.microphone, liveness.now.rate) == ("fake", SAMPLE_RATE)
            microphone.stop()
    assert texts == [TEXT]


def test_frames_of_any_source_will_do(models: LoadedModels) -> None:
    [prediction] = models.pipeline().predictions(Recording(CLIP, silence_after_s=1.0).frames())
    assert (prediction.text, prediction.utterance.ending) == (TEXT, "silence")


def test_recordings_without_speech(models: LoadedModels, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    with pytest.raises(AudioError, match=r"silent\.wav: silent \(never above -60 dBFS\)") as error:
        list(classify(models, tmp_path / "silent.wav"))
    assert error.value.fix == "lower gate_dbfs under [endpoint]"
    soundfile.write(tmp_path / "noise.wav", 0.1 * np.random.default_rng(0).standard_normal(48_000), 16_000)
    with pytest.raises(AudioError, match=r"noise\.wav: no speech was detected in it"):
        list(classify(models, tmp_path / "noise.wav"))


def test_the_bundle_of_the_settings(tmp_path: Path) -> None:
    assert open_bundle(Settings()).path == DEFAULT_BUNDLE
    (tmp_path / "Mine.tflite").write_bytes(DEFAULT_BUNDLE.read_bytes())
    assert open_bundle(Settings(classifier=ClassifierSettings(model="emotions"))).path == SHIPPED_BUNDLES["emotions"]
    named = Settings(classifier=ClassifierSettings(model=str(tmp_path / "Mine.tflite")))
    assert open_bundle(named).path == tmp_path / "Mine.tflite"


def test_settings_that_do_not_fit_the_model_are_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.recognition.classifier.NEUTRAL", "calm")
    settings = Settings(classifier=ClassifierSettings(confidence=0.5, low_confidence="neutral"))
    with pytest.raises(SettingsError, match="the model has no such class"):
        LoadedModels.load(settings, pytest.fail)


def test_a_confidence_of_a_class_that_the_model_does_not_have_is_refused_first() -> None:
    settings = Settings(classifier=ClassifierSettings(confidence={"joy": 0.5}))
    with pytest.raises(SettingsError, match=r"has joy, and the model has no such class \(it has negative, neut"):
        LoadedModels.load(settings, pytest.fail)


def test_the_confidence_of_all_classes_and_of_single_ones(models: LoadedModels) -> None:
    [prediction] = classify(models, CLIP)
    label, probability = prediction.label, prediction.probabilities[prediction.label]
    others = {each: 1.0 for each in prediction.probabilities if each != label}
    choices: tuple[tuple[float | dict[str, float], bool], ...] = (
        (1.0, False),
        (probability, True),
        ({label: 1.0}, False),
        ({**others, label: probability}, True),
        (others, True),  # a class that the table does not name has 0
    )
    for confidence, confident in choices:
        chosen = ClassifierSettings(confidence=confidence)
        [again] = classify(replace(models, settings=Settings(classifier=chosen)), CLIP)
        assert (again.confident, again.light) == (confident, label if confident else None)


def test_context_without_transitions_is_refused_first(without_transitions: Path) -> None:
    settings = Settings(classifier=ClassifierSettings(model=str(without_transitions), context_s=30))
    with pytest.raises(SettingsError, match="the model has no class transitions"):
        LoadedModels.load(settings, pytest.fail)


def test_importing_the_package_loads_nothing_else() -> None:
    script = "import sys; before = set(sys.modules); import device; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["device"]
