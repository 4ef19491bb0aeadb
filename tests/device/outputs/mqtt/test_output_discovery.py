"""With a real mosquitto: what Home Assistant discovers is announced when it starts, and removed when it is over."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.outputs.mqtt import output as mqtt_output
from device.outputs.mqtt.client import machine
from device.outputs.mqtt.output import MqttOutput
from tests.device.outputs.mqtt.broker import Broker, Subscriber, needs_mosquitto
from tests.device.outputs.mqtt.conftest import Start
from tests.device.outputs.mqtt.recorded_commands import Publisher, RecordedCommands
from tests.device.outputs.predictions import LABELS, Announcements
from tests.waiting import LIMIT_S, wait_until

pytestmark = needs_mosquitto
ONLINE, STARTED = "edge-mcnn/lamp/availability", "homeassistant/status"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of one test: all devices of this machine are former names of each other."""
    with Broker(tmp_path) as broker:
        yield broker


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_output, "_ANNOUNCE_DELAY_S", (0.0, 0.1))
    monkeypatch.setattr(mqtt_output, "_ANNOUNCE_PAUSE_S", 0.0)
    monkeypatch.setattr(mqtt_output, "_SETTLE_S", 0.5)
    monkeypatch.setattr(mqtt_output, "_REMOVAL_S", 0.1)


def retained(broker: Broker) -> dict[str, str]:
    """Everything that the broker has stored, by topic."""
    with Subscriber(broker.port) as late, Publisher(broker.port) as publish:
        publish("marker", "x", retain=True)
        late.next("marker")  # comes after everything that was stored before it, or with it
        publish("end", "x")
        late.next("end")
        return {each.topic: each.payload for each in late._messages if each.retained}


def of(device: str, found: dict[str, str]) -> set[str]:
    return {topic for topic in found if f"/{device}/" in topic or f"edge-mcnn-{device}/" in topic}


def leave(output: MqttOutput, announced: Announcements) -> None:
    """Close an output after it has published everything."""
    announced.wait_for("mqtt: connected to")
    output.close(LIMIT_S)


def test_home_assistant_that_starts_gets_everything_again(broker: Broker, start: Start, publish: Publisher) -> None:
    topics = ("homeassistant/switch/edge-mcnn-born/mute/config", "edge-mcnn/born/availability", "edge-mcnn/born/mute",
              "edge-mcnn/born/confidence/negative", "edge-mcnn/born/machine")  # fmt: skip
    with Subscriber(broker.port) as home_assistant:
        start(broker.settings("born"), RecordedCommands())
        first = [home_assistant.next(topic) for topic in topics]
        publish(STARTED, "offline")
        publish(STARTED, "online")
        assert [home_assistant.next(topic) for topic in topics] == first


def test_home_assistant_that_starts_often_is_answered_once_in_a_while(
    broker: Broker, start: Start, publish: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_output, "_ANNOUNCE_PAUSE_S", 1000.0)
    monkeypatch.setattr(mqtt_output, "_SETTLE_S", 1000.0)
    with Subscriber(broker.port) as subscriber:
        output = start(broker.settings("often"))
        subscriber.next("edge-mcnn/often/machine")  # the last of what is published at the start

        def announced_again() -> int:
            publish("end", "x")
            subscriber.next("end")
            return sum("edge-mcnn-often" in each.topic for each in subscriber._messages)

        before = announced_again()
        for _ in range(20):
            publish(STARTED, "online")
        wait_until(lambda: output._announce_at != float("inf"))
        assert output._announce_at >= output._announced_at + 1000.0
        assert announced_again() == before > 0


def test_a_stored_birth_message_is_no_start(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_output, "_ANNOUNCE_PAUSE_S", 1000.0)
    publish(STARTED, "online", retain=True)
    seen: list[bool] = []
    output = start(broker.settings("stored-birth"))
    receive = output._on_message

    def note(client: object, data: object, message: object) -> None:
        receive(client, data, message)  # type: ignore[arg-type]  # as paho calls it
        seen.append(True)

    output._client.on_message = note
    announced.wait_for("mqtt: connected to")
    publish("edge-mcnn/stored-birth/availability", "online", retain=True)
    wait_until(lambda: seen, message="nothing was received")
    assert output._announce_at == float("inf")
    publish(STARTED, "", retain=True)


def test_entities_of_another_model_are_removed(broker: Broker, start: Start) -> None:
    first = start(broker.settings("changed", corrections=True, level=True), RecordedCommands(("joy", "anger")),
                  ("joy", "anger"))  # fmt: skip
    wait_until(lambda: first._leftovers is None)
    first.close(LIMIT_S)
    before = of("changed", retained(broker))
    assert "homeassistant/button/edge-mcnn-changed/correct-joy/config" in before
    assert "edge-mcnn/changed/confidence/joy" in before
    second = start(broker.settings("changed", commands=False), RecordedCommands())
    wait_until(lambda: second._leftovers is None)
    second.close(LIMIT_S)
    after = of("changed", retained(broker))
    assert not [topic for topic in after if "joy" in topic or "/level/" in topic or "edge-mcnn-changed/mute/" in topic]
    assert "homeassistant/binary_sensor/edge-mcnn-changed/muted/config" in after
    assert "homeassistant/sensor/edge-mcnn-changed/label/config" in after


def test_a_renamed_device_leaves_no_ghost(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements
) -> None:
    leave(start(broker.settings("old-name"), RecordedCommands()), announced)
    runs = start(broker.settings("runs"), RecordedCommands())
    publish("edge-mcnn/elsewhere/machine", "another machine", retain=True)
    publish("edge-mcnn/elsewhere/availability", "offline", retain=True)
    publish("homeassistant/sensor/edge-mcnn-elsewhere/label/config", "{}", retain=True)
    wait_until(lambda: runs._leftovers is None)
    announced.wait_for("mqtt: removed old-name from the broker, the former name of this device")
    found = retained(broker)
    assert of("old-name", found) == set()
    assert len(of("elsewhere", found)) == 3
    renamed = start(broker.settings("new-name"), RecordedCommands())
    wait_until(lambda: renamed._leftovers is None)
    found = retained(broker)
    assert found["edge-mcnn/new-name/machine"] == machine()
    assert "homeassistant/sensor/edge-mcnn-runs/label/config" in found, "a second daemon of this machine"
    assert found["edge-mcnn/runs/availability"] == "online"
    assert not [line for line in announced.lines if "removed runs" in line]


def test_entities_are_removed_before_their_states(broker: Broker, start: Start, announced: Announcements) -> None:
    """Home Assistant logs an error for an entity whose state becomes empty."""
    leave(start(broker.settings("former"), RecordedCommands()), announced)
    with Subscriber(broker.port) as subscriber:
        output = start(broker.settings("present"), RecordedCommands())
        announced.wait_for("mqtt: removed former from the broker")
        wait_until(lambda: output._leftovers is None)
        while subscriber.next("edge-mcnn/former/machine").payload:
            pass
        order = [each.topic for each in subscriber._messages if not each.payload and not each.retained]
    places = {kind: [place for place, topic in enumerate(order) if topic.startswith(kind)]
              for kind in ("homeassistant/", "edge-mcnn/")}  # fmt: skip
    assert max(places["homeassistant/"]) < min(places["edge-mcnn/"])


def test_a_second_daemon_that_is_back_in_time_is_no_ghost(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_output, "_SETTLE_S", 2.0)
    leave(start(broker.settings("returns")), announced)
    output = start(broker.settings("stays"))
    wait_until(lambda: output._former)
    start(broker.settings("returns"))
    wait_until(lambda: output._leftovers is None)
    assert "homeassistant/sensor/edge-mcnn-returns/label/config" in retained(broker)
    assert not [line for line in announced.lines if "removed returns" in line]


def test_discovery_can_be_turned_off(broker: Broker, start: Start, publish: Publisher) -> None:
    output = start(broker.settings("undiscovered", discovery_prefix=""), RecordedCommands())
    wait_until(lambda: output._leftovers is None)
    found = of("undiscovered", retained(broker))
    assert found
    assert all(topic.startswith("edge-mcnn/undiscovered/") for topic in found)
    assert output._subscribed[1][0] == "edge-mcnn/undiscovered/mute/set"
    assert STARTED not in output._subscribed[1]


def test_the_labels_reach_home_assistant(broker: Broker, start: Start, announced: Announcements) -> None:
    start(broker.settings("labels"))
    announced.wait_for("mqtt: connected to")
    with Subscriber(broker.port) as late:
        config = json.loads(late.next("homeassistant/event/edge-mcnn-labels/prediction/config").payload)
    assert config["event_types"] == list(LABELS)
