"""Which parts are looked at, in the light of which settings, and what `service install` takes of it."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from device.audio import microphone
from device.audio.microphone import MicrophoneInfo
from device.doctor import checks
from device.doctor.findings import Finding
from device.doctor.isolation import Check, examine
from device.errors import AudioError
from device.settings.schema import ClassifierSettings, LightsSettings, Settings
from tests.device.test_imports import imported_by


def test_settings_that_are_right(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\ngate_dbfs = -50\n")
    settings, found = checks.read(path, {"EDGE_MCNN_LIGHTS_KIND": "none", "HOME": "/"})
    assert (settings.endpoint.gate_dbfs, settings.lights.kind) == (-50, "none")
    assert (found.verdict.value, found.told) == ("good", f"{path}: all right, and 1 in the environment")
    assert checks.read(None, {})[1].told == "the defaults"


def test_every_mistake_is_told_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\nhangover_s = 1\nonset_s = 9\n")
    settings, found = checks.read(path, {"EDGE_MCNN_LIGHTS_KND": "gpio"})
    assert settings == Settings()
    assert found.verdict.value == "bad"
    for part in (f"{path}:2: ", f"{path}:3: ", "did you mean EDGE_MCNN_LIGHTS_KIND?", "with the defaults"):
        assert part in found.told
    assert found.mend == f"edge-mcnn settings --check {path}"


def test_a_file_of_settings_that_is_not_there(tmp_path: Path) -> None:
    _, found = checks.read(tmp_path / "none.toml", {})
    assert (found.verdict.value, found.mend) == ("bad", "")
    assert "cannot be read" in found.told


def test_the_model_of_the_option_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def everything(settings: Settings) -> list[Check]:
        seen.append(settings)
        return []

    monkeypatch.setattr(checks, "everything", everything)
    told = list(checks.look(None, {"EDGE_MCNN_CLASSIFIER_MODEL": "a"}, tmp_path / "b"))
    assert seen == [Settings(classifier=ClassifierSettings(model=str(tmp_path / "b")))]
    assert [each.name for each in told if isinstance(each, Finding)] == ["settings"]


def test_no_library_that_may_be_broken_is_needed_to_look() -> None:
    loaded = imported_by("import edge_mcnn.doctor, device.doctor.checks, device.service.install")
    assert loaded & {"numpy", "vosk", "sounddevice", "soundfile", "soxr", "gpiozero"} == set()


def test_a_part_that_breaks_leaves_the_others(tmp_path: Path) -> None:
    """Numpy built for another CPU, say: whatever stands on it says so, and the machine is still described."""
    (tmp_path / "numpy.py").write_text("raise ImportError('built for another CPU')")
    code = (
        "from device.doctor.checks import look\n"
        "for each in look(None, {}, None): print(each.name, each.verdict, each.told, sep='|')"
    )
    repository = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120,
        env={"PYTHONPATH": f"{tmp_path}:{repository}", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stderr == ""
    lines = {line.partition("|")[0]: line.split("|")[1:] for line in done.stdout.splitlines()}
    assert lines["packages"] == ["bad", "numpy cannot be used: built for another CPU"]
    assert lines["voice detector"] == ["bad", "ImportError: built for another CPU"]
    assert {lines[name][0] for name in ("settings", "machine", "memory", "disk", "service")} == {"good"}


@pytest.fixture
def usb(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setattr(microphone, "portaudio_version", lambda: "PortAudio V19")
    found = [MicrophoneInfo(0, "USB", 48_000, 1, is_default=True)]
    monkeypatch.setattr(microphone, "list_microphones", lambda: list(found))
    return found.clear


def needs(settings: Settings) -> dict[str, tuple[str, str]]:
    found = [each for each in examine(checks.needs_of_service(settings)) if isinstance(each, Finding)]
    return {each.name: (each.verdict.value, each.told) for each in found}


def test_what_the_service_stands_on(usb: Callable[[], None]) -> None:
    told = needs(Settings(lights=LightsSettings(kind="none")))
    assert told["model"][0] == "good"
    assert told["lights"] == ("warning", "lights.kind is none: no LED will be lit")
    assert told["microphone"] == ("good", "USB, 48000 Hz, the default")
    assert "level" not in told


def test_the_service_waits_for_a_microphone_but_not_for_portaudio(
    usb: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    usb()
    assert needs(Settings())["microphone"] == ("warning", "no microphone found")

    def missing() -> str:
        raise AudioError("PortAudio is not installed; run: sudo apt-get install libportaudio2")

    monkeypatch.setattr(microphone, "portaudio_version", missing)
    assert needs(Settings())["PortAudio"] == ("bad", "PortAudio is not installed")


def test_the_service_needs_its_model_and_its_pins(
    usb: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = needs(
        Settings(
            classifier=ClassifierSettings(model=str(tmp_path / "Model.tflite")), lights=LightsSettings(kind="gpio")
        )
    )
    assert told["model"][0] == "bad"
    assert "cannot be read" in told["model"][1]
    assert told["lgpio"] == ("bad", "not installed")
    assert "pins" in told
