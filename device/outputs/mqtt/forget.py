"""Removes a device from a broker, and with that from Home Assistant, which otherwise shows it without end."""

import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from device.errors import PublishingError
from device.outputs.mqtt.client import broker_address, client_id, device_name, new_client, topic_name
from device.outputs.mqtt.discovery import config_topics
from device.outputs.mqtt.leftovers import announcements, filters
from device.outputs.mqtt.login import LIMIT_S, log_in
from device.outputs.mqtt.topics import Topics
from device.settings.schema import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_QUIET_S = 0.5
"""Seconds without a message after which the broker has sent all that it retains."""
_MOST = 2000
"""Number of messages that are removed; a device has about thirty."""
_STEP_S = 0.05


@dataclass(frozen=True)
class Forgotten:
    """What was removed."""

    device: str
    """Name of the device in topics."""
    broker: str
    """Host and port of the broker."""
    messages: int
    """Number of retained messages that the broker had of the device, and no longer has."""
    online: bool
    """Whether the device is running; it publishes all of them again when it connects the next time."""


def forget(settings: MqttSettings, limit_s: float = LIMIT_S) -> Forgotten:
    """Remove everything that a broker retains of a device: what Home Assistant discovers, and the states.

    What the broker has is looked up, so that entities of other models and of earlier versions go, too.

    Args:
        settings: settings under `[mqtt]`; its device is the one to remove.
        limit_s: seconds allowed for each of: resolving the broker's name, connecting to it, and each response.

    Raises:
        PublishingError: the settings name no broker, it cannot be used, or it still has messages of the device.
    """
    if not settings.host:
        raise PublishingError(
            "mqtt.host is empty, so there is no broker to remove this device from",
            fix="name the settings file of the device, such as --config /etc/edge-mcnn/config.toml",
        )
    # Discovery may have been turned off since then.
    settings = replace(settings, discovery_prefix=settings.discovery_prefix or MqttSettings().discovery_prefix)
    topics = Topics(settings.topic_prefix, topic_name(device_name(settings)))
    name = f"{client_id(topics.device)}-forget-{secrets.token_hex(2)}"
    client = new_client(settings, name, lambda _line: None)
    broker = broker_address(settings)
    failure = log_in(settings, client, limit_s)
    try:
        if failure is not None:
            raise PublishingError(f"{broker} {failure.message}", fix=failure.fix)
        session = _Session(client, broker, limit_s)
        subscriptions = filters(topics, settings.discovery_prefix)
        found = session.retained(subscriptions)
        # Also without the right to read what is there.
        everything = {*found, *topics.retained, *config_topics(topics, settings.discovery_prefix)}
        session.clear(first := announcements(everything, settings.discovery_prefix))
        session.wait_for_quiet()  # until Home Assistant has removed the entities
        session.clear(everything - first)
        if left := session.retained(subscriptions):
            raise PublishingError(
                f"{broker} still has {len(left)} of {len(found)} messages of {topics.device}, such as {min(left)}",
                fix="let the broker accept messages with these topics from this user, or stop the device if it runs",
            )
    finally:
        client.disconnect()
        client.on_message = client.on_publish = client.on_subscribe = None  # these hold the client, and its sockets
    return Forgotten(topics.device, broker, len(found), found.get(topics.availability) == b"online")


class _Session:
    """A connection for a moment; its client is run by the calls here alone."""

    def __init__(self, client: "Client", broker: str, limit_s: float) -> None:
        self._client = client
        self._broker = broker
        self._limit_s = limit_s
        self._found: dict[str, bytes] = {}
        self._events = 0
        self._acknowledged: set[int] = set()
        self._subscribed: set[int] = set()
        client.on_message = self._on_message
        client.on_publish = lambda _client, _data, number, _reason, _properties: self._acknowledged.add(number)
        client.on_subscribe = lambda _client, _data, number, _reasons, _properties: self._subscribed.add(number)

    def retained(self, subscriptions: Collection[str]) -> dict[str, bytes]:
        """Everything that the broker retains and this user may read, by topic."""
        self._found = {}
        _, number = self._client.subscribe([(each, 1) for each in subscriptions])
        self._run(lambda: number in self._subscribed)
        self.wait_for_quiet()
        self._client.unsubscribe(list(subscriptions))
        return self._found

    def clear(self, topics: Collection[str]) -> None:
        """Replace the retained messages by nothing, and wait until the broker has done it."""
        numbers = {self._client.publish(topic, b"", qos=1, retain=True).mid for topic in topics}
        self._run(lambda: numbers <= self._acknowledged)

    def wait_for_quiet(self) -> None:
        """Wait until no message has arrived for a moment."""
        end = time.monotonic() + self._limit_s
        seen, quiet_at = self._events, time.monotonic() + _QUIET_S
        while time.monotonic() < min(quiet_at, end):
            self._client.loop(_STEP_S)
            if self._events != seen:
                seen, quiet_at = self._events, time.monotonic() + _QUIET_S

    def _on_message(self, _client: "Client", _data: Any, message: Any) -> None:
        self._events += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no topic of a device
            return
        usable = "+" not in topic and "#" not in topic  # as sent by every broker that works
        if usable and message.retain and message.payload and len(self._found) < _MOST:
            self._found[topic] = message.payload

    def _run(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + self._limit_s
        while not done():
            if self._client.loop(_STEP_S) != 0 or time.monotonic() >= end:
                raise PublishingError(
                    f"{self._broker} does not respond any more", fix="check the broker, and run the command again"
                )
