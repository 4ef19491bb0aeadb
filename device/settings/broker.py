"""The MQTT broker in the settings: its host, topics and names, and settings that contradict each other."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_DEVICE = 128
"""Most characters in the name of a device."""
LONGEST_TOPIC = 65_535
"""Most bytes in a complete topic, as UTF-8; MQTT sends the length as two bytes."""
_ROOM = 2 * LONGEST_DEVICE
"""Bytes of a topic that are needed after its prefix."""
PORT, TLS_PORT = 1883, 8883
"""Standard ports of brokers without and with TLS."""
_ADDRESS_OF_BROKER = "set mqtt.host to the name or IP address of the broker"
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_PLAIN, _SECURE = {"mqtt", "tcp"}, {"mqtts", "ssl", "tls", "tcps"}
_LONGEST_NAME, _LONGEST_LABEL = 253, 63


@dataclass(frozen=True)
class Mistake:
    """Something under `[mqtt]` that cannot work, or that works and is probably not meant."""

    message: str
    """What is wrong, with the setting and its value."""
    fix: str = ""
    """What the user can do about it; empty if `instead` contains it."""
    instead: Mapping[str, Any] = field(default_factory=dict)
    """Values under `[mqtt]` that are probably meant, by key."""
    key: str = ""
    """The key under `[mqtt]` that the mistake is about; empty if the caller checked a single one."""


def host_mistakes(host: str) -> Iterator[Mistake]:
    """Check the host name or IP address of a broker; yields at most one mistake. No name is looked up.

    An IPv6 address needs no brackets, and may end in a zone such as `%eth0`.
    """
    if host == "" or _is_host(host):
        return
    shown = f"mqtt.host is {_without_password(host)!r}"
    stripped = host.strip()
    if url := _URL.fullmatch(stripped):
        yield _url_mistake(shown, url["scheme"].lower(), url["rest"])
        return
    instead = _parts(stripped)
    if instead is None:
        yield _not_a_host(shown, stripped)
    elif "port" in instead:
        yield Mistake(f"{shown}, which includes a port", instead=instead)
    elif "user" in instead:
        yield Mistake(f"{shown}, which includes a user", instead=instead)
    elif "[" in stripped:
        yield Mistake(f"{shown}, with brackets that only a URL needs", instead=instead)
    elif "/" in stripped:
        yield Mistake(f"{shown}, which includes a path", instead=instead)
    elif host == stripped:
        yield Mistake(f"{shown}, which ends with a colon", instead=instead)
    else:
        yield Mistake(f"{shown}, with spaces around it", instead=instead)


def topic_mistakes(name: str, topic: str) -> Iterator[Mistake]:
    """Check a prefix of topics; yields at most one mistake.

    Args:
        name: full name of the setting, such as `mqtt.topic_prefix`.
        topic: its value; empty text is checked by the caller.
    """
    shown = f"{name} is {_shortened(topic)!r}"
    fix = f"set {name} to words with / between them, such as home/lamps"
    longest = LONGEST_TOPIC - _ROOM
    if (reason := _not_text(topic)) is not None:
        yield Mistake(f"{shown}, {reason}", fix)
    elif "+" in topic or "#" in topic:
        yield Mistake(f"{shown}, and + and # are only for subscriptions", fix)
    elif topic.startswith("$"):
        yield Mistake(f"{shown}, and topics that begin with $ belong to the broker itself", fix)
    elif "" in topic.split("/"):
        instead = "/".join(filter(None, topic.split("/")))
        where = "begins with /" if topic.startswith("/") else "ends with /" if topic.endswith("/") else "contains //"
        key = name.rpartition(".")[2]
        yield Mistake(f"{shown}, which {where}", fix, {key: instead} if instead else {})
    elif len(topic.encode()) > longest:
        yield Mistake(f"{shown}, which has {len(topic.encode())} bytes, and a topic may have {longest}", fix)


def text_mistakes(name: str, value: str) -> Iterator[Mistake]:
    """Check a user or device name, which must be text in UTF-8 without control characters; yields at most one mistake.

    Args:
        name: full name of the setting, such as `mqtt.device`.
        value: its value.
    """
    reason = _not_text(value)
    if reason is None and name == "mqtt.device" and len(value) > LONGEST_DEVICE:
        reason = f"which has {len(value)} characters, and a device name may have {LONGEST_DEVICE}"
    if reason is not None:
        kind = "text in UTF-8" if "UTF-8" in reason else "a short text without control characters"
        yield Mistake(f"{name} is {_shortened(value)!r}, {reason}", f"set {name} to {kind}")


def contradictions(table: Mapping[str, Any]) -> Iterator[Mistake]:
    """Check settings under `[mqtt]` that exclude each other.

    Args:
        table: values by key; a missing key has its default. Without a host nothing is checked: nothing is published.
    """
    if not table.get("host"):
        return
    if table.get("password_file") and not table.get("user"):
        message = "mqtt.password_file is set, but mqtt.user is not"
        yield Mistake(message, "set mqtt.user to the user of that password", key="password_file")
    if table.get("ca_file") and not table.get("tls"):
        message = "mqtt.ca_file is set, but mqtt.tls is false, so no certificate would be checked"
        yield Mistake(message, "set mqtt.tls to true, or remove mqtt.ca_file", key="ca_file")
    if table.get("corrections") and not table.get("commands", True):
        message = "mqtt.corrections is true, and mqtt.commands is false, so no correction would be accepted"
        yield Mistake(message, "set mqtt.commands to true, or mqtt.corrections to false", key="corrections")


def doubts(table: Mapping[str, Any]) -> Iterator[Mistake]:
    """Find settings under `[mqtt]` that may work, but are probably not meant.

    Args:
        table: values by key; a missing key has its default. Without a host nothing is checked: nothing is published.
    """
    if not table.get("host"):
        return
    tls, port = bool(table.get("tls")), table.get("port")
    if tls and port == PORT:
        message = f"mqtt.tls is true, and mqtt.port is {PORT}, which is the usual port without TLS"
        yield Mistake(message, f"set mqtt.port to the broker's port for TLS, usually {TLS_PORT}", key="port")
    if not tls and port == TLS_PORT:
        message = f"mqtt.tls is false, and mqtt.port is {TLS_PORT}, which is the usual port for TLS"
        yield Mistake(message, f"set mqtt.tls to true, or mqtt.port to {PORT}", key="port")


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is, with the zone of an IPv6 address; None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_host(host: str) -> bool:
    address = ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return bool(address.scope_id) or not address.is_link_local
    return address is not None or _name_problem(host) is None


def _name_problem(name: str) -> str | None:
    """Why a text cannot be the name of a host; None if it can."""
    if (reason := _not_text(name)) is not None:
        return reason
    try:
        ascii_name = name.encode("idna").decode()
    except UnicodeError:
        ascii_name = name
    labels = ascii_name.removesuffix(".").split(".")
    if "" in labels:
        return "in which a part between two dots is empty"
    if len(ascii_name) > _LONGEST_NAME or any(len(label) > _LONGEST_LABEL for label in labels):
        return f"and a name has at most {_LONGEST_NAME} characters, {_LONGEST_LABEL} between two dots"
    if not all(re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?", label) for label in labels):
        return "which cannot be the name of a host"
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", labels[-1]):  # as no name ends; some systems guess an address
        return "which is not a complete IPv4 address"
    return None


def _not_a_host(shown: str, host: str) -> Mistake:
    if isinstance(ip_address(host), ipaddress.IPv6Address):  # a link-local one, without its zone
        message = f"{shown}, which is an address in the network of one interface, and the interface is missing"
        return Mistake(message, f'add the interface that leads to the broker, such as "{host}%eth0" or "{host}%wlan0"')
    if re.search(r"[^:]:\d+$", host):
        return Mistake(f"{shown}, which includes a port that is not from 1 to 65535", _ADDRESS_OF_BROKER)
    return Mistake(f"{shown}, {_name_problem(host) or 'which cannot be the name of a host'}", _ADDRESS_OF_BROKER)


def _parts(text: str) -> dict[str, Any] | None:
    """The values of `host`, and of `user` and `port` if the text has them: `[user[:password]@]host[:port][/path]`.

    Returns:
        The values by key; None if there is no host in the text.
    """
    found: dict[str, Any] = {}
    user, _, rest = text.rpartition("@")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", authority)
    plain = re.fullmatch(r"([^:]*)(?::(\d*))?", authority)
    if bracketed:
        host, port = bracketed[1].replace("%25", "%"), bracketed[2]
    elif ip_address(authority) is not None:
        host, port = authority, None
    elif plain:
        host, port = plain[1].strip(), plain[2]
    else:
        return None
    if not host or not _is_host(host) or (port and not 0 < int(port) <= 65_535):
        return None
    found["host"] = host
    if port:
        found["port"] = int(port)
    if user:
        found["user"] = user.partition(":")[0]
    return found


def _url_mistake(shown: str, scheme: str, rest: str) -> Mistake:
    instead = _parts(rest)
    if instead is None:
        return Mistake(f"{shown}, which is a URL", _ADDRESS_OF_BROKER)
    if scheme in _SECURE:
        instead["tls"] = True
    elif scheme not in _PLAIN:  # the port of a web page or a WebSocket is not the port of the broker
        instead.pop("port", None)
    return Mistake(f"{shown}, which is a URL", instead=instead)


def _not_text(value: str) -> str | None:
    """Why a text cannot be sent in an MQTT message; None if it can."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "which is not text in UTF-8"
    if any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in value):
        return "which contains a control character"
    return None


def _without_password(host: str) -> str:
    """The host as the settings give it, with the password of a URL hidden: messages may be logged."""
    return _shortened(re.sub(r"^(\s*(?:[A-Za-z0-9+.-]+://)?[^:@/]*:).*(@)", r"\1***\2", host, flags=re.DOTALL))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."  # a line of a terminal
