"""What systemd and the daemon say, in every combination that has another cure."""

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
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finding]:
    def look(daemon: Status | None, **manager: str) -> Finding:
        monkeypatch.setattr(systemctl, "service_properties", lambda: manager)
        [found] = service_state.state(daemon)
        return found

    return look


def test_it_runs_and_hears(says: Callable[..., Finding]) -> None:
    found = says(STATUS, **RUNS)
    assert found.verdict.value == "good"
    assert found.told == 'runs, restarted 0 times; process 42 hears a "USB" mic, has answered 2 times'


@pytest.mark.parametrize(
    ("daemon", "manager", "verdict", "told", "mend"),
    [
        (None, {"LoadState": "not-found"}, "good", "not installed", "sudo edge-mcnn service install"),
        (STATUS, {"LoadState": "not-found"}, "good", "not installed; process 42 hears", ""),
        (None, {**RUNS, "ActiveState": "failed", "SubState": "failed", "NRestarts": "4"}, "bad",
         "failed (failed), restarted 4 times", "journalctl -u edge-mcnn.service -n 20"),
        (None, {**RUNS, "ActiveState": "inactive", "SubState": "dead"}, "bad", "inactive (dead)", "systemctl restart"),
        (None, {**RUNS, "ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "99"}, "bad",
         "activating (auto-restart), restarted 99 times", "journalctl"),
        (STATUS, {**RUNS, "UnitFileState": "disabled"}, "warning", "does not start with this machine",
         "sudo systemctl enable edge-mcnn.service"),
        (None, RUNS, "warning", "does not answer", "journalctl"),
        (replace(STATUS, state="lost", reason="it is gone; was it pulled out?"), RUNS, "warning",
         "process 42 is lost: it is gone; was it pulled out?", ""),
        (replace(STATUS, state="starting"), RUNS, "warning", "process 42 is starting", ""),
        (replace(STATUS, blocks_dropped=7), RUNS, "warning", "dropped 7 blocks of sound", "edge-mcnn benchmark"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_what_to_do(
    daemon: Status | None, manager: dict[str, str], verdict: str, told: str, mend: str, says: Callable[..., Finding]
) -> None:
    found = says(daemon, **manager)
    assert (found.name, found.verdict.value) == ("service", verdict)
    assert told in found.told
    assert mend in found.mend


def test_a_machine_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> dict[str, str]:
        raise ServiceError("this machine has no services", fix="run: edge-mcnn listen --wait")

    monkeypatch.setattr(systemctl, "service_properties", none)
    [found] = service_state.state(None)
    assert (found.verdict.value, found.told) == ("good", "this machine has no services")
    assert found.mend == "run: edge-mcnn listen --wait"
