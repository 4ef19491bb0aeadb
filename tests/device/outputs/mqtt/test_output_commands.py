"""With a real mosquitto: mute, confidences and corrections that others publish to the device."""

import json
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from device.audio.liveness import Liveness, State
from device.errors import PublishingError
from device.outputs.mqtt import output as mqtt_output
from device.outputs.mqtt.output import MqttOutput
from tests.device.outputs.mqtt.broker import Broker, Subscriber, needs_mosquitto
from tests.device.outputs.mqtt.conftest import Start, close
from tests.device.outputs.mqtt.locked_broker import make_certificates, with_password, with_tls
from tests.device.outputs.mqtt.recorded_commands import Publisher, RecordedCommands
from tests.device.outputs.predictions import LABELS, Announcements
from tests.waiting import wait_until

pytestmark = needs_mosquitto


class Device:
    """An output that accepts commands."""

    def __init__(self, broker: Broker, announced: Announcements, device: str, **settings: Any) -> None:
        self.commands = RecordedCommands()
        settings = {"corrections": settings.get("commands", True), **settings}
        self.output = MqttOutput(broker.settings(device, **settings), announced, self.commands)
        self.topic = f"edge-mcnn/{device}/correct"
        self.subscribed: list[object] = []
        subscribe = self.output._client.on_subscribe
        assert subscribe is not None

        def note(*arguments: Any) -> None:
            self.subscribed.append(arguments)
            subscribe(*arguments)

        self.output._client.on_subscribe = note
        self.output.open(LABELS)

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        close(self.output)

    def wait_until_subscribed(self) -> "Device":
        wait_until(lambda: self.subscribed)
        return self


def test_mute_and_its_state(broker: Broker, publish: Publisher, announced: Announcements) -> None:
    with Subscriber(broker.port) as subscriber, Device(broker, announced, "mute").wait_until_subscribed() as device:
        assert subscriber.next("edge-mcnn/mute/mute").payload == "OFF"
        device.output.microphone(Liveness(State.HEALTHY, 0, ""))
        publish("edge-mcnn/mute/mute/set", "ON")
        wait_until(lambda: device.commands.mutings == [True])
        device.output.microphone(Liveness(State.MUTED, 0, ""))
        assert subscriber.next("edge-mcnn/mute/mute").payload == "ON", "published when the microphone is closed"
        assert [subscriber.next("edge-mcnn/mute/microphone").payload for _ in range(3)] == ["OFF", "ON", "OFF"]
        publish("edge-mcnn/mute/mute/set", "OFF")
        wait_until(lambda: device.commands.mutings == [True, False])
        device.output.microphone(Liveness(State.RECOVERING, 0, ""))
        assert subscriber.next("edge-mcnn/mute/mute").payload == "OFF"
    with Subscriber(broker.port) as late:
        message = late.next("edge-mcnn/mute/mute")
        assert (message.payload, message.retained) == ("OFF", True)


def test_a_device_that_starts_muted_is_shown_as_muted(broker: Broker, start: Start) -> None:
    commands = RecordedCommands()
    commands.muted = True
    with Subscriber(broker.port) as subscriber:
        start(broker.settings("starts-muted"), commands)
        assert subscriber.next("edge-mcnn/starts-muted/mute").payload == "ON"


def test_confidences_and_their_states(broker: Broker, publish: Publisher, announced: Announcements) -> None:
    with Subscriber(broker.port) as subscriber, Device(broker, announced, "sure").wait_until_subscribed() as device:
        for label in LABELS:
            assert subscriber.next(f"edge-mcnn/sure/confidence/{label}").payload == "40"
        publish("edge-mcnn/sure/confidence/negative/set", "62.5")
        assert subscriber.next("edge-mcnn/sure/confidence/negative").payload == "62.5"
        assert device.commands.confidences == {"negative": 0.625, "neutral": 0.4, "positive": 0.4}
        publish("edge-mcnn/sure/confidence/negative/set", "much")
        announced.wait_for("received 'much', which is not a number from 0 to 100; publish a percentage, such as 60; ")


def test_commands_with_a_password_and_tls(tmp_path: Path, announced: Announcements) -> None:
    authority = make_certificates(tmp_path)
    ca_file = str(authority / "ca.pem")
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    with Broker(tmp_path, *with_tls(authority), with_password(tmp_path, "lamp", "s3cret")) as broker:
        login = {"user": "lamp", "password_file": str(tmp_path / "secret"), "tls": True, "ca_file": ca_file}
        with (
            Device(broker, announced, "secure", **login).wait_until_subscribed() as device,
            Publisher(broker.port, "lamp", "s3cret", ca_file) as publish,
        ):
            publish("edge-mcnn/secure/mute/set", "ON")
            wait_until(lambda: device.commands.mutings == [True])


def test_a_class_that_is_published_is_learnt(broker: Broker, publish: Publisher, announced: Announcements) -> None:
    with Device(broker, announced, "learns").wait_until_subscribed() as device:
        publish(device.topic, "negative")
        announced.wait_for("mqtt: learnt: that was negative (1 example, not used yet)")
        publish(device.topic, " neutral\n")
        announced.wait_for("mqtt: learnt: that was neutral (2 examples, not used yet)")
        assert device.commands.learnt == ["negative", "neutral"]


def test_what_is_not_a_class_is_reported_once(broker: Broker, publish: Publisher, announced: Announcements) -> None:
    with Device(broker, announced, "bad").wait_until_subscribed() as device:
        for payload in (b"angry\x1b[31m", b"", b"\xff" * 100_000, b"{}", "negative"):
            publish(device.topic, payload)
        announced.wait_for("mqtt: learnt: that was negative")
        assert device.commands.learnt == ["negative"]
    [line] = [line for line in announced.lines if "is not a class" in line]
    assert line.startswith("mqtt: edge-mcnn/bad/correct received 'angry\\x1b[31m', which is not a class of the model; ")
    assert f"publish one of {', '.join(LABELS)}; " in line


def test_an_error_is_reported_once(broker: Broker, publish: Publisher, announced: Announcements) -> None:
    with Device(broker, announced, "fails").wait_until_subscribed() as device:
        device.commands.fails = True
        for _ in range(3):
            publish(device.topic, "negative")
        announced.wait_for("mqtt: the profile is damaged; learn again")
        receiver = device.output._receiver
        wait_until(lambda: receiver is not None and not receiver._corrections._runs)
        device.commands.fails = False
        publish(device.topic, "neutral")
        announced.wait_for("learnt: that was neutral")
    assert sum("damaged" in line for line in announced.lines) == 1


def test_messages_that_the_broker_stored_are_ignored(
    broker: Broker, publish: Publisher, announced: Announcements
) -> None:
    publish("edge-mcnn/stored/correct", "negative", retain=True)
    publish("edge-mcnn/stored/mute/set", "ON", retain=True)
    with Device(broker, announced, "stored").wait_until_subscribed() as device:
        announced.wait_for("mqtt: the broker has stored a command with the topic edge-mcnn/stored/")
        publish(device.topic, "neutral")
        announced.wait_for("learnt: that was neutral")
        assert device.commands.learnt == ["neutral"]
        assert device.commands.mutings == []


def test_without_commands_nothing_is_subscribed_to_but_the_start_of_home_assistant(
    broker: Broker, publish: Publisher, announced: Announcements
) -> None:
    with Device(broker, announced, "off", commands=False).wait_until_subscribed() as device:
        for topic, payload in (("correct", "negative"), ("mute/set", "ON"), ("confidence/negative/set", "60")):
            publish(f"edge-mcnn/off/{topic}", payload)
        assert device.output._receiver is None
        assert device.output._subscribed[1] == ["homeassistant/status"]
    assert device.commands.mutings == []
    assert device.commands.learnt == []
    with Subscriber(broker.port) as late:
        assert json.loads(late.next("homeassistant/binary_sensor/edge-mcnn-off/muted/config").payload)
        assert late.next("edge-mcnn/off/mute").payload == "OFF"
        assert not [each for each in late._messages if "edge-mcnn-off/mute/" in each.topic or ("/number/" in each.topic
                    and "edge-mcnn-off" in each.topic)]  # fmt: skip


def test_corrections_without_commands_contradict_each_other(broker: Broker, announced: Announcements) -> None:
    with pytest.raises(PublishingError, match=r"mqtt\.corrections is true, and mqtt\.commands is false") as error:
        Device(broker, announced, "both", commands=False, corrections=True)
    assert error.value.fix == "set mqtt.commands to true, or mqtt.corrections to false"


def test_a_refused_subscription_is_reported_once(broker: Broker, announced: Announcements) -> None:
    """As by a broker with rules for topics; mosquitto accepts the subscription and delivers nothing."""
    with Device(broker, announced, "refused").wait_until_subscribed() as device:
        number, topics = device.output._subscribed
        for _ in range(2):
            refused: Any = [ReasonCode(PacketTypes.SUBACK, identifier=128 if "mute" in each else 1) for each in topics]
            device.output._on_subscribe(device.output._client, None, number, refused, None)
    lines = [line for line in announced.lines if "refuses" in line]
    assert lines == [
        "mqtt: the broker refuses the subscription to edge-mcnn/refused/mute/set, so nothing is received from it; "
        "let the user read that topic"
    ]


def test_diagnostics_are_published(broker: Broker, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_output, "DIAGNOSTICS_S", 0.05)
    commands = RecordedCommands()
    with Subscriber(broker.port) as subscriber:
        start(broker.settings("well"), commands)
        table = json.loads(subscriber.next("edge-mcnn/well/diagnostics").payload)
        assert (table["memory_mb"], table["model"]) == (123.4, "sentiment")
        commands.found = None
        commands.set_confidence("negative", 0.7)  # changed elsewhere
        while subscriber.next("edge-mcnn/well/confidence/negative").payload != "70":
            pass


def test_the_level_is_the_loudest_since_the_message_before(
    broker: Broker, start: Start, announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    with Subscriber(broker.port) as subscriber:
        output = start(broker.settings("loud", level=True))
        assert output.metered
        assert not start(broker.settings("quiet")).metered
        announced.wait_for("mqtt: connected to", times=2)
        monkeypatch.setattr("device.outputs.mqtt.output.time.monotonic", lambda: now)
        for dbfs in (-40.0, -20.04, -60.0):
            output.level(dbfs)
        assert subscriber.next("edge-mcnn/loud/level").payload == "-40.0"
        now += 10
        output.level(-50.0)
        assert subscriber.next("edge-mcnn/loud/level").payload == "-20.0"
        output.level(-10.0)
        output.microphone(Liveness(State.MUTED, 0, ""))
        now += 10
        output.level(-70.0)
        message = subscriber.next("edge-mcnn/loud/level")
        assert (message.payload, message.retained) == ("-70.0", False), "what was before it was muted does not count"
        monkeypatch.undo()
