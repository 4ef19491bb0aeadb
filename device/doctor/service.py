"""Check of the service: whether it is installed and runs, and what its daemon reports about itself."""

from collections.abc import Iterator, Mapping

from device.daemon.status import Status
from device.doctor.findings import Finding, Verdict
from device.errors import ServiceError
from device.service import systemctl
from device.service.systemctl import NAME

_TOPIC = "service"
_INSTALL = "sudo edge-mcnn service install"


def check_service(daemon: Status | None) -> Iterator[Finding]:
    """Report the state of the service, and of the daemon if one runs.

    Args:
        daemon: the status of the running daemon; None if no daemon responds.
    """
    try:
        properties = systemctl.service_properties()
    except ServiceError as error:
        yield _with_daemon(daemon, error.message, error.fix)
        return
    if properties.get("LoadState") != "loaded":
        yield _with_daemon(daemon, "not installed", f"to start it with this machine: {_INSTALL}")
    elif properties["ActiveState"] != "active":
        state = f"{properties['ActiveState']} ({properties['SubState']})"
        message = f"{state}, restarted {properties['NRestarts']} times"
        fix = f"see the reason in journalctl -u {NAME} -n 20; then: sudo systemctl restart {NAME}"
        yield Finding(_TOPIC, Verdict.FAIL, message, fix)
    else:
        yield _active(properties, daemon)


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
        return Finding(_TOPIC, Verdict.WARN, message, fix)
    message += f"listens to {daemon.microphone}, {daemon.utterances} predictions"
    if daemon.blocks_dropped:
        message += f", {daemon.blocks_dropped} audio blocks dropped"
        slow = "this machine is too slow, see: edge-mcnn benchmark"
        return Finding(_TOPIC, Verdict.WARN, message, slow)
    return Finding(_TOPIC, Verdict.OK, message, fix)
