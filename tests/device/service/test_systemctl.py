import json
import subprocess
from collections.abc import Callable, Sequence

import pytest

from device.errors import ServiceError
from device.service import systemctl

PID = "77"
FAILED = {"ExecMainPID": PID, "ExecMainCode": "1", "ExecMainStatus": "1", "Result": "exit-code"}
Start = Callable[..., ServiceError]


def entry(message: object, *, pid: str = PID, time_s: float = 4e9) -> dict[str, object]:
    """A line of the journal that a process of the service logged, far in the future unless stated."""
    return {"MESSAGE": message, "_PID": pid, "__REALTIME_TIMESTAMP": str(round(time_s * 1e6))}


@pytest.fixture
def failing_start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a service that does not start and has logged these entries; check that it is stopped, return the error."""

    def start(entries: Sequence[object], *, journal: str = "readable", **properties: str) -> ServiceError:
        commands: list[str] = []

        def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
            commands.append(" ".join(command[:2]))
            status, output, errors = 0, "", ""
            if command[0] == "journalctl":
                assert "_SYSTEMD_UNIT=edge-mcnn.service" in command, "only what processes of the service log"
                output = "\n".join(map(json.dumps, entries))
                if journal == "missing":
                    raise FileNotFoundError
                if journal != "readable":
                    status, output, errors = 1, "", journal
            elif command[1] == "show":
                output = "\n".join(f"{name}={value}" for name, value in {**FAILED, **properties}.items())
            elif command[1] == "restart":
                status, errors = 1, "Job failed.\n"
            return subprocess.CompletedProcess(command, status, output, errors)

        monkeypatch.setattr(subprocess, "run", run)
        with pytest.raises(ServiceError) as error:
            systemctl.restart()
        assert commands.index("systemctl show") < commands.index("systemctl stop"), "before the next attempt"
        assert commands.index("systemctl stop") < commands.index("journalctl _SYSTEMD_UNIT=edge-mcnn.service")
        return error.value

    return start


@pytest.mark.parametrize(
    ("entries", "message", "fix"),
    [
        ([entry("edge-mcnn: no microphone"), entry("  fix: plug one in"), entry("bye")],
         "no microphone", "plug one in; details: journalctl -u edge-mcnn.service"),
        ([entry("edge-mcnn: first"), entry("fix: this"), entry("edge-mcnn: second"), entry("Failed")],
         "second", "details: journalctl -u edge-mcnn.service"),
        ([entry("edge-mcnn: an earlier start", time_s=0), entry("loading"), entry("Illegal instruction")],
         "Illegal instruction (it ended with the status 1)", "details: journalctl"),
        ([entry("edge-mcnn: settings cannot be read"), entry("edge-mcnn: the pins are busy", pid="78")],
         "settings cannot be read", "details: journalctl"),
        ([entry("edge-mcnn: from a short attempt", pid="76")], "from a short attempt", "details: journalctl"),
        ([entry("Usage: edge-mcnn listen"), entry("\u256d\u2500 Error \u256e"),
          entry("\u2502 path 'config.toml'  \u2502"), entry("\u2502 is not readable. \u2502"), entry("\u2570\u256f")],
         "path 'config.toml' is not readable.", "details: journalctl"),
        ([entry(list("edge-mcnn: caf\u00e9".encode("latin-1")))], "caf\ufffd", "details: journalctl"),
        ([entry("edge-mcnn: \u001b[31mred")], "\\x1b[31mred", "details: journalctl"),
        ([entry(None), "no object"], "it ended with the status 1, and it logged nothing",
         "to see the reason, run: edge-mcnn listen --config /etc/edge-mcnn/config.toml; details: journalctl"),
    ],
)  # fmt: skip
def test_a_service_that_does_not_start_is_stopped_and_its_last_error_reported(
    entries: list[object], message: str, fix: str, failing_start: Start
) -> None:
    error = failing_start(entries)
    assert error.message == f"the service does not start: {message}"
    assert error.fix.startswith(fix)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"Result": "timeout"}, "it did not respond in time"),
        ({"Result": "watchdog", "ExecMainCode": "3", "ExecMainStatus": "6"}, "it hung, and the watchdog ended it"),
        ({"Result": "oom-kill", "ExecMainCode": "2", "ExecMainStatus": "9"}, "the kernel ended it because memory was"),
        ({"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "4"}, "it was ended by SIGILL"),
        ({"Result": "core-dump", "ExecMainCode": "3", "ExecMainStatus": "11"}, "it was ended by SIGSEGV"),
        ({"ExecMainStatus": "203"}, "it ended with the status 203"),
        ({"Result": "resources"}, "systemd reports resources"),
        ({"Result": "success"}, "systemctl restart edge-mcnn.service: Job failed."),
    ],
)
def test_a_daemon_that_logged_nothing_is_described_by_its_end(
    properties: dict[str, str], message: str, failing_start: Start
) -> None:
    assert failing_start([], **properties).message.startswith(f"the service does not start: {message}")


@pytest.mark.parametrize(
    ("journal", "reason"),
    [
        ("missing", "journalctl is not installed"),
        ("No journal files were opened due to insufficient permissions.", "No journal files were opened due to"),
    ],
)
def test_without_a_journal_the_end_of_the_daemon_is_reported(journal: str, reason: str, failing_start: Start) -> None:
    error = failing_start([], journal=journal)
    assert error.message.startswith(
        f"the service does not start: it ended with the status 1, and its log cannot be read ({reason}"
    )
    assert error.fix.startswith("to see the reason, run: edge-mcnn listen --config")


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


def test_a_systemd_that_does_not_respond_is_no_service_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who may not reach it."""

    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Failed to connect to bus")

    monkeypatch.setattr(systemctl, "require_systemd", lambda: None)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ServiceError, match="systemd does not respond"):
        systemctl.service_properties()
