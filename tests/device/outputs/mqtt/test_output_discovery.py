"""With a real mosquitto: what Home Assistant discovers is announced when it starts, and removed when it is over."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from device.outputs.mqtt import output as mqtt_output
from device.outputs.mqtt.client import machine
from device.outputs.mqtt.output import MqttOutput
from device.outputs.mqtt.topics import Topics
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
    monkeypatch.setattr(mqtt_output, "_SETTLE_S", 1000.0)  # `clean` ends it
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


def wait_until_received(output: MqttOutput, publish: Publisher) -> None:
    """Wait until the output has received what the broker had stored, and what was published before."""

    def arrived() -> bool:
        # The broker keeps the order of messages; repeated, because the output may not have subscribed yet.
        publish("edge-mcnn/marker/machine", "x")
        assert output._leftovers is not None
        return "marker" in output._leftovers._machines

    wait_until(arrived)


def settle(output: MqttOutput) -> None:
    """Do now what is due after `_SETTLE_S`."""
    with output._changed:
        output._clean_at = 0.0
        output._changed.notify_all()


def clean(output: MqttOutput, broker: Broker, publish: Publisher, former: str = "") -> None:
    """Let the output remove what is left at the broker, of itself and of its former name, once it has received that."""
    wait_until_received(output, publish)
    settle(output)
    if former:
        wait_until_former_is_known(output, broker, former)
        settle(output)
    wait_until(lambda: output._leftovers is None)
    # The broker has received what was published before, once it has acknowledged a later message.
    output._client.publish("edge-mcnn/marker/cleaned", "x", qos=1).wait_for_publish(LIMIT_S)


def wait_until_former_is_known(output: MqttOutput, broker: Broker, former: str) -> None:
    """Wait until the output has found its former name, and has received what the broker has stored of that."""
    wait_until(lambda: output._former)
    leftovers, stored = output._leftovers, of(former, retained(broker))
    assert leftovers is not None
    wait_until(lambda: stored <= {*leftovers.retained_of(Topics("edge-mcnn", former))})


def removals(subscriber: Subscriber, topics: Collection[str]) -> list[str]:
    """Wait until each of these topics has been removed, and return them in that order."""

    def removed() -> list[str]:
        return [each.topic for each in subscriber._messages if each.topic in topics and not each.payload]

    wait_until(lambda: {*topics} <= {*removed()}, message=lambda: f"only {removed()}")
    return removed()


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


def test_neither_a_stored_birth_message_nor_the_end_of_home_assistant_is_a_start(
    broker: Broker, start: Start, publish: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_output, "_ANNOUNCE_PAUSE_S", 1000.0)  # what is due stays due
    publish(STARTED, "online", retain=True)
    output = start(broker.settings("stored-birth"))
    wait_until_received(output, publish)
    publish(STARTED, "offline")
    publish("edge-mcnn/end/machine", "x")
    wait_until(lambda: output._leftovers is not None and "end" in output._leftovers._machines)
    assert output._announce_at == float("inf")


def test_entities_of_another_model_are_removed(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements
) -> None:
    leave(start(broker.settings("changed", corrections=True, level=True), RecordedCommands(("joy", "anger")),
                ("joy", "anger")), announced)  # fmt: skip
    before = of("changed", retained(broker))
    assert "homeassistant/button/edge-mcnn-changed/correct-joy/config" in before
    assert "edge-mcnn/changed/confidence/joy" in before
    second = start(broker.settings("changed", commands=False), RecordedCommands())
    clean(second, broker, publish)
    second.close(LIMIT_S)
    after = of("changed", retained(broker))
    assert not [topic for topic in after if "joy" in topic or "/level/" in topic or "edge-mcnn-changed/mute/" in topic]
    assert "homeassistant/binary_sensor/edge-mcnn-changed/muted/config" in after
    assert "homeassistant/sensor/edge-mcnn-changed/label/config" in after


def test_a_device_that_starts_again_removes_nothing(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements
) -> None:
    settings = broker.settings("again", corrections=True, level=True)
    leave(start(settings, RecordedCommands()), announced)
    before = of("again", retained(broker))
    clean(start(settings, RecordedCommands()), broker, publish)
    assert of("again", retained(broker)) >= before  # diagnostics follow at a time of their own


def test_a_renamed_device_leaves_no_ghost(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements
) -> None:
    leave(start(broker.settings("old-name"), RecordedCommands()), announced)
    publish("edge-mcnn/elsewhere/machine", "another machine", retain=True)
    publish("edge-mcnn/elsewhere/availability", "offline", retain=True)
    publish("homeassistant/sensor/edge-mcnn-elsewhere/label/config", "{}", retain=True)
    clean(start(broker.settings("runs"), RecordedCommands()), broker, publish, former="old-name")
    announced.wait_for("mqtt: removed old-name from the broker, the former name of this device")
    found = retained(broker)
    assert of("old-name", found) == set()
    assert len(of("elsewhere", found)) == 3
    clean(start(broker.settings("new-name"), RecordedCommands()), broker, publish)
    found = retained(broker)
    assert found["edge-mcnn/new-name/machine"] == machine()
    assert "homeassistant/sensor/edge-mcnn-runs/label/config" in found, "a second daemon of this machine"
    assert found["edge-mcnn/runs/availability"] == "online"
    assert not [line for line in announced.lines if "removed runs" in line]


def test_entities_are_removed_before_their_states(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements
) -> None:
    """Home Assistant logs an error for an entity whose state becomes empty."""
    leave(start(broker.settings("former"), RecordedCommands()), announced)
    stored = of("former", retained(broker))
    with Subscriber(broker.port) as subscriber:
        clean(start(broker.settings("present"), RecordedCommands()), broker, publish, former="former")
        order = [topic.startswith("homeassistant/") for topic in removals(subscriber, stored)]
    assert True in order
    assert order == sorted(order, reverse=True)


def test_a_second_daemon_that_is_back_in_time_is_no_ghost(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements
) -> None:
    leave(start(broker.settings("returns")), announced)
    output = start(broker.settings("stays"))
    wait_until_received(output, publish)
    settle(output)
    wait_until_former_is_known(output, broker, "returns")
    start(broker.settings("returns"))
    leftovers = output._leftovers
    assert leftovers is not None
    wait_until(lambda: not leftovers.former())
    settle(output)
    wait_until(lambda: output._leftovers is None)
    assert "homeassistant/sensor/edge-mcnn-returns/label/config" in retained(broker)
    assert not [line for line in announced.lines if "removed returns" in line]


def test_discovery_can_be_turned_off(broker: Broker, start: Start, publish: Publisher) -> None:
    output = start(broker.settings("undiscovered", discovery_prefix=""), RecordedCommands())
    clean(output, broker, publish)
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
