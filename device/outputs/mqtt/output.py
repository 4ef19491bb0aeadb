"""Predictions for an MQTT broker and Home Assistant; they are stored while the broker is away.

Everything that may take long is done by three threads: paho's keeps the connection, the outbox's hands over
predictions, one at a time, until the broker has acknowledged each, and one does what is due at a later time.
"""

import random
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from device.audio.liveness import Liveness
from device.events import Prediction
from device.outputs.commands import Commands
from device.outputs.json_lines import Table, as_line, as_table, without_words
from device.outputs.mqtt.client import (
    broker_address,
    client_id,
    device_name,
    end_of_tls,
    machine,
    new_client,
    port,
    topic_name,
)
from device.outputs.mqtt.commands import CommandReceiver
from device.outputs.mqtt.discovery import DIAGNOSTICS_S, discovery
from device.outputs.mqtt.failures import (
    Failure,
    closed_without_response,
    connection_failure,
    ended,
    not_mqtt,
    refusal,
    short_connections,
)
from device.outputs.mqtt.leftovers import Leftovers, announcements, filters
from device.outputs.mqtt.states import DeviceStates
from device.outputs.mqtt.topics import Topics, birth
from device.outputs.outbox import Outbox
from device.settings.schema import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client

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
_LEVEL_S = 10.0
"""Seconds between two messages with the level."""
_ANNOUNCE_DELAY_S = (1.0, 5.0)
"""Shortest and longest wait after Home Assistant has started; it is random, so that not all devices publish at once."""
_ANNOUNCE_PAUSE_S = 30.0
"""Shortest time between two announcements, however often Home Assistant starts."""
_SETTLE_S = 10.0
"""Seconds in which the broker has sent all that it retains, and a device that has just lost its connection is back."""
_REMOVAL_S = 1.0
"""Seconds in which Home Assistant has removed entities that are announced no longer."""
_NEVER = float("inf")
_BIRTH = b"online"


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
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._outbox: Outbox[Table] = Outbox(_NAME, self._deliver, announce, bound=_BOUND, held=True)
        self._changed = threading.Condition()
        self._connected = self._closing = self._opened = False
        self._deadline = float("inf")
        self._acknowledged: set[int] = set()
        self._responded = False
        self._connected_at = _NEVER
        self._short_connections = 0
        self._reported: dict[str, float] = {}
        self._connection_is_news = True
        self._handing_over = False
        self._commands = commands
        self._receiver: CommandReceiver | None = None
        self._states = DeviceStates(self._topics, commands, machine())
        self._leftovers: Leftovers | None = Leftovers(self._topics, settings.discovery_prefix, machine())
        self._former: Sequence[Topics] = ()
        self._states_left: Collection[str] | None = None
        self._subscribed: tuple[int, Sequence[str]] = (0, ())
        self._refused: set[str] = set()
        self._measure_at = self._announce_at = self._clean_at = _NEVER
        self._announced_at = -_NEVER
        self._loudest_dbfs: float | None = None
        self._level_at = -_NEVER

    @property
    def metered(self) -> bool:
        """Whether the level is published; see `Meter.metered`."""
        return self._settings.level

    def open(self, labels: Sequence[str]) -> None:
        """Start to connect to the broker; see `Output.open`."""
        accepted = replace(self._settings, commands=self._settings.commands and self._commands is not None)
        if self._settings.discovery_prefix:
            self._discovery = discovery(self._topics, self._name, accepted, labels)
        if accepted.commands and self._commands is not None:
            self._receiver = CommandReceiver(
                self._topics, labels, self._commands, self._announce, self._publish_changes,
                corrections=self._settings.corrections,
            )  # fmt: skip
        self._states.open(labels)
        self._opened = True
        self._client.connect_async(self._settings.host, port(self._settings), _KEEPALIVE_S)
        self._client.loop_start()
        self._outbox.open()
        threading.Thread(target=self._do_what_is_due, name="mqtt states", daemon=True).start()

    def prediction(self, prediction: Prediction, lit_at: float) -> None:
        """Publish this prediction when the broker is connected, after those before it; see `Output.prediction`."""
        self._outbox.put(as_table(prediction, lit_at))

    def microphone(self, liveness: Liveness) -> None:
        """Publish whether the microphone gives audio; after a time without broker, only the present state."""
        self._loudest_dbfs = None
        self._states.microphone(liveness)
        self._publish_changes()

    def level(self, dbfs: float) -> None:
        """Publish the loudest level since the message before, if that was long enough ago; see `Meter.level`."""
        self._loudest_dbfs = dbfs if self._loudest_dbfs is None else max(self._loudest_dbfs, dbfs)
        now = time.monotonic()
        if self._connected and now - self._level_at >= _LEVEL_S:
            self._client.publish(self._topics.level, f"{self._loudest_dbfs:.1f}", qos=0)
            self._loudest_dbfs, self._level_at = None, now

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
            self._handing_over = True
        number = self._client.publish(topic, payload, qos=1, retain=retain).mid
        with self._changed:
            while number not in self._acknowledged:
                if self._closing and (not self._connected or time.monotonic() >= self._deadline):
                    return False
                self._changed.wait(self._deadline - time.monotonic() if self._closing else None)
            self._handing_over = self._closing  # which hands over once more, perhaps at the same time
        return True

    def _publish_changes(self) -> None:
        with self._changed:  # so that the last message is the true one
            if self._connected:
                self._retain(self._states.changes())

    def _publish_all(self) -> None:
        """Publish everything that the broker retains; a new connection repeats it."""
        self._announced_at = time.monotonic()
        self._announce_at = _NEVER
        self._retain({**self._discovery, self._topics.availability: "online", **self._states.present()})

    def _retain(self, messages: Mapping[str, str]) -> None:
        # Without acknowledgement: paho would use a lock that it holds while it calls `_on_publish`, which needs ours.
        for topic, payload in messages.items():
            self._client.publish(topic, payload, qos=0, retain=True)

    # Called by the thread that does what is due.

    def _do_what_is_due(self) -> None:
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                if self._connected and now >= self._announce_at:
                    self._publish_all()
                if self._connected and now >= self._clean_at:
                    self._clean()
                if self._connected and now >= self._measure_at:
                    self._measure_at = now + DIAGNOSTICS_S
                    self._states.measure()
                    self._publish_changes()
                first = min(self._announce_at, self._clean_at, self._measure_at) if self._connected else _NEVER
                self._changed.wait(None if first == _NEVER else max(first - time.monotonic(), 0))

    def _clean(self) -> None:
        """Remove what this device and its former names have left at the broker."""
        self._clean_at = _NEVER
        leftovers = self._leftovers
        if leftovers is None:
            return
        if self._states_left is not None:
            self._clear(self._states_left)
            self._client.unsubscribe([*leftovers.filters, *self._filters_of(self._former)])
            self._leftovers = None
            return
        former = leftovers.former()
        if former and not self._former:
            self._former = former
            self._client.subscribe([(each, 1) for each in self._filters_of(former)])
            self._clean_at = time.monotonic() + _SETTLE_S
            return
        left = set(leftovers.stale({*self._discovery, *self._states.present()}))
        for topics in self._former:
            if topics in former:  # it is still offline
                left.update(leftovers.retained_of(topics))
                self._announce(f"{_NAME}: removed {topics.device} from the broker, the former name of this device")
        first = announcements(left, self._settings.discovery_prefix)
        self._clear(first)
        self._states_left = left - first
        self._clean_at = time.monotonic() + _REMOVAL_S

    def _filters_of(self, devices: Sequence[Topics]) -> list[str]:
        return [each for topics in devices for each in filters(topics, self._settings.discovery_prefix)]

    def _clear(self, topics: Collection[str]) -> None:
        self._retain(dict.fromkeys(topics, ""))

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
            self._subscribe()
            self._publish_all()
            self._connected = True
            self._measure_at = time.monotonic()
            self._changed.notify_all()
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
            if self._handing_over:
                self._acknowledged.add(number)
                self._changed.notify_all()

    def _subscribe(self) -> None:
        wanted = list(self._receiver.topics) if self._receiver is not None else []
        if self._discovery:
            wanted.append(birth(self._settings.discovery_prefix))
        if wanted:
            number = self._client.subscribe([(topic, 1) for topic in wanted])[1]
            self._subscribed = (number or 0, wanted)
        if self._leftovers is not None:
            self._former, self._states_left = (), None
            self._client.subscribe([(topic, 1) for topic in self._leftovers.filters])
            self._clean_at = time.monotonic() + _SETTLE_S

    def _on_subscribe(self, _client: "Client", _data: Any, number: int, reasons: Any, _properties: Any) -> None:
        wanted, topics = self._subscribed
        if number != wanted:
            return  # what was left at the broker stays there if this user may not read it
        for topic, reason in zip(topics, reasons, strict=False):
            if reason.is_failure and topic not in self._refused:
                self._refused.add(topic)
                self._announce(
                    f"{_NAME}: the broker refuses the subscription to {topic}, so nothing is received from it; let the "
                    "user read that topic"
                )

    def _on_message(self, _client: "Client", _data: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # none that was subscribed to
            return
        with self._changed:
            if self._leftovers is not None:
                self._leftovers.note(topic, message.payload, retained=message.retain)
        if self._discovery and topic == birth(self._settings.discovery_prefix):
            if message.payload == _BIRTH and not message.retain:
                self._announce_soon()
        elif self._receiver is not None:
            self._receiver.receive(topic, message.payload, retained=message.retain)

    def _announce_soon(self) -> None:
        """Home Assistant has started, and may not have received what was published meanwhile."""
        with self._changed:
            if self._announce_at == _NEVER:
                delay_s = random.uniform(*_ANNOUNCE_DELAY_S)  # noqa: S311  # no secret depends on it
                self._announce_at = max(time.monotonic() + delay_s, self._announced_at + _ANNOUNCE_PAUSE_S)
                self._changed.notify_all()

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
