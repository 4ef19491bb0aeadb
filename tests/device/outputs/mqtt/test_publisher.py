"""Against a real mosquitto: delivery, discovery, availability and last will."""

import json

import pytest

from tests.device.outputs.conftest import Start
from tests.device.outputs.mqtt.broker import Broker, Witness, needs_mosquitto
from tests.device.outputs.published_predictions import LIMIT_S, REACHED, Told, answer
from tests.device.outputs.publisher_process import running

pytestmark = needs_mosquitto


@pytest.mark.parametrize("words", [False, True])
def test_an_answer_arrives_as_json(broker: Broker, start: Start, words: bool) -> None:
    device = f"plain-{words}"
    with Witness(broker.port) as witness:
        start(broker.settings(device, words=words)).publish(answer(7))
        message = witness.next(f"edge-mcnn/{device}/prediction")
    table = answer(7)
    if not words:
        del table["text"]
    assert json.loads(message.payload) == table
    assert not message.retained


def test_an_answer_is_an_event_and_not_retained(broker: Broker, start: Start, told: Told) -> None:
    publisher = start(broker.settings("event"))
    publisher.publish(answer(1))
    with Witness(broker.port) as witness:  # whether before or after the first one
        publisher.publish(answer(2))
        while json.loads((message := witness.next("edge-mcnn/event/prediction")).payload)["seconds"] != 2:
            assert not message.retained
        publisher.publish(answer(3))
        publisher.close(LIMIT_S)
        assert witness.numbers("event", 1) == [3]
    with Witness(broker.port) as later:
        assert later.next("edge-mcnn/event/availability").payload == "offline"
        start(broker.settings("event")).publish(answer(4))
        assert later.numbers("event", 1) == [4], "the first that a newcomer hears"


def test_home_assistant_finds_it_later_too(broker: Broker, start: Start, told: Told) -> None:
    publisher = start(broker.settings("Küche 2"))
    publisher.microphone(heard=True)
    told.wait_for(REACHED)
    publisher.publish(answer(1))
    publisher.close(LIMIT_S)  # by when all of it has arrived
    with Witness(broker.port) as late:
        config = late.next("homeassistant/sensor/edge-mcnn-Kuche-2/label/config")
        microphone = late.next("edge-mcnn/Kuche-2/microphone")
    assert config.retained
    about = json.loads(config.payload)
    assert about["device"]["name"] == "Küche 2"
    assert about["device"]["identifiers"] == ["edge-mcnn-Kuche-2"]
    assert about["availability_topic"] == "edge-mcnn/Kuche-2/availability"
    assert about["state_topic"] == "edge-mcnn/Kuche-2/prediction"
    assert (microphone.payload, microphone.retained) == ("ON", True)


def test_available_while_it_runs_and_microphone_as_it_is(broker: Broker, start: Start) -> None:
    with Witness(broker.port) as witness:
        publisher = start(broker.settings("there"))
        assert witness.next("edge-mcnn/there/availability").payload == "online"
        publisher.microphone(heard=True)
        assert witness.next("edge-mcnn/there/microphone").payload in ("ON", "OFF")
        publisher.microphone(heard=False)
        publisher.microphone(heard=True)
        publisher.publish(answer(1))
        publisher.close(LIMIT_S)
        assert witness.next("edge-mcnn/there/availability").payload == "offline"
    with Witness(broker.port) as late:
        message = late.next("edge-mcnn/there/availability")
        assert (message.payload, message.retained) == ("offline", True)
    with Witness(broker.port) as late:
        assert late.next("edge-mcnn/there/microphone").payload == "ON", "the last word"


def test_killed_its_last_will_is_published(broker: Broker) -> None:
    with Witness(broker.port) as witness:
        with running(broker.settings("killed")):
            assert witness.next("edge-mcnn/killed/availability").payload == "online"
        assert witness.next("edge-mcnn/killed/availability").payload == "offline"


def test_with_no_time_left_it_is_still_offline(broker: Broker, start: Start, told: Told) -> None:
    publisher = start(broker.settings("hasty"))
    told.wait_for(REACHED)
    with Witness(broker.port) as witness:
        assert witness.next("edge-mcnn/hasty/availability").payload == "online"
        publisher.close(-1)
        assert witness.next("edge-mcnn/hasty/availability").payload == "offline"


def test_two_devices_need_no_more_than_a_name(broker: Broker, start: Start, told: Told) -> None:
    with Witness(broker.port) as witness:
        first, second = start(broker.settings("one")), start(broker.settings("two"))
        told.wait_for(REACHED, times=2)
        first.publish(answer(1))
        assert witness.numbers("one", 1) == [1]
        second.publish(answer(2))
        assert witness.numbers("two", 1) == [2]
        first.close(LIMIT_S)
        second.publish(answer(3))
        assert witness.numbers("two", 1) == [3]
    assert not [line for line in told.lines if "lost" in line], "they do not push each other out"
    with Witness(broker.port) as late:
        ids = [json.loads(late.next(f"homeassistant/sensor/edge-mcnn-{device}/label/config").payload)["unique_id"]
               for device in ("one", "two")]  # fmt: skip
    assert len(set(ids)) == 2
