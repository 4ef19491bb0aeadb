"""The service in systemd: its name, its unit files, its properties, and the commands that change it."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from device.errors import ServiceError
from device.system.display import displayable

NAME = "edge-mcnn.service"
WEB_NAME = "edge-mcnn-web.service"
WEB_SOCKET_NAME = "edge-mcnn-web.socket"
UNIT_FILE = Path("/etc/systemd/system") / NAME
DROP_IN_FOLDER = UNIT_FILE.with_name(f"{NAME}.d")
"""Folder of the drop-ins of the unit: ours for the network, and those that `systemctl edit` writes for the user."""
NETWORK_DROP_IN = DROP_IN_FOLDER / "network.conf"
"""Drop-in that gives the service network access; it exists only while the settings name an MQTT broker."""
_LIMIT_S = 240
_PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "StatusText", "NRestarts", "ActiveEnterTimestamp"),
    "MainPID",
)
_END = ("ExecMainPID", "ExecMainCode", "ExecMainStatus", "Result")
"""Properties that describe how the main process of a service ended."""
_LINES = 200
"""Number of the last lines of the journal in which an error is looked for."""
_ERROR, _FIX = "edge-mcnn: ", "fix: "
"""How the lines of an error begin, see `edge_mcnn.output`."""
_FRAME = "\u2502"
_KILLED = ("2", "3")
"""Values of ExecMainCode for a process that a signal ended, without and with a core dump (CLD_KILLED, CLD_DUMPED)."""
_IN_A_TERMINAL = "to see the reason, run: edge-mcnn listen --config /etc/edge-mcnn/config.toml"


def require_systemd() -> None:
    """Check that systemd started this machine.

    Raises:
        ServiceError: it did not, so there are no services.
    """
    if not Path("/run/systemd/system").is_dir():
        raise ServiceError(
            "this machine was not started by systemd, so it has no services", fix="run: edge-mcnn listen --wait"
        )


def service_properties() -> dict[str, str]:
    """Query systemd for the properties of the service.

    Returns:
        LoadState, ActiveState, SubState, UnitFileState, StatusText, NRestarts, ActiveEnterTimestamp and MainPID, by
        these names, as `systemctl show` prints them.

    Raises:
        ServiceError: systemd does not run, or does not respond.
    """
    require_systemd()
    properties = _show(NAME, *_PROPERTIES)
    if not properties:
        raise ServiceError("systemd does not respond", fix="to see why, run: systemctl status")
    return properties


def is_active(unit: str = NAME) -> bool:
    """Whether the service runs."""
    return _run("systemctl", "is-active", "--quiet", unit).returncode == 0


def is_enabled(unit: str = NAME) -> bool:
    """Whether the service starts with this machine."""
    return _run("systemctl", "is-enabled", "--quiet", unit).returncode == 0


def systemctl(*arguments: str) -> None:
    """Run `systemctl` with these arguments and wait until it has finished.

    Raises:
        ServiceError: it failed, is not installed, or did not finish within 240 s.
    """
    run_program("systemctl", *arguments, package="systemd")


def restart(unit: str = NAME, *others: str) -> None:
    """Load the unit files again and start the service; an instance that runs is replaced.

    Args:
        unit: the service.
        others: units that are started again with it, such as its socket.

    Raises:
        ServiceError: it does not start, with the last error that it logged; the service is stopped.
    """
    systemctl("daemon-reload")
    started = time.time()
    try:
        systemctl("restart", *others, unit)
    except ServiceError as error:
        failed = _show(unit, *_END)  # the next attempt replaces them
        systemctl("stop", *others, unit)
        message, fix = _last_error(unit, started, failed) or (displayable(error.message), "")
        see = f"details: journalctl -u {unit}"
        raise ServiceError(f"the service does not start: {message}", fix=f"{fix}; {see}" if fix else see) from None


def last_error() -> tuple[str, str] | None:
    """Return the last error that the daemon of a service that has failed logged, and the fix that it logged with it.

    Returns:
        The message without prefix and the fix, which may be empty; None if it ended without an error. Where the log
        cannot be read, the message describes how the daemon ended.

    Raises:
        ServiceError: systemd does not respond.
    """
    return _last_error(NAME, 0, _show(NAME, *_END))


def _last_error(unit: str, since: float, failed: dict[str, str]) -> tuple[str, str] | None:
    """Find the last error of a daemon in the journal; without one, describe how the daemon ended.

    Args:
        unit: its service.
        since: only what was logged from then on, seconds since the epoch.
        failed: properties of the unit while it is failed.
    """
    try:
        lines = list(_daemon_lines(unit, since, failed.get("ExecMainPID", "0")))
        reason = "it logged nothing"
    except ServiceError as error:
        lines, reason = [], f"its log cannot be read ({error.message})"
    errors = [index for index, line in enumerate(lines) if line.startswith(_ERROR)]
    if errors:
        following = lines[errors[-1] + 1 :]
        fix = following[0] if following and following[0].startswith(_FIX) else ""
        return lines[errors[-1]].removeprefix(_ERROR), fix.removeprefix(_FIX)
    # What typer itself reports about a command line, such as a file that cannot be read, stands in a frame.
    if framed := " ".join(line.strip(f"{_FRAME} ") for line in lines if line.startswith(_FRAME)):
        return framed, ""
    end = _description(failed)
    if lines:
        return f"{lines[-1]}{f' ({end})' if end else ''}", ""
    return (f"{end}, and {reason}", _IN_A_TERMINAL) if end else None


def _daemon_lines(unit: str, since: float, pid: str) -> Iterator[str]:
    """Yield the lines that a daemon logged; of an attempt to start that left none, those of its other processes.

    systemd's own messages about the service come from another process, so they are not among them.

    Raises:
        ServiceError: the journal cannot be read.
    """
    finished = _run("journalctl", f"_SYSTEMD_UNIT={unit}", "--output=json", f"--lines={_LINES}", "--all", "--no-pager")
    if finished.returncode:
        raise ServiceError(" ".join(finished.stderr.split()) or f"journalctl: exit status {finished.returncode}")
    entries = [entry for line in finished.stdout.splitlines() if (entry := _entry(line))]
    recent = [entry for entry in entries if int(entry.get("__REALTIME_TIMESTAMP", 0)) >= since * 1e6]
    of_daemon = [entry for entry in recent if entry.get("_PID") == pid]
    for entry in of_daemon or (recent if since else []):
        message = entry.get("MESSAGE") or ""
        if isinstance(message, list):  # how journalctl writes what is not UTF-8
            message = bytes(message).decode(errors="replace")
        if text := displayable(str(message).strip()):
            yield text


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _description(failed: dict[str, str]) -> str:
    """How the daemon ended, in words; empty if it succeeded."""
    result, status = failed.get("Result", ""), failed.get("ExecMainStatus", "")
    if result in ("", "success"):
        return ""
    if result == "timeout":
        return "it did not respond in time"
    if result == "watchdog":
        return "it hung, and the watchdog ended it"
    if result == "oom-kill":
        return "the kernel ended it because memory was short"
    if failed.get("ExecMainCode") in _KILLED and status.isdigit():
        name = _signal_name(int(status))
        # With OOMPolicy=continue, the result that systemd reports does not name the cause.
        return f"it was ended by {name}{', as when memory is short' if name == 'SIGKILL' else ''}"
    if result == "exit-code":
        return f"it ended with the status {status}"
    return f"systemd reports {result}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _show(unit: str, *names: str) -> dict[str, str]:
    """Query properties of a service; empty if it has none."""
    output = _run("systemctl", "show", unit, f"--property={','.join(names)}").stdout
    return dict(line.partition("=")[::2] for line in output.splitlines())


def run_program(*command: str, package: str) -> None:
    """Run a program of the system and wait until it has finished.

    Args:
        command: program and arguments.
        package: Debian package of the program.

    Raises:
        ServiceError: it failed, is not installed, or did not finish within 240 s.
    """
    finished = _run(*command, package=package)
    if finished.returncode:
        reason = displayable(" ".join(finished.stderr.split())) or f"exit status {finished.returncode}"
        raise ServiceError(f"{' '.join(command)}: {reason}")


def _run(*command: str, package: str = "systemd") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=_LIMIT_S)
    except FileNotFoundError:
        raise ServiceError(f"{command[0]} is not installed", fix=f"run: sudo apt-get install {package}") from None
    except subprocess.TimeoutExpired:
        raise ServiceError(
            f"{' '.join(command)} did not finish within {_LIMIT_S} s", fix=f"see: journalctl -u {NAME}"
        ) from None
