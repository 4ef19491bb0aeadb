"""Checks of the service: it is installed and runs, what its daemon reports, and that it can read its files."""

from collections.abc import Iterator, Mapping

from device.daemon.status import Status
from device.doctor.findings import Finding, Verdict
from device.errors import ServiceError
from device.service import systemctl
from device.service.file_modes import describe_wrong_mode, readable_by_all
from device.service.install import installed_paths
from device.service.systemctl import NAME, UNIT_FILE
from device.service.unit import check_environment, executable_of

_TOPIC = "service"
_FILES = "service files"
_INSTALL = "sudo edge-mcnn service install"


def check_service(daemon: Status | None, *, within: bool = False) -> Iterator[Finding]:
    """Report the state of the service, and of the daemon if one runs.

    Args:
        daemon: the status of the running daemon; None if no daemon responds.
        within: whether this process belongs to the service, which then runs, whatever its user may query.
    """
    try:
        properties = systemctl.service_properties()
    except ServiceError as error:
        if within:
            yield _with_daemon(daemon, "running", "")
            yield from _check_files()
            yield from _check_environment()
        else:
            yield _with_daemon(daemon, error.message, error.fix)
        return
    if properties.get("LoadState") != "loaded":
        yield _with_daemon(daemon, "not installed", f"to start it with this machine: {_INSTALL}")
    elif properties["ActiveState"] != "active":
        state = f"{properties['ActiveState']} ({properties['SubState']})"
        message = f"{state}, restarted {properties['NRestarts']} times"
        last, fix = systemctl.last_error() or ("", "")
        again = f"see the log: journalctl -u {NAME} -n 20; then: sudo systemctl restart {NAME}"
        message = f"{message}; its last error: {last}" if last else message
        yield Finding(_TOPIC, Verdict.FAIL, message, f"{fix}; {again}" if fix else again)
    else:
        yield _active(properties, daemon)
    if properties.get("LoadState") == "loaded":
        yield from _check_files()
        yield from _check_environment()


def _check_files() -> Iterator[Finding]:
    """Report files whose owner or mode differs from what the installation sets, such as after an unusual umask."""
    wrong = [path for path in installed_paths() if describe_wrong_mode(path)]
    if not wrong:
        return
    closed = next((path for path in wrong if not readable_by_all(path)), None)
    first = closed or wrong[0]
    message = f"{first} is {describe_wrong_mode(first)}"
    message += f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    message += "; the service, which runs as a separate user, cannot read it" if closed else ""
    yield Finding(_FILES, Verdict.FAIL if closed else Verdict.WARN, message, f"run: {_INSTALL}")


def _check_environment() -> Iterator[Finding]:
    """Report a Python environment that the service cannot read, or that was moved."""
    try:
        executable = executable_of(UNIT_FILE.read_text("utf-8"))
        if executable is not None:
            check_environment(executable)
    except OSError:
        return  # the unit is somewhere else, or its mode is reported above
    except ServiceError as error:
        yield Finding(_FILES, Verdict.FAIL, error.message, error.fix or f"run: {_INSTALL}")


def _active(properties: Mapping[str, str], daemon: Status | None) -> Finding:
    message = f"running, restarted {properties['NRestarts']} times"
    if properties["UnitFileState"] != "enabled":
        message += f", but {properties['UnitFileState']}: it does not start with this machine"
        return Finding(_TOPIC, Verdict.WARN, message, f"run: sudo systemctl enable {NAME}")
    if daemon is None:
        fix = f"wait until it has started; if it still does not respond, see journalctl -u {NAME} -n 20"
        return Finding(_TOPIC, Verdict.WARN, f"{message}, but its daemon does not respond", fix)
    return _with_daemon(daemon, message, "")


def _with_daemon(daemon: Status | None, message: str, fix: str) -> Finding:
    """Add what the daemon reports, if one runs."""
    if daemon is None:
        return Finding(_TOPIC, Verdict.OK, message, fix)
    message += f"; process {daemon.pid} "
    if daemon.state != "healthy":
        message += f"is {daemon.state}{f': {daemon.reason}' if daemon.reason else ''}"
        return Finding(_TOPIC, Verdict.WARN, message, fix or daemon.fix)
    message += f"listens to {daemon.microphone}, {daemon.utterances} predictions"
    if daemon.blocks_dropped:
        message += f", {daemon.blocks_dropped} audio blocks dropped"
        slow = "this machine is too slow, see: edge-mcnn benchmark"
        return Finding(_TOPIC, Verdict.WARN, message, slow)
    return Finding(_TOPIC, Verdict.OK, message, fix)
