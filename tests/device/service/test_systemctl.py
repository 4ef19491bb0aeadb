import subprocess
from collections.abc import Callable, Sequence

import pytest

from device.errors import ServiceError
from device.service import systemctl

Start = Callable[[Sequence[str]], None]


@pytest.fixture
def failing_start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a service that does not start and has logged these lines, and check that it is stopped."""

    def start(lines: Sequence[str]) -> None:
        commands: list[str] = []

        def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
            commands.append(" ".join(command[:2]))
            output = "\n".join(lines) if command[0] == "journalctl" else ""
            return subprocess.CompletedProcess(command, int(command[1] == "restart"), output, "Job failed.\n")

        monkeypatch.setattr(subprocess, "run", run)
        try:
            systemctl.restart()
        finally:
            assert "systemctl stop" in commands

    return start


@pytest.mark.parametrize(
    ("lines", "message", "fix"),
    [
        (
            ["Starting", "edge-mcnn: no microphone", "  fix: plug one in", "Main process exited"],
            "the service does not start: edge-mcnn: no microphone",
            "plug one in; details: journalctl -u edge-mcnn.service",
        ),
        (
            ["edge-mcnn: first", "fix: this", "edge-mcnn: second", "Failed"],
            "the service does not start: edge-mcnn: second",
            "details: journalctl -u edge-mcnn.service",
        ),
        (["Starting", "Segmentation fault"], "the service does not start: Segmentation fault", "details: journalctl"),
        ([], "the service does not start: it logged nothing", "details: journalctl"),
    ],
)
def test_a_service_that_does_not_start_is_stopped_and_its_last_error_reported(
    lines: list[str], message: str, fix: str, failing_start: Start
) -> None:
    with pytest.raises(ServiceError) as error:
        failing_start(lines)
    assert error.value.message == message
    assert error.value.fix.startswith(fix)


def test_commands_that_fail_or_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 5, "", "Unit\n not loaded.")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(ServiceError, match=r"^systemctl stop x: Unit not loaded\.$"):
        systemctl.systemctl("stop", "x")
    assert not systemctl.is_active()

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(ServiceError, match="systemctl is not installed") as error:
        systemctl.is_enabled()
    assert error.value.fix == "run: sudo apt-get install systemd"
