"""How a device identifies itself to an MQTT broker and connects to it; errors are in plain words.

A device has a name that topics can carry, a client id that no other device has, and a password. The daemon and
`edge-mcnn doctor` both use this.
"""

import hashlib
import re
import socket
import ssl
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from device.errors import PublishingError
from device.settings.schema import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_MACHINE_ID = Path("/etc/machine-id")


def port(settings: MqttSettings) -> int:
    """TCP port of the broker: the one in the settings, else the standard one with or without TLS."""
    return settings.port or (8883 if settings.tls else 1883)


def broker_address(settings: MqttSettings) -> str:
    """Host and port of the broker, for messages."""
    return f"{settings.host}:{port(settings)}"


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
    fix = "write the password into that file, or set mqtt.password_file to another one"
    try:
        if path.stat().st_mode & stat.S_IROTH:
            announce(f"mqtt.password_file: everyone on this machine can read {path}; run: chmod o-r {path}")
        content = path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise PublishingError(f"mqtt.password_file: {path} cannot be read ({error.strerror})", fix=fix) from None
    except UnicodeDecodeError:
        raise PublishingError(f"mqtt.password_file: {path} is not text in UTF-8", fix=fix) from None
    if not content:
        raise PublishingError(f"mqtt.password_file: {path} is empty", fix=fix)
    return content


def new_client(settings: MqttSettings, name: str, announce: Callable[[str], None]) -> "Client":
    """A client with user, password and TLS as in the settings; it does not connect yet.

    Args:
        settings: settings under `[mqtt]`.
        name: client id that no other client of the broker has: the broker disconnects the other one.
        announce: prints a line about settings that work, but should be changed.

    Raises:
        PublishingError: paho-mqtt is missing, a file cannot be used, or the settings contradict each other.
    """
    for setting, value in asdict(settings).items():
        _check_text(setting, str(value))
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion  # since 2.0
    except ImportError:
        raise PublishingError(
            "mqtt.host is set, but paho-mqtt 2 is not installed", fix="run: pip install 'edge-mcnn[mqtt]'"
        ) from None
    try:
        settings.host.encode("idna")
    except UnicodeError:
        raise PublishingError(
            f"mqtt.host is {settings.host!r}, which cannot be the name of a host",
            fix="set mqtt.host to the name or IP address of the broker",
        ) from None
    client = Client(CallbackAPIVersion.VERSION2, name)
    if settings.user:
        client.username_pw_set(settings.user, password(settings, announce))
    elif settings.password_file:
        password(settings, announce)
    if settings.tls:
        authority = Path(settings.ca_file).expanduser() if settings.ca_file else None
        fix = "set mqtt.ca_file to the PEM file of the authority that signed the broker's certificate"
        try:
            client.tls_set(str(authority) if authority else None)
        except ssl.SSLError:
            raise PublishingError(f"mqtt.ca_file: {authority} is not a certificate in PEM format", fix=fix) from None
        except OSError as error:
            raise PublishingError(f"mqtt.ca_file: {authority} cannot be read ({error.strerror})", fix=fix) from None
    elif settings.ca_file:
        raise PublishingError(
            "mqtt.ca_file is set, but mqtt.tls is false, so no certificate would be checked",
            fix="set mqtt.tls to true, or remove mqtt.ca_file",
        )
    return client


def connection_failure(error: BaseException | None) -> str:
    """Why the broker cannot be reached, from the exception that `Client.connect` raises."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"it does not use TLS: {error.reason or error}"
    if isinstance(error, TimeoutError):  # with TLS its text names a line of C
        return "timed out"
    return getattr(error, "strerror", None) or str(error)


def _check_text(setting: str, value: str) -> None:
    """Refuse bytes that are not text: an environment variable may hold them, an MQTT message may not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PublishingError(
            f"mqtt.{setting} is {value!r}, which is not text in UTF-8", fix=f"set mqtt.{setting} to UTF-8 text"
        ) from None
