"""States of the service and of its daemon, in every combination that needs a different fix."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from device.daemon.status import Status
from device.doctor import service as service_state
from device.doctor.findings import Finding
from device.errors import ServiceError
from device.service import systemctl
from tests.device.daemon.test_status import STATUS

RUNS = {
    "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "NRestarts": "0",
}  # fmt: skip


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finding]:
    def run(daemon: Status | None, **properties: str) -> Finding:
        monkeypatch.setattr(systemctl, "service_properties", lambda: properties)
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
