"""Predictions for an MQTT broker and Home Assistant; they are stored while the broker is away.

Everything that may take long is done by two threads: paho's keeps the connection, and the outbox's hands over
predictions, one at a time, until the broker has acknowledged each.
"""

import errno
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from device.audio.liveness import Liveness, State
from device.events import Prediction
from device.outputs.json_lines import Table, as_line, as_table, without_words
from device.outputs.mqtt.client import (
    broker_address,
    client_id,
    connection_failure,
    device_name,
    new_client,
    port,
    topic_name,
)
from device.outputs.mqtt.discovery import Topics, discovery
from device.outputs.outbox import Outbox
from device.settings.schema import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_BOUND = 1000
_NAME = "mqtt"
_KEEPALIVE_S = 30
_RETRY_S = (1, 60)
"""Seconds before the first and before the last new attempt to connect; each wait is twice as long as the one before."""
_NO_NETWORK = (errno.EAFNOSUPPORT, errno.ENETUNREACH, errno.EPERM)


class MqttOutput:
    """One device at one broker.

    Args:
        settings: settings under `[mqtt]`.
        announce: prints a line when the broker is connected and when the connection is lost.

    Raises:
        PublishingError: paho-mqtt is missing, a file cannot be used, or the settings contradict each other.
    """

    name = _NAME

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
        self._outbox: Outbox[Table] = Outbox(_NAME, self._deliver, announce, bound=_BOUND, held=True)
        self._changed = threading.Condition()
        self._connected = self._closing = self._opened = False
        self._deadline = float("inf")
        self._acknowledged: set[int] = set()
        self._responded = self._healthy = False
        self._reported: set[str] = set()

    def open(self, labels: Sequence[str]) -> None:
        """Start to connect to the broker; see `Output.open`."""
        del labels  # Home Assistant learns them from the predictions
        self._opened = True
        self._client.connect_async(self._settings.host, port(self._settings), _KEEPALIVE_S)
        self._client.loop_start()
        self._outbox.open()

    def prediction(self, prediction: Prediction, lit_at: float) -> None:
        """Publish this prediction when the broker is connected, after those before it; see `Output.prediction`."""
        self._outbox.put(as_table(prediction, lit_at))

    def microphone(self, liveness: Liveness) -> None:
        """Publish whether the microphone gives audio; after a time without broker, only the present state."""
        if liveness.state == State.RECOVERING:
            return  # it is about to be healthy or lost, and that is published
        with self._changed:  # so that the last message is the true one
            self._healthy = liveness.state == State.HEALTHY
            if self._connected:
                self._publish_microphone()

    def close(self, limit_s: float) -> None:
        """Publish what is waiting if the broker is connected, then that this device is offline; see `Output.close`."""
        if not self._opened:
            return
        with self._changed:
            self._deadline = time.monotonic() + limit_s
            self._closing = True
            self._changed.notify_all()
        self._outbox.close(limit_s)
        if self._connected:
            # Sent before the disconnect message, or neither is, and then the last will is published.
            self._hand_over(self._topics.availability, "offline", retain=True)
        self._client.disconnect()  # ends paho's thread, which may be in a call that lasts: it is not waited for

    def _deliver(self, table: Table) -> bool:
        shared = table if self._settings.words else without_words(table)
        return self._hand_over(self._topics.prediction, as_line(shared))

    def _hand_over(self, topic: str, payload: str, *, retain: bool = False) -> bool:
        """Publish, and wait until the broker has it; when the connection is lost, paho repeats it."""
        with self._changed:
            self._acknowledged.clear()
        number = self._client.publish(topic, payload, qos=1, retain=retain).mid
        with self._changed:
            while number not in self._acknowledged:
                if self._closing and (not self._connected or time.monotonic() >= self._deadline):
                    return False
                self._changed.wait(self._deadline - time.monotonic() if self._closing else None)
        return True

    def _publish_microphone(self) -> None:
        self._client.publish(self._topics.microphone, "ON" if self._healthy else "OFF", qos=0, retain=True)

    # Called by paho's thread, which an exception would end.

    def _on_connect(self, client: "Client", _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._responded = True
        if reason.is_failure:
            self._report(f"refuses the connection ({reason})")
            return
        with self._changed:
            if self._closing:  # a device that goes online now would leave without going offline
                client.disconnect()
                return
            # Not acknowledged: if the connection is lost meanwhile, all of it is published again on the next one.
            for topic, payload in self._discovery.items():
                client.publish(topic, payload, qos=0, retain=True)
            client.publish(self._topics.availability, "online", qos=0, retain=True)
            self._publish_microphone()
            self._connected = True
        self._outbox.hold(held=False)
        self._reported.clear()
        self._announce(f"{_NAME}: connected to {broker_address(self._settings)}, publishing {self._topics.prediction}")

    def _on_connect_fail(self, _client: "Client", _data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the error, and does not pass it on
        reason = connection_failure(error)
        if getattr(error, "errno", None) in _NO_NETWORK:
            reason += "; if this is the service, `edge-mcnn service install` allows it to use the network"
        self._report(f"cannot be reached ({reason})")

    def _on_disconnect(self, _client: "Client", _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        responded, self._responded = self._responded, False
        with self._changed:
            was_connected, self._connected = self._connected, False
            self._changed.notify_all()
        self._outbox.hold(held=True)
        if self._closing:
            return
        if was_connected:
            self._report("is disconnected")
        elif not responded:
            tls = str(not self._settings.tls).lower()
            self._report(f"closes the connection without a response (try mqtt.tls = {tls})")

    def _on_publish(self, _client: "Client", _data: Any, number: int, _reason: Any, _properties: Any) -> None:
        with self._changed:
            self._acknowledged.add(number)
            self._changed.notify_all()

    def _report(self, problem: str) -> None:
        if problem not in self._reported:  # each problem once, until the broker is connected again
            self._reported.add(problem)
            retry = f"it is tried again, and the last {_BOUND} predictions are stored until then"
            self._announce(f"{_NAME}: {broker_address(self._settings)} {problem}; {retry}")
