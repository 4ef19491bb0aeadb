"""Answers for an MQTT broker: kept while it is away, and told to Home Assistant.

Everything that may take long is done by two threads, one of paho's that keeps the connection and one of ours that
hands over answers, one at a time until each is acknowledged.
"""

import errno
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from device.outputs.json_lines import as_line
from device.outputs.mqtt.client import client_id, device_name, hangs_up, new_client, port, topic_name, where, why
from device.outputs.mqtt.discovery import Topics, discovery
from device.outputs.outbox import Outbox
from device.outputs.publishers import Table, without_words
from device.settings.schema import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_BOUND = 1000
_NAME = "mqtt"
_KEEPALIVE_S = 30
_RETRY_S = (1, 60)
"""After a failure, twice as long each time."""
_NO_NETWORK = (errno.EAFNOSUPPORT, errno.ENETUNREACH, errno.EPERM)


class MqttPublisher:
    """One device at one broker.

    Args:
        settings: of the broker.
        announce: is told, in a line, when the broker is reached and when it is lost.

    Raises:
        PublishingError: paho-mqtt is missing, a file cannot be used, or the settings contradict each other.
    """

    def __init__(self, settings: MqttSettings, announce: Callable[[str], None]) -> None:
        name = device_name(settings)
        self._settings = settings
        self._announce = announce
        self._topics = Topics(settings.topic_prefix, topic_name(name))
        self._discovery = discovery(self._topics, name, settings.discovery_prefix) if settings.discovery_prefix else {}
        self._client = new_client(settings, client_id(self._topics.device), announce)
        self._client.reconnect_delay_set(*_RETRY_S)
        self._client.will_set(self._topics.availability, "offline", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._outbox = Outbox(_NAME, self._deliver, announce, bound=_BOUND, held=True)
        self._changed = threading.Condition()
        self._connected = self._closing = self._opened = False
        self._deadline = float("inf")
        self._acknowledged: set[int] = set()
        self._answered = self._heard = False
        self._troubles: set[str] = set()

    def open(self) -> None:
        """Begin to look for the broker."""
        self._opened = True
        self._client.connect_async(self._settings.host, port(self._settings), _KEEPALIVE_S)
        self._client.loop_start()
        self._outbox.open()

    def publish(self, table: Table) -> None:
        """Publish this answer when the broker is there, after those before it."""
        self._outbox.put(table)

    def microphone(self, *, heard: bool) -> None:
        """Publish that it is there or away; of what happens while the broker is away, only how it is then."""
        with self._changed:  # so that the last word is the true one
            self._heard = heard
            if self._connected:
                self._tell_microphone()

    def close(self, limit_s: float) -> None:
        """Publish what waits if the broker is there, say that this device is offline, and leave."""
        if not self._opened:
            return
        with self._changed:
            self._deadline = time.monotonic() + limit_s
            self._closing = True
            self._changed.notify_all()
        self._outbox.close(limit_s)
        if self._connected:
            # Goes out before the farewell, or neither does, and then the last will says it.
            self._hand_over(self._topics.availability, "offline", retain=True)
        self._client.disconnect()  # ends paho's thread, which may sit in a call that lasts: it is not waited for

    def _deliver(self, table: Table) -> bool:
        shown = table if self._settings.words else without_words(table)
        return self._hand_over(self._topics.prediction, as_line(dict(shown)))

    def _hand_over(self, topic: str, payload: str, *, retain: bool = False) -> bool:
        """Publish, and wait until the broker has it; over a loss of the connection paho repeats it."""
        with self._changed:
            self._acknowledged.clear()
        number = self._client.publish(topic, payload, qos=1, retain=retain).mid
        with self._changed:
            while number not in self._acknowledged:
                if self._closing and (not self._connected or time.monotonic() >= self._deadline):
                    return False
                self._changed.wait(self._deadline - time.monotonic() if self._closing else None)
        return True

    def _tell_microphone(self) -> None:
        self._client.publish(self._topics.microphone, "ON" if self._heard else "OFF", qos=0, retain=True)

    # Called by paho's thread, which an exception would end.

    def _on_connect(self, client: "Client", _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._answered = True
        if reason.is_failure:
            self._tell_trouble(f"refuses us ({reason})")
            return
        with self._changed:
            if self._closing:  # who said now that it is there would leave without a word
                client.disconnect()
                return
            # Not acknowledged: if the connection is lost meanwhile, all of it is said again on the next one.
            for topic, payload in self._discovery.items():
                client.publish(topic, payload, qos=0, retain=True)
            client.publish(self._topics.availability, "online", qos=0, retain=True)
            self._tell_microphone()
            self._connected = True
        self._outbox.hold(held=False)
        self._troubles.clear()
        self._announce(f"{_NAME}: {where(self._settings)} is told each answer, as {self._topics.prediction}")

    def _on_connect_fail(self, _client: "Client", _data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles it, and does not pass it on
        told = why(error)
        if getattr(error, "errno", None) in _NO_NETWORK:
            told += "; is this the service? It may use the network after `edge-mcnn service install`"
        self._tell_trouble(f"cannot be reached ({told})")

    def _on_disconnect(self, _client: "Client", _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        answered, self._answered = self._answered, False
        with self._changed:
            was_connected, self._connected = self._connected, False
            self._changed.notify_all()
        self._outbox.hold(held=True)
        if self._closing:
            return
        if was_connected:
            self._tell_trouble("is lost")
        elif not answered:
            self._tell_trouble(hangs_up(self._settings))

    def _on_publish(self, _client: "Client", _data: Any, number: int, _reason: Any, _properties: Any) -> None:
        with self._changed:
            self._acknowledged.add(number)
            self._changed.notify_all()

    def _tell_trouble(self, trouble: str) -> None:
        if trouble not in self._troubles:  # told once, until it is reached again
            self._troubles.add(trouble)
            kept = f"it is tried again, and the last {_BOUND} answers are kept"
            self._announce(f"{_NAME}: {where(self._settings)} {trouble}; {kept}")
