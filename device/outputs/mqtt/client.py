"""How a broker is reached, as the settings say, and in words why not: for the daemon, and for who looks after it."""

import ssl
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from device.errors import PublishingError
from device.settings.schema import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client
import hashlib
import re
import socket
import stat
import unicodedata


def port(settings: MqttSettings) -> int:
    """Of the broker."""
    return settings.port or (8883 if settings.tls else 1883)


def where(settings: MqttSettings) -> str:
    """The broker, in words."""
    return f"{settings.host}:{port(settings)}"


def new_client(settings: MqttSettings, name: str, announce: Callable[[str], None]) -> "Client":
    """Who is to connect to the broker, with user, password and TLS; it does not yet.

    Args:
        settings: of the broker.
        name: its id, which no other client of that broker has: the broker throws the other one out.
        announce: is told, in a line, what had better be put right.

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
        raise PublishingError(f"mqtt.host is {settings.host!r}, which cannot be the name of a host") from None
    client = Client(CallbackAPIVersion.VERSION2, name)
    if settings.user:
        client.username_pw_set(settings.user, password(settings, announce))
    elif settings.password_file:
        password(settings, announce)
    if settings.tls:
        authority = Path(settings.ca_file).expanduser() if settings.ca_file else None
        try:
            client.tls_set(str(authority) if authority else None)
        except ssl.SSLError:
            raise PublishingError(f"mqtt.ca_file: {authority} is no certificate in PEM format") from None
        except OSError as error:
            raise PublishingError(f"mqtt.ca_file: {authority} cannot be read ({error.strerror})") from None
    elif settings.ca_file:
        raise PublishingError("mqtt.ca_file is set, but mqtt.tls is false, so nothing would be proven")
    return client


def why(error: BaseException | None) -> str:
    """Why the broker cannot be reached, of what `Client.connect` raises."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with it: {error.reason or error}"
    if isinstance(error, TimeoutError):  # of TLS it names a line of C
        return "timed out"
    return getattr(error, "strerror", None) or str(error)


def hangs_up(settings: MqttSettings) -> str:
    """What is to be said of a broker that does, before it has answered."""
    return f"hangs up without an answer; does it want tls = {str(not settings.tls).lower()}?"


def _check_text(setting: str, value: str) -> None:
    """A variable of the environment may hold any bytes, a message may not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PublishingError(f"mqtt.{setting} is {value!r}, which is not text in UTF-8") from None


_MACHINE_ID = Path("/etc/machine-id")


def device_name(settings: MqttSettings) -> str:
    """As it was given, for people."""
    return settings.device.strip() or socket.gethostname()


def topic_name(name: str) -> str:
    """The name with nothing in it but letters of ASCII, digits, - and _.

    Raises:
        PublishingError: none is left.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")
    if not cleaned:
        raise PublishingError(
            f"mqtt.device is {name!r}", fix="topics need a name with letters (a to z) or digits in it"
        )
    return cleaned


def client_id(device: str) -> str:
    """The same after a restart, so that the broker knows that the connection before it is dead; no other machine's.

    Otherwise the last will of that connection would come when this one is online already.
    """
    try:
        machine = _MACHINE_ID.read_bytes()
    except OSError:
        machine = b""
    return f"edge-mcnn-{device}-{hashlib.sha256(b'edge-mcnn' + machine).hexdigest()[:8]}"


def password(settings: MqttSettings, announce: Callable[[str], None]) -> str | None:
    """What the password file holds, without the end of its line; None without such a file.

    Raises:
        PublishingError: it cannot be read, is empty, or nobody is named whose password it is.
    """
    if not settings.password_file:
        return None
    if not settings.user:
        raise PublishingError("mqtt.password_file is set, but mqtt.user is not: whose password is it?")
    path = Path(settings.password_file).expanduser()
    try:
        if path.stat().st_mode & stat.S_IROTH:
            announce(f"mqtt.password_file: everyone on this machine can read {path}; run: chmod o-r {path}")
        content = path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise PublishingError(f"mqtt.password_file: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise PublishingError(f"mqtt.password_file: {path} is not text in UTF-8") from None
    if not content:
        raise PublishingError(f"mqtt.password_file: {path} is empty")
    return content
