"""The service in systemd: its name, its unit files, its properties, and the commands that change it."""

import subprocess
from pathlib import Path

from device.errors import ServiceError

NAME = "edge-mcnn.service"
UNIT_FILE = Path("/etc/systemd/system") / NAME
DROP_IN_FOLDER = UNIT_FILE.with_name(f"{NAME}.d")
"""Folder of the drop-ins of the unit: ours for the network, and those that `systemctl edit` writes for the user."""
NETWORK_DROP_IN = DROP_IN_FOLDER / "network.conf"
"""Drop-in that gives the service network access; it exists only while the settings name an MQTT broker."""
_LIMIT_S = 240
_PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState,StatusText,NRestarts,ActiveEnterTimestamp,MainPID"


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
    output = _run("systemctl", "show", NAME, f"--property={_PROPERTIES}").stdout
    return dict(line.partition("=")[::2] for line in output.splitlines())


def is_active() -> bool:
    """Whether the service runs."""
    return _run("systemctl", "is-active", "--quiet", NAME).returncode == 0


def is_enabled() -> bool:
    """Whether the service starts with this machine."""
    return _run("systemctl", "is-enabled", "--quiet", NAME).returncode == 0


def systemctl(*arguments: str) -> None:
    """Run `systemctl` with these arguments and wait until it has finished.

    Raises:
        ServiceError: it failed, is not installed, or did not finish within 240 s.
    """
    finished = _run("systemctl", *arguments)
    if finished.returncode:
        reason = " ".join(finished.stderr.split()) or f"exit status {finished.returncode}"
        raise ServiceError(f"systemctl {' '.join(arguments)}: {reason}")


def restart() -> None:
    """Load the unit files again and start the service; an instance that runs is replaced.

    Raises:
        ServiceError: it does not start, with the last error that it logged; the service is stopped.
    """
    systemctl("daemon-reload")
    try:
        systemctl("restart", NAME)
    except ServiceError:
        systemctl("stop", NAME)
        message, fix = _last_error()
        see = f"details: journalctl -u {NAME}"
        raise ServiceError(f"the service does not start: {message}", fix=f"{fix}; {see}" if fix else see) from None


def _last_error() -> tuple[str, str]:
    """The last error that the service logged, and the fix that it logged with it."""
    journal = _run("journalctl", f"--unit={NAME}", "--lines=10", "--output=cat", "--no-pager").stdout
    lines = [line.strip() for line in journal.splitlines()]
    errors = [index for index, line in enumerate(lines) if line.startswith("edge-mcnn: ")]
    if not errors:
        return lines[-1] if lines else "it logged nothing", ""
    last = errors[-1]
    following = lines[last + 1] if last + 1 < len(lines) else ""
    return lines[last], following.removeprefix("fix: ") if following.startswith("fix: ") else ""


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except FileNotFoundError:
        raise ServiceError(f"{command[0]} is not installed", fix="run: sudo apt-get install systemd") from None
    except subprocess.TimeoutExpired:
        raise ServiceError(
            f"{' '.join(command)} did not finish within {_LIMIT_S} s", fix=f"see: journalctl -u {NAME}"
        ) from None
