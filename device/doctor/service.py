"""The service: installed, started, and what the daemon in it says of itself."""

from collections.abc import Iterator, Mapping

from device.daemon.status import Status
from device.doctor.findings import Finding, Verdict
from device.errors import ServiceError
from device.service import systemctl
from device.service.systemctl import NAME

_INSTALL = "sudo edge-mcnn service install"


def state(daemon: Status | None) -> Iterator[Finding]:
    """How the service is.

    Args:
        daemon: the one that runs.
    """
    try:
        says = systemctl.service_properties()
    except ServiceError as error:
        yield _with(daemon, error.message, error.fix)
        return
    if says.get("LoadState") != "loaded":
        yield _with(daemon, "not installed", f"to start with this machine: {_INSTALL}")
    elif says["ActiveState"] != "active":
        told = f"{says['ActiveState']} ({says['SubState']}), restarted {says['NRestarts']} times"
        mend = f"why, says journalctl -u {NAME} -n 20; then: sudo systemctl restart {NAME}"
        yield Finding("service", Verdict.BAD, told, mend)
    else:
        yield _active(says, daemon)


def _active(says: Mapping[str, str], daemon: Status | None) -> Finding:
    told = f"runs, restarted {says['NRestarts']} times"
    if says["UnitFileState"] != "enabled":
        told += f", but is {says['UnitFileState']}: it does not start with this machine"
        return Finding("service", Verdict.WARNING, told, f"run: sudo systemctl enable {NAME}")
    if daemon is None:
        mend = f"is it starting? Else journalctl -u {NAME} -n 20 says why"
        return Finding("service", Verdict.WARNING, f"{told}, and does not answer", mend)
    return _with(daemon, told, "")


def _with(daemon: Status | None, told: str, mend: str) -> Finding:
    """With what a daemon says, if one runs."""
    if daemon is None:
        return Finding("service", Verdict.GOOD, told, mend)
    told += f"; process {daemon.pid} "
    if daemon.state != "healthy":
        told += f"is {daemon.state}{f': {daemon.reason}' if daemon.reason else ''}"
        return Finding("service", Verdict.WARNING, told, mend)
    told += f"hears {daemon.microphone}, has answered {daemon.utterances} times"
    if daemon.blocks_dropped:
        slow = "this machine does not keep up, see: edge-mcnn benchmark"
        return Finding("service", Verdict.WARNING, f"{told}, and dropped {daemon.blocks_dropped} blocks of sound", slow)
    return Finding("service", Verdict.GOOD, told, mend)
