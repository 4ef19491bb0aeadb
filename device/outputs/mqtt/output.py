"""Predictions for an MQTT broker and Home Assistant; they are stored while the broker is away.

Everything that may take long is done by two threads: paho's keeps the connection, and the outbox's hands over
predictions, one at a time, until the broker has acknowledged each.
"""

import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from device.audio.liveness import Liveness, State
from device.errors import ProfileError
from device.events import Prediction
from device.outputs.commands import Commands
from device.outputs.corrections import CorrectionRequests, outcome
from device.outputs.json_lines import Table, as_line, as_table, without_words
from device.outputs.mqtt.client import (
    broker_address,
    client_id,
    device_name,
    end_of_tls,
    new_client,
    port,
    topic_name,
)
from device.outputs.mqtt.discovery import Topics, discovery
from device.outputs.mqtt.failures import (
    Failure,
    closed_without_response,
    connection_failure,
    ended,
    not_mqtt,
    refusal,
    short_connections,
)
from device.outputs.outbox import Outbox
from device.settings.schema import MqttSettings
from device.system.display import displayable, shortened

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from device.adaptation.adapted_classifier import Learnt

_BOUND = 1000
_NAME = "mqtt"
_KEEPALIVE_S = 30
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 1, 60
"""Seconds before the first and before the last new attempt to connect; each wait is twice as long as the one before."""
_STABLE_S = 60.0
"""Seconds after which a connection has worked: what is reported about the next one is reported in full."""
_SHORT_IN_A_ROW = 3
"""Number of connections in a row that were shorter, from which on this is reported, and the waits grow."""
_REPEAT_S = 3600.0
"""Seconds before the same problem is reported again."""
_TLS_LIMIT_S = 2.0
_LONGEST_CLASS = 1000
"""Bytes of the payload of a correction that are read."""
_NOT_CONNECTED = float("inf")


class MqttOutput:
    """One device at one broker.

    Args:
        settings: settings under `[mqtt]`.
        announce: prints a line when the broker is connected and when the connection is lost.
        commands: what messages may change, as far as the settings permit that; None if there is no daemon.

    Raises:
        PublishingError: paho-mqtt is missing, a file cannot be used, or the settings contradict each other.
    """

    name = _NAME

    def __init__(
        self, settings: MqttSettings, announce: Callable[[str], None], commands: Commands | None = None
    ) -> None:
        name = device_name(settings)
        self._settings = settings
        self._announce = announce
        self._topics = Topics(settings.topic_prefix, topic_name(name))
        self._name = name
        self._discovery: Mapping[str, str] = {}
        self._client = new_client(settings, client_id(self._topics.device), announce)
        self._set_shortest_wait(_SHORTEST_RETRY_S)
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
        self._connected_at = _NOT_CONNECTED
        self._short_connections = 0
        self._reported: dict[str, float] = {}
        self._connection_is_news = True
        self._labels: Sequence[str] = ()
        self._corrections: CorrectionRequests | None = None
        self._reported_corrections: set[str] = set()
        self._bad_payload = False
        if settings.corrections and commands is not None:
            self._corrections = CorrectionRequests(
                "corrections", commands.correct, self._on_learnt, self._on_not_learnt
            )
            self._client.on_subscribe = self._on_subscribe
            self._client.on_message = self._on_message

    def open(self, labels: Sequence[str]) -> None:
        """Start to connect to the broker; see `Output.open`."""
        if self._settings.discovery_prefix:
            self._discovery = discovery(self._topics, self._name, self._settings.discovery_prefix, labels)
        self._labels = labels
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
            self._report(refusal(reason, self._settings))
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
            if self._corrections is not None:
                client.subscribe(self._topics.correct, qos=1)
            self._connected = True
        self._connected_at = time.monotonic()
        self._failed_attempts = 0
        self._outbox.hold(held=False)
        if self._connection_is_news:
            self._connection_is_news = False
            where = f"{broker_address(self._settings)}, publishing {self._topics.prediction}"
            self._announce(f"{_NAME}: connected to {where}")

    def _on_connect_fail(self, _client: "Client", _data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the error, and does not pass it on
        self._report(connection_failure(error, self._settings))
        self._failed_attempts += 1

    def _on_disconnect(self, _client: "Client", _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        responded, self._responded = self._responded, False
        with self._changed:
            was_connected, self._connected = self._connected, False
            self._changed.notify_all()
        self._outbox.hold(held=True)
        if self._closing:
            return
        if was_connected:
            self._report_end(ended(reason))
        elif not responded:
            self._report(self._without_response(reason))
        self._failed_attempts += 1

    def _without_response(self, reason: Any) -> Failure:
        if "Protocol error" in str(reason):
            return not_mqtt()
        error = end_of_tls(self._settings, _TLS_LIMIT_S) if self._settings.tls else None
        return closed_without_response(self._settings, error)

    def _report_end(self, failure: Failure) -> None:
        """Report the end of a connection that worked; the shorter they are, the longer are the waits between them."""
        if time.monotonic() - self._connected_at >= _STABLE_S:
            self._short_connections = 0
            self._reported.clear()
            self._set_shortest_wait(_SHORTEST_RETRY_S)
        else:
            self._short_connections += 1
        if self._short_connections < _SHORT_IN_A_ROW:
            self._report(failure)
        else:
            exponent = min(self._short_connections - _SHORT_IN_A_ROW + 1, 6)
            self._set_shortest_wait(min(2**exponent, _LONGEST_RETRY_S))
            self._report(short_connections(self._short_connections))

    def _on_publish(self, _client: "Client", _data: Any, number: int, _reason: Any, _properties: Any) -> None:
        with self._changed:
            self._acknowledged.add(number)
            self._changed.notify_all()

    def _on_subscribe(self, _client: "Client", _data: Any, _number: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._report_correction(
                f"the broker refuses the subscription to {self._topics.correct}, so nothing is learnt from it; let the "
                "user read that topic"
            )

    def _on_message(self, _client: "Client", _data: Any, message: Any) -> None:
        if message.retain or self._corrections is None:
            return  # stored by the broker, it would correct another prediction than it was about
        label = message.payload[:_LONGEST_CLASS].decode(errors="replace").strip()
        if label in self._labels:
            self._corrections.put(label)
        elif not self._bad_payload:
            self._bad_payload = True
            self._announce(
                f"{_NAME}: {self._topics.correct} received {shortened(label)}, which is not a class of the model; "
                f"publish one of {', '.join(map(displayable, self._labels))}; this is reported once"
            )

    # Called by the thread of the corrections.

    def _on_learnt(self, label: str, learnt: "Learnt") -> None:
        self._announce(f"{_NAME}: {outcome(label, learnt)}")

    def _on_not_learnt(self, error: ProfileError) -> None:
        self._report_correction(str(error))

    def _report_correction(self, line: str) -> None:
        """Announce why nothing is learnt, each reason once: a broker may send messages without end."""
        if line not in self._reported_corrections:
            self._reported_corrections.add(line)
            self._announce(f"{_NAME}: {line}")

    def _set_shortest_wait(self, seconds: int) -> None:
        self._shortest_wait_s, self._failed_attempts = seconds, 0
        self._client.reconnect_delay_set(seconds, _LONGEST_RETRY_S)

    def _report(self, failure: Failure) -> None:
        """Announce a problem and its fix, unless that was done recently: attempts may fail for days."""
        now = time.monotonic()
        cause = re.sub(r"\d+", "0", failure.message)  # a time or a count does not make it another problem
        if now - self._reported.get(cause, -_REPEAT_S) < _REPEAT_S:
            return
        self._reported[cause] = now
        self._connection_is_news = True
        # Limited before it is raised: paho does the same without a limit on the number of attempts.
        wait_s = min(self._shortest_wait_s * 2 ** min(self._failed_attempts, 6), _LONGEST_RETRY_S)
        retry = f"next attempt in {wait_s} s, and the last {_BOUND} predictions are stored until then"
        self._announce(f"{_NAME}: {broker_address(self._settings)} {failure.message}; {retry}")
        if failure.fix:
            self._announce(f"  fix: {failure.fix}")
