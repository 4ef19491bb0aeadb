"""With a real mosquitto: the right class of the latest prediction is published to the device."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from device.adaptation.adapted_classifier import Learnt
from device.errors import ProfileError
from device.outputs.mqtt.output import MqttOutput
from tests.device.outputs.commands import NotedCommands
from tests.device.outputs.mqtt.broker import Broker, needs_mosquitto
from tests.device.outputs.predictions import LABELS, Announcements
from tests.waiting import LIMIT_S, wait_until

pytestmark = needs_mosquitto
Publish = Callable[..., None]


@pytest.fixture
def publish(broker: Broker) -> Iterator[Publish]:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def publish_and_wait(topic: str, payload: bytes | str, **options: Any) -> None:
        client.publish(topic, payload, qos=1, **options).wait_for_publish(LIMIT_S)

    yield publish_and_wait
    client.disconnect()
    client.loop_stop()


class Device:
    """An output that learns corrections."""

    def __init__(self, broker: Broker, announced: Announcements, device: str, **settings: Any) -> None:
        self.learnt: list[str] = []
        self.fails = False
        own = broker.settings(device, **{"corrections": True, **settings})
        self.output = MqttOutput(own, announced, NotedCommands(self._correct))
        self.topic = f"edge-mcnn/{device}/correct"
        self.subscribed: list[object] = []
        subscribe = self.output._client.on_subscribe

        def note(*arguments: Any) -> None:
            self.subscribed.append(arguments)
            if subscribe is not None:
                subscribe(*arguments)

        self.output._client.on_subscribe = note
        self.output.open(LABELS)

    def _correct(self, label: str) -> Learnt:
        if self.fails:
            raise ProfileError("the profile is damaged", fix="learn again")
        self.learnt.append(label)
        return Learnt(len(self.learnt), used=False)

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        self.output.close(LIMIT_S)

    def wait_until_subscribed(self) -> "Device":
        wait_until(lambda: self.subscribed)
        return self


def test_the_class_in_a_message_is_learnt(broker: Broker, publish: Publish, announced: Announcements) -> None:
    with Device(broker, announced, "learns").wait_until_subscribed() as device:
        publish(device.topic, "negative")
        announced.wait_for("mqtt: learnt: that was negative (1 example, not used yet)")
        publish(device.topic, " neutral\n")
        announced.wait_for("mqtt: learnt: that was neutral (2 examples, not used yet)")
        assert device.learnt == ["negative", "neutral"]


def test_what_is_not_a_class_is_reported_once(broker: Broker, publish: Publish, announced: Announcements) -> None:
    with Device(broker, announced, "bad").wait_until_subscribed() as device:
        for payload in (b"angry\x1b[31m", b"", b"\xff" * 100_000, b"{}", "negative"):
            publish(device.topic, payload)
        announced.wait_for("mqtt: learnt: that was negative")
        assert device.learnt == ["negative"]
    [line] = [line for line in announced.lines if "is not a class" in line]
    assert line.startswith("mqtt: edge-mcnn/bad/correct received 'angry\\x1b[31m', which is not a class of the model; ")
    assert f"publish one of {', '.join(LABELS)}; " in line


def test_an_error_is_reported_once(broker: Broker, publish: Publish, announced: Announcements) -> None:
    with Device(broker, announced, "fails").wait_until_subscribed() as device:
        device.fails = True
        for _ in range(3):
            publish(device.topic, "negative")
        announced.wait_for("mqtt: the profile is damaged; learn again")
        wait_until(lambda: device.output._corrections is not None and not device.output._corrections._runs)
        device.fails = False
        publish(device.topic, "neutral")
        announced.wait_for("learnt: that was neutral")
    assert sum("damaged" in line for line in announced.lines) == 1


def test_a_message_that_the_broker_stored_is_ignored(
    broker: Broker, publish: Publish, announced: Announcements
) -> None:
    publish("edge-mcnn/stored/correct", "negative", retain=True)
    with Device(broker, announced, "stored").wait_until_subscribed() as device:
        publish(device.topic, "neutral")
        announced.wait_for("learnt: that was neutral")
        assert device.learnt == ["neutral"]


def test_nothing_is_learnt_unless_the_settings_permit_it(
    broker: Broker, publish: Publish, announced: Announcements
) -> None:
    with Device(broker, announced, "off", corrections=False) as device:
        announced.wait_for("mqtt: connected to")
        publish(device.topic, "negative")
    assert device.learnt == []
    assert device.subscribed == []


def test_a_refused_subscription_is_reported(broker: Broker, announced: Announcements) -> None:
    """As by a broker with rules for topics; mosquitto accepts the subscription and delivers nothing."""
    with Device(broker, announced, "refused").wait_until_subscribed() as device:
        for _ in range(2):
            refused: Any = [ReasonCode(PacketTypes.SUBACK, identifier=128)]
            device.output._on_subscribe(device.output._client, None, 1, refused, None)
    [line] = [line for line in announced.lines if "refuses" in line]
    assert line.startswith("mqtt: the broker refuses the subscription to edge-mcnn/refused/correct, so nothing ")
