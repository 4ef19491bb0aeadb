"""Logs in to a broker for a moment, within a limit: to check it, or to remove from it what a device left there."""

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from device.outputs.mqtt.client import end_of_tls, port
from device.outputs.mqtt.failures import (
    Failure,
    closed_without_response,
    connection_failure,
    no_response,
    not_mqtt,
    refusal,
    unresolved,
)
from device.settings.schema import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

LIMIT_S = 5.0
"""Seconds allowed for each of: resolving the broker's name, connecting to it, and its response."""


def log_in(settings: MqttSettings, client: "Client", limit_s: float = LIMIT_S) -> Failure | None:
    """Connect to the broker and log in; the caller runs the client's loop, and disconnects.

    Args:
        settings: settings under `[mqtt]`.
        client: a new client for them, see `device.outputs.mqtt.client.new_client`.
        limit_s: seconds allowed for each step.

    Returns:
        Why it fails; None if the broker has accepted the login.
    """
    return _resolve(settings, limit_s) or _connect(settings, client, limit_s)


def _resolve(settings: MqttSettings, limit_s: float) -> Failure | None:
    """Resolve the host name of the broker; return why that fails."""
    results: list[OSError | None] = []

    def resolve() -> None:
        try:
            socket.getaddrinfo(settings.host, port(settings), type=socket.SOCK_STREAM)
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
    """Connect to the broker and log in; return why any of that fails."""
    reasons: list[Any] = []
    ends: list[Any] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: reasons.append(reason)
    client.on_disconnect = lambda _client, _data, _flags, reason, _properties: ends.append(reason)
    client.connect_timeout = limit_s
    try:
        client.connect(settings.host, port(settings))
    except (OSError, ValueError) as error:
        return connection_failure(error, settings)
    end = time.monotonic() + limit_s
    connected = True
    while connected and not reasons and time.monotonic() < end:
        connected = client.loop(0.1) == 0
    if reasons:
        return refusal(reasons[0], settings) if reasons[0].is_failure else None
    if connected:
        return no_response(limit_s)
    if "Protocol error" in map(str, ends):
        return not_mqtt()
    return closed_without_response(settings, end_of_tls(settings, limit_s) if settings.tls else None)
