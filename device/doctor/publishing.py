"""Where answers go besides the lights: the MQTT broker, and the program of the user's.

The broker is connected to and left again; nothing is published, and the program is not run.
"""

import os
import secrets
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.doctor.findings import Finding, Verdict
from device.errors import PublishingError
from device.outputs.mqtt.client import client_id, device_name, hangs_up, new_client, topic_name, where, why
from device.outputs.mqtt.client import port as port_of
from device.outputs.mqtt.discovery import Topics
from device.service import systemctl
from device.settings.schema import MqttSettings, PublishSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

LIMIT_S = 5.0
"""For each of: the name of the broker, a connection to it, its answer."""
_BROKER, _COMMAND = "broker", "command"
_KEPT = "until then the last answers are kept for it"


def broker(settings: MqttSettings, limit_s: float = LIMIT_S) -> Iterator[Finding]:
    """Whether the broker lets this device in, under a name that pushes no running daemon out.

    What the daemon goes on trying is a warning, since a broker may be away; what will never work is bad.
    """
    try:
        device = topic_name(device_name(settings))
        remarks: list[str] = []
        client = new_client(settings, f"{client_id(device)}-doctor-{secrets.token_hex(2)}", remarks.append)
    except PublishingError as error:
        told, _, mend = str(error).partition("; ")
        yield Finding(_BROKER, Verdict.BAD, told, mend or _may_read(settings))
        return
    finding = _resolved(settings, limit_s) or _let_in(settings, client, limit_s)
    if finding is not None:
        yield finding
    else:
        topic = Topics(settings.topic_prefix, device).prediction
        told = f"{where(settings)} lets us in{f' as {settings.user}' if settings.user else ''}; answers go to {topic}"
        yield Finding(_BROKER, Verdict.GOOD, told)
    for remark in remarks:
        told, _, mend = remark.partition("; ")
        yield Finding(_BROKER, Verdict.WARNING, told, mend)
    if systemctl.UNIT_FILE.exists() and not systemctl.NETWORK_DROP_IN.exists():
        mend = "if it is to publish, too, run again: sudo edge-mcnn service install"
        yield Finding(_BROKER, Verdict.WARNING, "the service was installed without a broker and has no network", mend)


def command(settings: PublishSettings) -> Iterator[Finding]:
    """Whether the program is there and the system would run it."""
    name = settings.command[0]
    found = shutil.which(name)
    if found is None:
        path = Path(name)
        if "/" in name and path.is_file():
            yield Finding(_COMMAND, Verdict.BAD, f"{name} may not be executed", f"run: chmod +x {name}")
        elif "/" in name:
            what = "is a folder" if path.is_dir() else "is not there"
            yield Finding(_COMMAND, Verdict.BAD, f"{name} {what}", "put the program there, or mend publish.command")
        else:
            told = f"there is no program {name!r} on the path"
            yield Finding(_COMMAND, Verdict.BAD, told, "give its whole path in publish.command")
        return
    yield _startable(Path(found)) or Finding(_COMMAND, Verdict.GOOD, found)


def _may_read(settings: MqttSettings) -> str:
    path = Path(settings.password_file).expanduser()
    if not settings.password_file or os.access(path, os.R_OK) or not os.access(path, os.F_OK):
        return ""
    return "the service may, to which systemd gives it; to look with its rights: sudo edge-mcnn doctor"


def _resolved(settings: MqttSettings, limit_s: float) -> Finding | None:
    """What is wrong with the name of the broker, if anything is."""
    ended: list[OSError | None] = []

    def resolve() -> None:
        try:
            socket.getaddrinfo(settings.host, port_of(settings), type=socket.SOCK_STREAM)
        except OSError as error:
            ended.append(error)
        else:
            ended.append(None)

    # It has no limit of its own, and may take half a minute.
    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(limit_s)
    if ended and ended[0] is None:
        return None
    reason = why(ended[0]) if ended else f"no answer within {limit_s:g} s"
    mend = "check mqtt.host, or write the broker's address there"
    if settings.host.endswith(".local"):
        mend += "; names in .local need: sudo apt-get install libnss-mdns"
    return Finding(_BROKER, Verdict.WARNING, f"{settings.host} is not found ({reason})", mend)


def _let_in(settings: MqttSettings, client: "Client", limit_s: float) -> Finding | None:
    """What keeps us out, if anything does."""
    answers: list[Any] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
    client.connect_timeout = limit_s
    try:
        client.connect(settings.host, port_of(settings))
    except (OSError, ValueError) as error:
        return _not_reached(settings, error)
    end = time.monotonic() + limit_s
    well = True
    while well and not answers and time.monotonic() < end:
        well = client.loop(0.1) == 0
    client.disconnect()
    if not answers:
        if well:
            told = f"{where(settings)} takes the call and says nothing within {limit_s:g} s"
            return Finding(_BROKER, Verdict.WARNING, told, "is that the port of the broker? See mqtt.port")
        return _bad(settings, hangs_up(settings))
    if not answers[0].is_failure:
        return None
    mend = f"check mqtt.user and what is in {settings.password_file}" if settings.password_file else ""
    return _bad(settings, f"refuses us ({answers[0]}); {mend or 'set mqtt.user and mqtt.password_file'}")


def _not_reached(settings: MqttSettings, error: Exception) -> Finding:
    told = f"{where(settings)} cannot be reached ({why(error)})"
    if isinstance(error, ssl.SSLCertVerificationError):
        mend = "set mqtt.ca_file to the certificate of who vouches for it, and mqtt.host to the name that is in it"
        return Finding(_BROKER, Verdict.BAD, told, mend)
    if isinstance(error, ssl.SSLError | ConnectionResetError):  # so does a broker that is asked for TLS and has none
        return Finding(_BROKER, Verdict.BAD, told, "its port for TLS is usually 8883; without TLS: tls = false")
    if isinstance(error, ConnectionRefusedError):
        return Finding(_BROKER, Verdict.WARNING, told, f"does the broker run, and at this port? If not, {_KEPT}")
    return Finding(_BROKER, Verdict.WARNING, told, f"is it on, and in this network? If not, {_KEPT}")


def _bad(settings: MqttSettings, trouble: str) -> Finding:
    told, _, mend = trouble.partition("; ")
    return Finding(_BROKER, Verdict.BAD, f"{where(settings)} {told}", mend)


def _startable(program: Path) -> Finding | None:
    """What would keep the system from starting a file that may be executed, if anything would."""
    try:
        with program.open("rb") as file:
            first = file.readline(256)
    except OSError:  # one may execute what one may not read
        return None
    if first.startswith(b"\x7fELF"):
        return None
    if not first.startswith(b"#!") or not first[2:].split():
        mend = "begin it with a line that says what runs it, such as #!/bin/sh"
        return Finding(_COMMAND, Verdict.BAD, f"{program} is no program, nor a script that says what runs it", mend)
    if first.endswith(b"\r\n"):
        told = f"{program} has the line ends of Windows, with which no script starts"
        return Finding(_COMMAND, Verdict.BAD, told, f"run: sed -i 's/\\r$//' {program}")
    interpreter = first[2:].split()[0].decode(errors="replace")
    if shutil.which(interpreter) is None:
        told = f"{program} is to be run by {interpreter}, which is not there"
        return Finding(_COMMAND, Verdict.BAD, told, "install that, or mend the first line")
    return None
