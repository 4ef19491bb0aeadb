"""Checks of the outputs besides the lights: the MQTT broker, and the user's own program.

The check connects to the broker and disconnects again, without publishing anything; it does not run the program.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from device.doctor.findings import Finding, Verdict
from device.errors import PublishingError
from device.outputs.mqtt.client import (
    broker_address,
    client_id,
    device_name,
    new_client,
    topic_name,
)
from device.outputs.mqtt.login import LIMIT_S, log_in
from device.outputs.mqtt.topics import Topics
from device.service import systemctl
from device.settings.broker import doubts
from device.settings.schema import MqttSettings, PublishSettings
from device.system.display import displayable, shell_quoted
from device.system.paths import error_about, file_problem

_BROKER, _COMMAND = "broker", "command"
_BUFFERED = "until it is reachable, the daemon keeps the latest predictions for it"


def check_broker(settings: MqttSettings, limit_s: float = LIMIT_S) -> Iterator[Finding]:
    """Check that the broker accepts this device, with a client id that does not disconnect a running daemon.

    What the daemon retries is a warning, since a broker may be switched off; what can never work is a failure.

    Args:
        settings: the broker and how to log in.
        limit_s: seconds allowed for each step.
    """
    try:
        device = topic_name(device_name(settings))
        client = new_client(settings, f"{client_id(device)}-doctor-{secrets.token_hex(2)}", lambda _: None)
    except PublishingError as error:
        # Of the files that `new_client` reads, the password file is the first.
        denied = isinstance(error.__context__, PermissionError)
        fix = _unreadable_password_fix(settings) if denied else ""
        yield Finding(_BROKER, Verdict.FAIL, error.message, fix or error.fix)
        return
    failure = log_in(settings, client, limit_s)
    client.disconnect()
    if failure is not None:
        verdict = Verdict.FAIL if failure.lasting else Verdict.WARN
        fix = failure.fix if failure.lasting else f"{failure.fix}; {_BUFFERED}"
        yield Finding(_BROKER, verdict, f"{broker_address(settings)} {failure.message}", fix)
    else:
        topic = Topics(settings.topic_prefix, device).prediction
        user = f" as {displayable(settings.user)}" if settings.user else ""
        message = f"{broker_address(settings)} accepts the connection{user}; predictions go to {topic}"
        yield Finding(_BROKER, Verdict.OK, message)
    for doubt in doubts(asdict(settings)):
        yield Finding(_BROKER, Verdict.WARN, doubt.message, doubt.fix)
    yield from _check_password_file(settings)
    if systemctl.UNIT_FILE.exists() and not systemctl.NETWORK_DROP_IN.exists():
        message = "the service was installed without a broker and has no network access"
        fix = "to let the service publish, run: sudo edge-mcnn service install"
        yield Finding(_BROKER, Verdict.WARN, message, fix)


def check_command(settings: PublishSettings) -> Iterator[Finding]:
    """Check that the program exists and that the system would run it."""
    name = settings.command[0]
    found = shutil.which(name)
    if found is None:
        path = Path(name)
        problem = file_problem(path) if "/" in name else None
        if problem is not None:
            fix = "put the program there, or change publish.command"
            found_problem = error_about(path, problem, PublishingError, fix=fix)
            yield Finding(_COMMAND, Verdict.FAIL, found_problem.message, found_problem.fix)
        elif "/" in name:
            yield Finding(_COMMAND, Verdict.FAIL, f"{name} is not executable", f"run: chmod +x {shell_quoted(name)}")
        else:
            message = f"there is no program {name!r} on the PATH"
            yield Finding(_COMMAND, Verdict.FAIL, message, "use its absolute path in publish.command")
        return
    yield _check_executable(Path(found)) or Finding(_COMMAND, Verdict.OK, found)


def _check_password_file(settings: MqttSettings) -> Iterator[Finding]:
    path = Path(settings.password_file).expanduser()
    if settings.password_file and path.stat().st_mode & stat.S_IROTH:
        message = f"mqtt.password_file: every user of this machine can read {displayable(path)}"
        yield Finding(_BROKER, Verdict.WARN, message, f"run: chmod o-r {shell_quoted(path)}")


def _unreadable_password_fix(settings: MqttSettings) -> str:
    path = Path(settings.password_file).expanduser()
    if not settings.password_file or os.access(path, os.R_OK) or not os.access(path, os.F_OK):
        return ""
    return "the service can read it through systemd; to check with the service's rights: sudo edge-mcnn doctor"


def _check_executable(program: Path) -> Finding | None:
    """Return a finding if the system cannot start this file, although it has permission to."""
    try:
        with program.open("rb") as file:
            first = file.readline(256)
    except OSError:  # a file may be executable without being readable
        return None
    if first.startswith(b"\x7fELF"):
        return None
    if not first.startswith(b"#!") or not first[2:].split():
        message = f"{program} is neither a binary nor a script with an interpreter line"
        return Finding(_COMMAND, Verdict.FAIL, message, "add a first line with the interpreter, such as #!/bin/sh")
    if first.endswith(b"\r\n"):
        message = f"{program} has Windows line endings, with which no script starts"
        return Finding(_COMMAND, Verdict.FAIL, message, f"run: sed -i 's/\\r$//' {program}")
    interpreter = first[2:].split()[0].decode(errors="replace")
    if shutil.which(interpreter) is None:
        message = f"{program} needs the interpreter {interpreter}, which is not installed"
        return Finding(_COMMAND, Verdict.FAIL, message, "install it, or correct the first line of the script")
    return None
