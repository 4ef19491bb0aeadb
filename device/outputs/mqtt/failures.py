"""Why a broker cannot be used, and the fix: one failure for each cause, the same in the log and in `edge-mcnn doctor`.

OpenSSL's errors are instances of `OSError`, but their numbers are not those of the system: an untrusted certificate
has the number of "operation not permitted". They are recognised by their type, before any number is looked at.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device.errors import PublishingError
from device.settings.broker import PORT, TLS_PORT, ip_address
from device.settings.schema import MqttSettings
from device.system.display import displayable

_SERVICE_RUNTIME_DIRECTORY = "/run/edge-mcnn"
"""`RUNTIME_DIRECTORY` in the environment of the service."""
_INTERFACES = Path("/proc/self/net/dev")
_FORBIDDEN = (errno.EPERM, errno.EACCES)
_NO_NETWORK = (errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_OPEN_THE_SANDBOX = "to let the service use the network, run: sudo edge-mcnn service install"
_CHECK_HOST = "check mqtt.host, or use the broker's IP address"

# Numbers of OpenSSL's X509_V_ERR_* constants, which Python does not name; see x509_vfy.h.
_ISSUER_MISSING = (2, 19, 20, 21, 27)
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _REVOKED, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 18, 23, 62, 64
_TOO_WEAK = (66, 67, 68)

# Reasons of `ssl.SSLError`, as OpenSSL 1.1 to 3 name them.
_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_NO_COMMON_VERSION = ("UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW")
_CLIENT_CERTIFICATE = ("ALERT_CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_NO_CERTIFICATE")
_ENDS_EARLY = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


@dataclass(frozen=True)
class Failure:
    """Why a broker cannot be used."""

    message: str
    """What is wrong; a sentence whose subject is the broker."""
    fix: str
    """What the user can do about it; empty if it is likely to pass by itself."""
    lasting: bool = False
    """Whether it never passes by itself, unlike a broker that is switched off."""


def unresolved(settings: MqttSettings, reason: str) -> Failure:
    """The host name of the broker has no address, or its name server does not respond.

    Args:
        settings: settings under `[mqtt]`.
        reason: why, in words.
    """
    fix = _CHECK_HOST
    if settings.host.endswith(".local"):
        fix += "; names in .local need: sudo apt-get install libnss-mdns"
    return Failure(f"cannot be reached: its name cannot be resolved ({displayable(reason)})", fix)


def connection_failure(error: BaseException | None, settings: MqttSettings) -> Failure:
    """Why no connection to the broker is made.

    Args:
        error: the exception that `Client.connect` raises.
        settings: settings under `[mqtt]`.
    """
    if isinstance(error, UnusablePasswordError):
        return Failure(f"is not connected, because the login is incomplete: {error.error.message}", error.error.fix)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_failure(error, settings)
    if isinstance(error, ssl.SSLError) and not isinstance(error, _ENDS_EARLY):
        return _tls_failure(error, settings)
    if settings.tls and isinstance(error, _ENDS_EARLY):
        return _no_tls("closes the connection when TLS begins")
    if isinstance(error, socket.gaierror):
        return _name_failure(error, settings)
    if isinstance(error, TimeoutError) and "handshake" in str(error):
        return _no_tls("accepts the connection, but does not respond to TLS", lasting=False)
    return _system_failure(error, settings)


def closed_without_response(settings: MqttSettings, error: BaseException | None = None) -> Failure:
    """Why the broker closes a connection that it has accepted, instead of responding to the login.

    Args:
        settings: settings under `[mqtt]`.
        error: the error with which TLS ends, if that is known.
    """
    if isinstance(error, ssl.SSLError) and not isinstance(error, _ENDS_EARLY):  # TLS 1.3 reports some faults only now
        return _tls_failure(error, settings)
    message = "closes the connection without a response to the login"
    if settings.tls:
        fix = "check that mqtt.port is its port for MQTT with TLS, and read the broker's log"
    else:
        fix = f"if mqtt.port is its port for TLS, set mqtt.tls to true; without TLS the port is usually {PORT}"
    return Failure(message, fix, lasting=True)


def ended(reason: Any) -> Failure:
    """The broker ended a connection that worked; `reason` is paho's `ReasonCode` for it."""
    if "Keep alive" in str(reason):
        return Failure("is disconnected: it has not responded for a while", "")
    return Failure("is disconnected", "")


def no_response(limit_s: float) -> Failure:
    """The broker accepts the connection, and does not respond to the login within this number of seconds."""
    message = f"accepts the connection, but does not respond within {limit_s:g} s"
    return Failure(message, "check mqtt.port: is this the port of the broker?")


def not_mqtt() -> Failure:
    """What listens at that port does not speak MQTT."""
    message = "does not respond as an MQTT broker"
    return Failure(message, "check mqtt.host and mqtt.port: does another program use this port?", lasting=True)


def refusal(reason: Any, settings: MqttSettings) -> Failure:
    """Why the broker refuses the login.

    Args:
        reason: paho's `ReasonCode` of the broker's response: one of MQTT 5, or the equivalent of one of MQTT 3.1.1.
        settings: settings under `[mqtt]`.
    """
    message = f"refuses the connection ({displayable(reason)})"
    fix, lasting = _REFUSALS.get(reason.value, _UNKNOWN_REFUSAL)
    return Failure(message, fix(settings), lasting)


def short_connections(times: int) -> Failure:
    """The broker ended several connections in a row soon after it had accepted them."""
    message = f"ended {times} connections in a row shortly after it had accepted them"
    fix = (
        "if another device has the same mqtt.device, perhaps because its SD card is a copy, change it on one of them; "
        "else read the broker's log: this user may lack the right to publish"
    )
    return Failure(message, fix)


class UnusablePasswordError(OSError):
    """The password file cannot be used now; an `OSError`, so that paho tries again later as for any failed attempt."""

    def __init__(self, error: PublishingError) -> None:
        super().__init__(str(error))
        self.error = error


def _certificate_failure(error: ssl.SSLCertVerificationError, settings: MqttSettings) -> Failure:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    code = error.verify_code
    trusted = f"in {displayable(settings.ca_file)}" if settings.ca_file else "among those that this system trusts"
    lasting = True
    if code in (_WRONG_NAME, _WRONG_ADDRESS):
        kind = "host name" if ip_address(settings.host) is None else "IP address"
        reason = f"its certificate is not for the {kind} {displayable(settings.host)}"
        fix = "set mqtt.host to a name or address in the certificate, or add this one to the certificate"
    elif code == _EXPIRED:
        reason = f"its certificate has expired; the clock of this machine shows {now}"
        fix = "renew the broker's certificate; or set the clock, if it is wrong: timedatectl"
    elif code == _NOT_YET_VALID:
        reason = f"its certificate is not valid yet; the clock of this machine shows {now}"
        fix = "set the clock, which a Raspberry Pi loses without power, or wait until it is synchronised: timedatectl"
        lasting = False
    elif code == _SELF_SIGNED:
        reason = f"its certificate is self-signed, and is not {trusted}"
        fix = "set mqtt.ca_file to a copy of the broker's certificate in PEM format"
    elif code in _ISSUER_MISSING:
        reason = f"the authority that signed its certificate is not {trusted}"
        fix = "set mqtt.ca_file to the PEM file of that authority; the broker must send all certificates below it"
    elif code in _TOO_WEAK:
        reason = f"its certificate is too weak for this system: {displayable(error.verify_message)}"
        fix = "make a new certificate with RSA of 2048 bits or more, and SHA-256"
    elif code == _REVOKED:
        reason, fix = "its certificate has been revoked", "renew the broker's certificate"
    else:
        reason = f"its certificate is not accepted: {displayable(error.verify_message)}"
        fix = "renew the broker's certificate, or set mqtt.ca_file to the PEM file of the authority that signed it"
    return Failure(f"cannot be trusted: {reason}", fix, lasting)


def _tls_failure(error: ssl.SSLError, settings: MqttSettings) -> Failure:
    reason = (error.reason or "").replace("SSLV3_", "").replace("TLSV1_", "").replace("TLSV13_", "")
    shown = displayable((error.reason or str(error)).replace("_", " ").lower())
    if reason in _NO_TLS:
        return _no_tls("does not use TLS at this port")
    if reason in _NO_COMMON_VERSION:
        message = f"has no version of TLS in common with this machine ({shown})"
        return Failure(message, "update the broker, or enable TLS 1.2 or 1.3 in it", lasting=True)
    if reason in _CLIENT_CERTIFICATE:
        message = f"demands a client certificate ({shown}), which edge-mcnn does not support"
        fix = "let the broker accept devices without one (mosquitto: require_certificate false), and set mqtt.user"
        return Failure(message, fix, lasting=True)
    if "HANDSHAKE_FAILURE" in reason:
        message = f"refuses the TLS handshake ({shown})"
        fix = "read the broker's log: it demands a client certificate, or ciphers that this machine does not have"
        return Failure(message, fix, lasting=True)
    if "UNRECOGNIZED_NAME" in reason:
        message = f"does not accept the name {displayable(settings.host)} ({shown})"
        return Failure(message, "set mqtt.host to the name in its certificate", lasting=True)
    return Failure(f"cannot be reached with TLS ({shown})", "read the broker's log, and check its certificate", True)


def _no_tls(message: str, *, lasting: bool = True) -> Failure:
    fix = f"set mqtt.port to its port for TLS, usually {TLS_PORT}; without TLS set mqtt.tls to false"
    return Failure(message, fix, lasting)


def _name_failure(error: socket.gaierror, settings: MqttSettings) -> Failure:
    reason = error.strerror or str(error)
    if _without_network():
        return _no_permission(reason)
    failure = unresolved(settings, reason)
    if error.errno != socket.EAI_AGAIN:
        return failure
    fix = "check the network connection and the name server of this machine, or use the broker's IP address"
    return Failure(failure.message, f"{fix}{failure.fix.removeprefix(_CHECK_HOST)}")


def _system_failure(error: BaseException | None, settings: MqttSettings) -> Failure:
    """Why the system makes no connection, from an error with one of its own numbers."""
    number = error.errno if isinstance(error, OSError) else None
    # With TLS the text of a time-out names a line of C.
    reason = "timed out" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or str(error)
    message = f"cannot be reached ({displayable(reason)})"
    if isinstance(error, ConnectionRefusedError):
        fix = "check that the broker runs, listens at this port, and not only for programs on its own machine"
        return Failure(message, fix)
    if isinstance(error, TimeoutError):
        return Failure(message, "check that the broker is on and in this network, and that no firewall blocks its port")
    if number in (errno.EHOSTUNREACH, errno.EHOSTDOWN):
        return Failure(message, "check that the broker is on, and in this network")
    if number in _FORBIDDEN or number in _NO_NETWORK:
        if _without_network() or (_in_service() and number in _FORBIDDEN):
            return _no_permission(reason)
        if number in _FORBIDDEN:
            return Failure(message, "allow the connection in the firewall or the sandbox of this machine")
        if number == errno.EAFNOSUPPORT:
            return Failure(message, "use another address of the broker: this machine has no such network protocol")
        return Failure(message, "connect this machine to the network of the broker, or check its address: ip address")
    if number == errno.EINVAL and ":" in settings.host:
        return Failure(message, "check the interface after % in mqtt.host", lasting=True)
    return Failure(message, "check that the broker is on, and in this network")


def _no_permission(reason: str) -> Failure:
    return Failure(f"cannot be reached: the service has no permission for this network ({displayable(reason)})",
                   _OPEN_THE_SANDBOX, lasting=True)  # fmt: skip


def _in_service() -> bool:
    return os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] == _SERVICE_RUNTIME_DIRECTORY


def _without_network() -> bool:
    """Whether this is the service, in its sandbox without any network."""
    if not _in_service():
        return False
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
        interfaces = [line.partition(":")[0].strip() for line in _INTERFACES.read_text().splitlines()[2:]]
    except OSError:  # its kinds of addresses are restricted
        return True
    return set(interfaces) <= {"lo"}


def _login(settings: MqttSettings) -> str:
    if not settings.user:
        return "set mqtt.user and mqtt.password_file"
    if not settings.password_file:
        return "check mqtt.user, and set mqtt.password_file if that user has a password"
    if _is_credential(settings.password_file):
        fix = "correct mqtt.user or the content of the password file"
        return f"{fix}; the service reads it when it starts: sudo systemctl restart edge-mcnn"
    return f"correct mqtt.user or the password in {displayable(settings.password_file)}, which is read again each time"


def _is_credential(path: str) -> bool:
    """Whether a path is a copy that systemd made when the service started."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and Path(path).is_relative_to(str(folder))


def _permission(settings: MqttSettings) -> str:
    return f"{_login(settings)}; or let the broker accept this user and this device"


def _always(fix: str) -> Callable[[MqttSettings], str]:
    return lambda _settings: fix


_UNKNOWN_REFUSAL = (_always("read the broker's log"), True)
_REFUSALS: dict[int, tuple[Callable[[MqttSettings], str], bool]] = {
    0x80: _UNKNOWN_REFUSAL,
    0x84: (_always("update the broker: edge-mcnn uses MQTT 3.1.1"), True),
    0x85: (_always("set mqtt.device to a short name, and let the broker accept client ids with edge-mcnn-"), True),
    0x86: (_login, True),
    0x87: (_permission, True),
    0x88: (_always("check that the broker has finished starting, and read its log"), False),
    0x89: (_always("wait, or read the broker's log: it is overloaded"), False),
    0x8A: (_always("let the broker accept this device again: it has been banned"), True),
    0x8C: (_always("let the broker accept a user name and a password"), True),
    0x97: (_always("raise the broker's quota, or remove other devices"), False),
    0x9C: (_always("set mqtt.host to the server that replaces it; the broker's log names it"), True),
    0x9D: (_always("set mqtt.host to the server that replaces it; the broker's log names it"), True),
    0x9F: (_always("wait: this device connects more often than the broker allows"), False),
}
"""Fix of each refusal, from the settings, and whether it is lasting; by the number of the reason in MQTT 5."""
