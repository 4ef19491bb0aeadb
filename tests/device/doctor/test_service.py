"""States of the service and of its daemon, in every combination that needs a different fix."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from device.daemon.status import Status
from device.doctor import service as service_state
from device.doctor.findings import Finding
from device.errors import ServiceError
from device.service import file_modes, systemctl, unit
from tests.device.daemon.test_status import STATUS

RUNS = {
    "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "NRestarts": "0",
}  # fmt: skip


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finding]:
    def run(daemon: Status | None, **properties: str) -> Finding:
        monkeypatch.setattr(systemctl, "service_properties", lambda: properties)
        monkeypatch.setattr(systemctl, "last_error", lambda: None)
        [found] = service_state.check_service(daemon)
        return found

    return run


def test_a_service_that_runs_and_listens(check: Callable[..., Finding]) -> None:
    found = check(STATUS, **RUNS)
    assert found.verdict.value == "OK"
    assert found.message == 'running, restarted 0 times; process 42 listens to a "USB" mic, 2 predictions'


@pytest.mark.parametrize(
    ("daemon", "properties", "verdict", "message", "fix"),
    [
        (None, {"LoadState": "not-found"}, "OK", "not installed", "sudo edge-mcnn service install"),
        (STATUS, {"LoadState": "not-found"}, "OK", "not installed; process 42 listens to", ""),
        (None, {**RUNS, "ActiveState": "failed", "SubState": "failed", "NRestarts": "4"}, "FAIL",
         "failed (failed), restarted 4 times", "journalctl -u edge-mcnn.service -n 20"),
        (None, {**RUNS, "ActiveState": "inactive", "SubState": "dead"}, "FAIL", "inactive (dead)", "systemctl restart"),
        (None, {**RUNS, "ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "99"}, "FAIL",
         "activating (auto-restart), restarted 99 times", "journalctl"),
        (STATUS, {**RUNS, "UnitFileState": "disabled"}, "WARN", "does not start with this machine",
         "sudo systemctl enable edge-mcnn.service"),
        (None, RUNS, "WARN", "its daemon does not respond", "journalctl"),
        (replace(STATUS, state="lost", reason="it disconnected"), RUNS, "WARN",
         "process 42 is lost: it disconnected", ""),
        (replace(STATUS, state="starting"), RUNS, "WARN", "process 42 is starting", ""),
        (replace(STATUS, blocks_dropped=7), RUNS, "WARN", "7 audio blocks dropped", "edge-mcnn benchmark"),
    ],
)  # fmt: skip
def test_problems_and_their_fixes(
    daemon: Status | None,
    properties: dict[str, str],
    verdict: str,
    message: str,
    fix: str,
    check: Callable[..., Finding],
) -> None:
    found = check(daemon, **properties)
    assert (found.topic, found.verdict.value) == ("service", verdict)
    assert message in found.message
    assert fix in found.fix


def test_a_machine_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise ServiceError("this machine has no services", fix="run: edge-mcnn listen --wait")

    monkeypatch.setattr(systemctl, "service_properties", missing)
    [found] = service_state.check_service(None)
    assert (found.verdict.value, found.message) == ("OK", "this machine has no services")
    assert found.fix == "run: edge-mcnn listen --wait"


def test_a_failed_service_is_reported_with_its_last_error(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {**RUNS, "ActiveState": "failed", "SubState": "failed"}
    monkeypatch.setattr(systemctl, "service_properties", lambda: failed)
    monkeypatch.setattr(systemctl, "last_error", lambda: ("config.toml: cannot be read", "make it readable"))
    found = next(iter(service_state.check_service(None)))
    assert found.message.endswith("restarted 0 times; its last error: config.toml: cannot be read")
    assert found.fix.startswith("make it readable; see the log: journalctl -u edge-mcnn.service")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a service that runs, with the modes that the installation sets."""
    monkeypatch.setattr(systemctl, "service_properties", lambda: RUNS)
    monkeypatch.setattr(file_modes, "_OWNER", (os.getuid(), os.getgid()))
    config = tmp_path / "etc" / "config.toml"
    program = tmp_path / "venv" / "bin" / "edge-mcnn"
    for path in (config, program):
        path.parent.mkdir(parents=True)
        path.touch()
    unit_file = tmp_path / "edge-mcnn.service"
    unit_file.write_text(f"[Service]\nExecStart={program} listen --wait\n")
    monkeypatch.setattr(service_state, "UNIT_FILE", unit_file)
    monkeypatch.setattr(service_state, "installed_paths", lambda: iter([config.parent, config, unit_file]))
    monkeypatch.setattr(unit, "_check_parents", lambda path: None)
    for path in (config.parent, config, unit_file):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path


def file_findings() -> list[tuple[str, str, str]]:
    found = service_state.check_service(STATUS)
    return [(each.verdict.value, each.message, each.fix) for each in found if each.topic == "service files"]


def test_files_with_the_right_modes_are_not_mentioned(files: Path) -> None:
    assert file_findings() == []


def test_files_that_the_service_cannot_read_are_named_with_their_mode(files: Path) -> None:
    (files / "etc" / "config.toml").chmod(0o664)
    [(verdict, message, fix)] = file_findings()
    assert verdict == "WARN"
    assert message.endswith("0664 instead of root:root 0644")
    (files / "etc").chmod(0o700)
    [(verdict, message, fix)] = file_findings()
    assert verdict == "FAIL"
    assert message.startswith(f"{files / 'etc'} is ")
    assert "0700 instead of root:root 0755, and 1 more; the service, which runs as a separate user, cannot" in message
    assert fix == "run: sudo edge-mcnn service install"


def test_an_environment_that_the_service_cannot_read_is_named(files: Path) -> None:
    (files / "venv" / "bin").chmod(0o700)
    [(verdict, message, fix)] = file_findings()
    assert verdict == "FAIL"
    assert message.startswith(f"{files / 'venv/bin'} has the mode 0700")
    assert fix == f"run: sudo chmod -R o+rX {files / 'venv'}"


def test_an_environment_that_was_moved_is_named(files: Path) -> None:
    (files / "venv").rename(files / "moved")
    [(verdict, message, fix)] = file_findings()
    assert (verdict, fix) == ("FAIL", "run: sudo edge-mcnn service install")
    assert message == f"{files}/venv/bin/edge-mcnn, which the service starts, is missing"
