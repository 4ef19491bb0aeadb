"""What systemd and the daemon say, in every combination that has another cure."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from device.daemon.status import Status
from device.doctor import service as service_state
from device.doctor.findings import Finding
from device.errors import ServiceError
from tests.device.daemon.test_status import STATUS

RUNS = {
    "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "NRestarts": "0",
}  # fmt: skip


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finding]:
    def look(daemon: Status | None, **manager: str) -> Finding:
        monkeypatch.setattr(service, "manager_says", lambda: manager)
        [found] = service_state.check_service(daemon)
        return found

    return look


def test_it_runs_and_hears(says: Callable[..., Finding]) -> None:
    found = says(STATUS, **RUNS)
    assert found.verdict.value == "OK"
    assert found.message == 'runs, restarted 0 times; process 42 hears a "USB" mic, has answered 2 times'


@pytest.mark.parametrize(
    ("daemon", "manager", "verdict", "message", "fix"),
    [
        (None, {"LoadState": "not-found"}, "OK", "not installed", "sudo edge-mcnn service install"),
        (STATUS, {"LoadState": "not-found"}, "OK", "not installed; process 42 hears", ""),
        (None, {**RUNS, "ActiveState": "failed", "SubState": "failed", "NRestarts": "4"}, "FAIL",
         "failed (failed), restarted 4 times", "journalctl -u edge-mcnn.service -n 20"),
        (None, {**RUNS, "ActiveState": "inactive", "SubState": "dead"}, "FAIL", "inactive (dead)", "systemctl restart"),
        (None, {**RUNS, "ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "99"}, "FAIL",
         "activating (auto-restart), restarted 99 times", "journalctl"),
        (STATUS, {**RUNS, "UnitFileState": "disabled"}, "WARN", "does not start with this machine",
         "sudo systemctl enable edge-mcnn.service"),
        (None, RUNS, "WARN", "does not answer", "journalctl"),
        (replace(STATUS, state="lost", reason="it is gone; was it pulled out?"), RUNS, "WARN",
         "process 42 is lost: it is gone; was it pulled out?", ""),
        (replace(STATUS, state="starting"), RUNS, "WARN", "process 42 is starting", ""),
        (replace(STATUS, blocks_dropped=7), RUNS, "WARN", "dropped 7 blocks of sound", "edge-mcnn benchmark"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_what_to_do(
    daemon: Status | None, manager: dict[str, str], verdict: str, message: str, fix: str, says: Callable[..., Finding]
) -> None:
    found = says(daemon, **manager)
    assert (found.topic, found.verdict.value) == ("service", verdict)
    assert message in found.message
    assert fix in found.fix


def test_a_machine_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> dict[str, str]:
        raise ServiceError("this machine has no services", fix="run: edge-mcnn listen --wait")

    monkeypatch.setattr(service, "manager_says", none)
    [found] = service_state.check_service(None)
    assert (found.verdict.value, found.message) == ("OK", "this machine has no services")
    assert found.fix == "run `edge-mcnn listen --wait`"
