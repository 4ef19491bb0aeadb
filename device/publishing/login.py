"""Who this device is at a broker: a name that topics can carry, an id that no other device has, and a password."""

import hashlib
import re
import socket
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

from device.errors import PublishingError
from device.settings import MqttSettings

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
        raise PublishingError(f"mqtt.device is {name!r}; topics need a name with letters (a to z) or digits in it")
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
