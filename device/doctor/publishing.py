"""Checks of the outputs besides the lights: the MQTT broker, and the user's own program.

The check connects to the broker and disconnects again, without publishing anything; it does not run the program.
"""

import os
import secrets
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.doctor.findings import Finding, Verdict
from device.errors import PublishingError
from device.outputs.mqtt.client import (
    broker_address,
    client_id,
    device_name,
    end_of_tls,
    new_client,
    topic_name,
)
from device.outputs.mqtt.client import port as port_of
from device.outputs.mqtt.discovery import Topics
from device.outputs.mqtt.failures import (
    Failure,
    closed_without_response,
    connection_failure,
    no_response,
    not_mqtt,
    refusal,
    unresolved,
)
from device.service import systemctl
from device.settings.broker import doubts
from device.settings.schema import MqttSettings, PublishSettings
from device.system.display import displayable, shell_quoted
from device.system.paths import error_about, file_problem

if TYPE_CHECKING:
    from paho.mqtt.client import Client

LIMIT_S = 5.0
"""Seconds allowed for each of: resolving the broker's name, connecting to it, and its response."""
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
    failure = _resolve(settings, limit_s) or _connect(settings, client, limit_s)
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


def _resolve(settings: MqttSettings, limit_s: float) -> Failure | None:
    """Resolve the host name of the broker; return why that fails."""
    results: list[OSError | None] = []

    def resolve() -> None:
        try:
            socket.getaddrinfo(settings.host, port_of(settings), type=socket.SOCK_STREAM)
        except OSError as error:
            results.append(error)
        else:
            results.append(None)

    # `getaddrinfo` has no time limit, and may take half a minute.
    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(limit_s)
    if not results:
        return unresolved(settings, f"no response within {limit_s:g} s")
    return None if results[0] is None else connection_failure(results[0], settings)


def _connect(settings: MqttSettings, client: "Client", limit_s: float) -> Failure | None:
    """Connect to the broker, log in and disconnect; return why any of that fails."""
    reasons: list[Any] = []
    ends: list[Any] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: reasons.append(reason)
    client.on_disconnect = lambda _client, _data, _flags, reason, _properties: ends.append(reason)
    client.connect_timeout = limit_s
    try:
        client.connect(settings.host, port_of(settings))
    except (OSError, ValueError) as error:
        return connection_failure(error, settings)
    end = time.monotonic() + limit_s
    connected = True
    while connected and not reasons and time.monotonic() < end:
        connected = client.loop(0.1) == 0
    client.disconnect()
    if reasons:
        return refusal(reasons[0], settings) if reasons[0].is_failure else None
    if connected:
        return no_response(limit_s)
    if "Protocol error" in map(str, ends):
        return not_mqtt()
    return closed_without_response(settings, end_of_tls(settings, limit_s) if settings.tls else None)


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
