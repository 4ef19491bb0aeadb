"""Which checks run with which settings, and which of them `service install` requires."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from device.audio import microphone
from device.audio.microphone import MicrophoneInfo
from device.doctor import checks
from device.doctor.findings import Finding
from device.doctor.isolation import Check, run_checks
from device.errors import AudioError, ServiceError
from device.settings.schema import ClassifierSettings, LightsSettings, Settings
from tests.device.daemon.test_status import STATUS
from tests.device.test_imports import imported_by


def test_valid_settings(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\ngate_dbfs = -50\n")
    settings, found = checks.check_settings(path, {"EDGE_MCNN_LIGHTS_KIND": "none", "HOME": "/"})
    assert (settings.endpoint.gate_dbfs, settings.lights.kind) == (-50, "none")
    assert (found.verdict.value, found.message) == ("OK", f"{path} is valid; 1 set by environment variables or options")
    assert checks.check_settings(None, {})[1].message == "defaults"


def test_every_mistake_is_reported_and_the_other_checks_use_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\nhangover_s = 1\nonset_s = 9\n")
    settings, found = checks.check_settings(path, {"EDGE_MCNN_LIGHTS_KND": "gpio"})
    assert settings == Settings()
    assert found.verdict.value == "FAIL"
    for part in (
        f"{path}:2: ",
        f"{path}:3: ",
        "the other checks use the defaults",
    ):
        assert part in found.message
    assert found.fix == f"run: edge-mcnn settings --check {path}; did you mean EDGE_MCNN_LIGHTS_KIND?"


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("hangover_s = 1", "did you mean endpoint.hang_over_s?"),
        ("onset_s = 9", ""),  # the message names the allowed values
    ],
)
def test_a_single_mistake_has_its_own_fix(line: str, fix: str, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f"[endpoint]\n{line}\n")
    _, found = checks.check_settings(path, {})
    assert (found.verdict.value, found.fix) == ("FAIL", fix)


def test_a_missing_settings_file(tmp_path: Path) -> None:
    _, found = checks.check_settings(tmp_path / "none.toml", {})
    assert (found.verdict.value, found.fix) == ("FAIL", "name a settings file")
    assert "no such file" in found.message


def test_the_model_option_replaces_the_model_in_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def all_checks(settings: Settings) -> list[Check]:
        seen.append(settings)
        return []

    monkeypatch.setattr(checks, "all_checks", all_checks)
    events = list(checks.diagnose(None, {"EDGE_MCNN_CLASSIFIER_MODEL": "a"}, tmp_path / "b"))
    assert seen == [Settings(classifier=ClassifierSettings(model=str(tmp_path / "b")))]
    assert [each.topic for each in events if isinstance(each, Finding)] == ["settings"]


@pytest.mark.parametrize(("nice", "limit_s"), [(0, 10.0), (19, 30.0)])
def test_checks_may_take_longer_when_every_other_process_goes_first(
    monkeypatch: pytest.MonkeyPatch, nice: int, limit_s: float
) -> None:
    seen: list[Check] = []

    def run_checks(found: list[Check]) -> list[Check]:
        seen.extend(found)
        return []

    monkeypatch.setattr(os, "getpriority", lambda *_: nice)
    monkeypatch.setattr(checks, "all_checks", lambda _: [Check("part", list)])
    monkeypatch.setattr(checks, "run_checks", run_checks)
    list(checks.diagnose(None, {}, None))
    assert [each.limit_s for each in seen] == [limit_s]


@pytest.mark.parametrize("parent", [os.getppid(), 1])
def test_a_check_that_the_daemon_started_does_not_record(monkeypatch: pytest.MonkeyPatch, parent: int) -> None:
    called: list[str] = []
    daemon = replace(STATUS, pid=os.getppid())
    monkeypatch.setattr(checks, "running_daemon", lambda: daemon)
    monkeypatch.setattr(os, "getppid", lambda: parent)

    def noting(name: str) -> Callable[..., list[Finding]]:
        def note(*_: object) -> list[Finding]:
            called.append(name)
            return []

        return note

    for name in ("check_portaudio", "check_selected", "measure_level", "report_level"):
        monkeypatch.setattr(f"device.doctor.microphone.{name}", noting(name))
    [check] = [each for each in checks.all_checks(Settings()) if each.topic == "microphone"]
    list(check.run())
    assert called[2:] == ["report_level" if parent == daemon.pid else "measure_level"]


@pytest.mark.parametrize(
    ("runtime", "parent", "within"),
    [("/run/edge-mcnn", STATUS.pid, True), ("/run/edge-mcnn", 1, False), ("/tmp/other", STATUS.pid, False)],  # noqa: S108  # a name
)
def test_a_check_within_the_service_knows_that_it_runs(
    monkeypatch: pytest.MonkeyPatch, runtime: str, parent: int, within: bool
) -> None:
    def refuse() -> dict[str, str]:
        raise ServiceError("systemd does not respond", fix="run: systemctl status")

    monkeypatch.setenv("RUNTIME_DIRECTORY", runtime)
    monkeypatch.setattr(checks, "running_daemon", lambda: STATUS)
    monkeypatch.setattr(os, "getppid", lambda: parent)
    monkeypatch.setattr("device.service.systemctl.service_properties", refuse)
    [check] = [each for each in checks.all_checks(Settings()) if each.topic == "service"]
    first = next(iter(check.run()))
    assert isinstance(first, Finding)
    listens = f'process {STATUS.pid} listens to a "USB" mic, 2 predictions'
    assert first.message == f"{'running' if within else 'systemd does not respond'}; {listens}"


def test_importing_the_checks_loads_no_library_that_may_be_broken() -> None:
    loaded = imported_by("import edge_mcnn.setup.doctor, device.doctor.checks, device.service.install")
    assert loaded & {"numpy", "vosk", "sounddevice", "soundfile", "soxr", "gpiozero"} == set()


def test_a_broken_library_fails_only_the_checks_that_need_it(tmp_path: Path) -> None:
    """With a numpy built for another CPU, what needs it fails, and the other parts are still checked."""
    (tmp_path / "numpy.py").write_text("raise ImportError('built for another CPU')")
    code = (
        "from device.doctor.checks import diagnose\n"
        "for each in diagnose(None, {}, None): print(each.topic, each.verdict, each.message, sep='|')"
    )
    repository = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120,
        env={"PYTHONPATH": f"{tmp_path}:{repository}", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stderr == ""
    lines = {line.partition("|")[0]: line.split("|")[1:] for line in done.stdout.splitlines()}
    assert lines["packages"] == ["FAIL", "numpy cannot be imported: built for another CPU"]
    assert lines["voice detector"] == ["FAIL", "ImportError: built for another CPU"]
    assert {lines[name][0] for name in ("settings", "machine", "memory", "disk", "service")} == {"OK"}


@pytest.fixture
def usb(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setattr(microphone, "portaudio_version", lambda: "PortAudio V19")
    found = [MicrophoneInfo(0, "USB", 48_000, 1, is_default=True)]
    monkeypatch.setattr(microphone, "list_microphones", lambda: list(found))
    return found.clear


def service_findings(settings: Settings) -> dict[str, tuple[str, str]]:
    found = [each for each in run_checks(checks.service_checks(settings)) if isinstance(each, Finding)]
    return {each.topic: (each.verdict.value, each.message) for each in found}


def test_checks_for_the_service(usb: Callable[[], None]) -> None:
    findings = service_findings(Settings(lights=LightsSettings(kind="none")))
    assert findings["model"][0] == "OK"
    assert findings["lights"] == ("WARN", "lights.kind is none: no LED will light up")
    assert findings["microphone"] == ("OK", "USB, 48000 Hz, the default")
    assert "level" not in findings


def test_the_service_waits_for_a_microphone_but_not_for_portaudio(
    usb: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    usb()
    assert service_findings(Settings())["microphone"] == ("WARN", "no microphone found")

    def missing() -> str:
        raise AudioError("PortAudio is not installed", fix="run: sudo apt-get install libportaudio2")

    monkeypatch.setattr(microphone, "portaudio_version", missing)
    assert service_findings(Settings())["PortAudio"] == ("FAIL", "PortAudio is not installed")


def test_the_service_needs_its_model_and_its_pins(
    usb: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    findings = service_findings(
        Settings(
            classifier=ClassifierSettings(model=str(tmp_path / "Model.tflite")), lights=LightsSettings(kind="gpio")
        )
    )
    assert findings["model"][0] == "FAIL"
    assert "no such file" in findings["model"][1]
    assert findings["lgpio"] == ("FAIL", "not installed")
    assert "pins" in findings
