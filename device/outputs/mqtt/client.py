"""How a device identifies itself to an MQTT broker and logs in.

A device has a name that topics can carry, a client id that no other device has, and a password. The daemon and
`edge-mcnn doctor` both use this.
"""

import contextlib
import hashlib
import re
import socket
import ssl
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.errors import PublishingError
from device.outputs.mqtt.failures import UnusablePasswordError
from device.settings.broker import PORT, TLS_PORT, doubts
from device.settings.check import problems
from device.settings.schema import MqttSettings
from device.system.display import displayable, shell_quoted

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_MACHINE_ID = Path("/etc/machine-id")
_BOARD = Path("/proc/device-tree/serial-number")
"""Serial number of a Raspberry Pi: two with copies of one SD card have the same machine id."""
_LONGEST_PASSWORD = 65_535
"""Bytes that MQTT can send as a password."""


def port(settings: MqttSettings) -> int:
    """TCP port of the broker: the one in the settings, else the standard one with or without TLS."""
    return settings.port or (TLS_PORT if settings.tls else PORT)


def broker_address(settings: MqttSettings) -> str:
    """Host and port of the broker, for messages."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{displayable(host)}:{port(settings)}"


def device_name(settings: MqttSettings) -> str:
    """Name of this device for people: the one in the settings, else the host name."""
    return settings.device.strip() or socket.gethostname()


def topic_name(name: str) -> str:
    """The name with nothing in it but ASCII letters, digits, - and _.

    Raises:
        PublishingError: no character is left.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")
    if not cleaned:
        raise PublishingError(
            f"mqtt.device is {name!r}, of which topics can carry no character",
            fix="set mqtt.device to a name with letters (a to z) or digits in it",
        )
    return cleaned


def client_id(device: str) -> str:
    """MQTT client id, the same after a restart and different on every machine.

    Because it stays the same, the broker knows that the previous connection is dead. Otherwise the last will of that
    connection would be published when this one is online already.
    """
    try:
        machine = _MACHINE_ID.read_bytes()
    except OSError:
        machine = b""
    return f"edge-mcnn-{device}-{hashlib.sha256(b'edge-mcnn' + machine).hexdigest()[:8]}"


def machine() -> str:
    """Id of this machine, the same under every name of the device; empty if the machine has none.

    It is a hash, from which neither the machine id nor the serial number of the board can be computed.
    """
    try:
        own = _MACHINE_ID.read_bytes()
    except OSError:
        return ""
    board = b""
    with contextlib.suppress(OSError):
        board = _BOARD.read_bytes()
    return hashlib.sha256(b"edge-mcnn machine" + own + board).hexdigest()[:16]


def password(settings: MqttSettings, announce: Callable[[str], None]) -> str | None:
    """Content of the password file without its line end; None if the settings name no file.

    Args:
        settings: settings under `[mqtt]`.
        announce: prints a line if every user of this machine can read the file.

    Raises:
        PublishingError: the file cannot be read or is empty, or there is no user name for the password.
    """
    if not settings.password_file:
        return None
    if not settings.user:
        raise PublishingError(
            "mqtt.password_file is set, but mqtt.user is not", fix="set mqtt.user to the user of that password"
        )
    path = Path(settings.password_file).expanduser()
    shown = displayable(path)
    fix = "write the password into that file, or set mqtt.password_file to another one"
    try:
        mode = path.stat().st_mode
        if mode & stat.S_IROTH:
            announce(
                f"mqtt.password_file: everyone on this machine can read {shown}; run: chmod o-r {shell_quoted(path)}"
            )
        if not stat.S_ISREG(mode):  # reading a pipe may never return
            raise PublishingError(f"mqtt.password_file: {shown} is not a file", fix=fix)
        with path.open("rb") as file:
            content = file.read(_LONGEST_PASSWORD + 3).rstrip(b"\r\n").decode()
    except OSError as error:
        raise PublishingError(f"mqtt.password_file: {shown} cannot be read ({error.strerror})", fix=fix) from None
    except UnicodeDecodeError:
        raise PublishingError(f"mqtt.password_file: {shown} is not text in UTF-8", fix=fix) from None
    if not content:
        raise PublishingError(f"mqtt.password_file: {shown} is empty", fix=fix)
    if len(content.encode()) > _LONGEST_PASSWORD:
        raise PublishingError(f"mqtt.password_file: {shown} is too long for a password", fix=fix)
    return content


def new_client(settings: MqttSettings, name: str, announce: Callable[[str], None]) -> "Client":
    """A client with user, password and TLS as in the settings; it does not connect yet.

    It reads the password file again before each attempt to connect. If that fails, the attempt does, with
    `UnusablePasswordError`.

    Args:
        settings: settings under `[mqtt]`.
        name: client id that no other client of the broker has: the broker disconnects the other one.
        announce: prints a line about settings that work, but should be changed.

    Raises:
        PublishingError: paho-mqtt is missing, a file cannot be used, or the settings contradict each other.
    """
    for problem in problems({"mqtt": asdict(settings)}):
        raise PublishingError(problem.message, fix=problem.fix)
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion  # since 2.0
    except ImportError:
        raise PublishingError(
            "mqtt.host is set, but paho-mqtt 2 is not installed", fix="run: pip install 'edge-mcnn[mqtt]'"
        ) from None
    for doubt in doubts(asdict(settings)):
        announce(f"{doubt.message}; {doubt.fix}")
    client = Client(CallbackAPIVersion.VERSION2, name)
    if settings.user:
        client.username_pw_set(settings.user, password(settings, announce))

        def log_in(client: "Client", _data: Any) -> None:
            try:
                client.username_pw_set(settings.user, password(settings, lambda _line: None))
            except PublishingError as error:
                raise UnusablePasswordError(error) from None

        client.on_pre_connect = log_in
    if settings.tls:
        client.tls_set_context(_tls_context(settings))
    return client


def end_of_tls(settings: MqttSettings, limit_s: float) -> OSError | None:
    """The error with which a broker ends a TLS connection on which nothing is sent; None if there is none.

    With TLS 1.3 a broker checks the certificate of a client after the client's side of the handshake is complete. A
    client that sends its login at once usually gets a broken connection before it can read why.

    Args:
        settings: settings under `[mqtt]`, with TLS.
        limit_s: seconds allowed for each of the connection, its handshake and the wait for its end.
    """
    try:
        with (
            socket.create_connection((settings.host, port(settings)), limit_s) as connection,
            _tls_context(settings).wrap_socket(connection, server_hostname=settings.host) as secure,
        ):
            secure.recv(1)
    except OSError as error:
        return error
    except PublishingError:  # the certificate of the authority was removed meanwhile
        return None
    return None


def _tls_context(settings: MqttSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not settings.ca_file:
        context.load_default_certs()
        return context
    authority = Path(settings.ca_file).expanduser()
    shown = displayable(authority)
    fix = "set mqtt.ca_file to the PEM file of the authority that signed the broker's certificate"
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError:
        raise PublishingError(f"mqtt.ca_file: {shown} is not a certificate in PEM format", fix=fix) from None
    except OSError as error:
        raise PublishingError(f"mqtt.ca_file: {shown} cannot be read ({error.strerror})", fix=fix) from None
    return context
