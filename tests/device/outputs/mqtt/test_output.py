"""With a real mosquitto: delivery, discovery, availability and last will."""

import json

import pytest

from device.audio.liveness import Liveness, State
from tests.device.outputs.mqtt.broker import Broker, Subscriber, needs_mosquitto
from tests.device.outputs.mqtt.conftest import Start
from tests.device.outputs.mqtt.output_process import running
from tests.device.outputs.predictions import LIT_AT, Announcements, numbered_prediction, numbered_table
from tests.waiting import LIMIT_S

pytestmark = needs_mosquitto
HEALTHY = Liveness(State.HEALTHY, 0, "", "USB", 16_000)
LOST = Liveness(State.LOST, 0, "it is gone")


@pytest.mark.parametrize("words", [False, True])
def test_a_prediction_arrives_as_json(broker: Broker, start: Start, words: bool) -> None:
    device = f"plain-{words}"
    with Subscriber(broker.port) as subscriber:
        start(broker.settings(device, words=words)).prediction(numbered_prediction(7), LIT_AT)
        message = subscriber.next(f"edge-mcnn/{device}/prediction")
    assert json.loads(message.payload) == numbered_table(7, words=words)
    assert not message.retained


def test_a_prediction_is_an_event_and_not_retained(broker: Broker, start: Start, announced: Announcements) -> None:
    output = start(broker.settings("event"))
    output.prediction(numbered_prediction(1), LIT_AT)
    with Subscriber(broker.port) as subscriber:  # connects before or after the first one
        output.prediction(numbered_prediction(2), LIT_AT)
        while json.loads((message := subscriber.next("edge-mcnn/event/prediction")).payload)["seconds"] != 2:
            assert not message.retained
        output.prediction(numbered_prediction(3), LIT_AT)
        output.close(LIMIT_S)
        assert subscriber.numbers("event", 1) == [3]
    with Subscriber(broker.port) as later:
        assert later.next("edge-mcnn/event/availability").payload == "offline"
        start(broker.settings("event")).prediction(numbered_prediction(4), LIT_AT)
        assert later.numbers("event", 1) == [4], "the first one that a later subscriber receives"


def test_home_assistant_also_finds_it_later(broker: Broker, start: Start, announced: Announcements) -> None:
    output = start(broker.settings("Küche 2"))
    output.microphone(HEALTHY)
    announced.wait_for("mqtt: connected to")
    output.prediction(numbered_prediction(1), LIT_AT)
    output.close(LIMIT_S)  # after which all of it has arrived
    with Subscriber(broker.port) as late:
        config = late.next("homeassistant/sensor/edge-mcnn-Kuche-2/label/config")
        microphone = late.next("edge-mcnn/Kuche-2/microphone")
    assert config.retained
    about = json.loads(config.payload)
    assert about["device"]["name"] == "Küche 2"
    assert about["device"]["identifiers"] == ["edge-mcnn-Kuche-2"]
    assert about["availability"] == [{"topic": "edge-mcnn/Kuche-2/availability"}]
    assert about["state_topic"] == "edge-mcnn/Kuche-2/prediction"
    assert (microphone.payload, microphone.retained) == ("ON", True)


def test_it_is_available_while_it_runs_and_publishes_the_state_of_the_microphone(broker: Broker, start: Start) -> None:
    with Subscriber(broker.port) as subscriber:
        output = start(broker.settings("there"))
        assert subscriber.next("edge-mcnn/there/availability").payload == "online"
        output.microphone(HEALTHY)
        assert subscriber.next("edge-mcnn/there/microphone").payload in ("ON", "OFF")
        output.microphone(LOST)
        output.microphone(HEALTHY)
        output.prediction(numbered_prediction(1), LIT_AT)
        output.close(LIMIT_S)
        assert subscriber.next("edge-mcnn/there/availability").payload == "offline"
    with Subscriber(broker.port) as late:
        message = late.next("edge-mcnn/there/availability")
        assert (message.payload, message.retained) == ("offline", True)
    with Subscriber(broker.port) as late:
        assert late.next("edge-mcnn/there/microphone").payload == "ON", "the latest state"


def test_when_it_is_killed_its_last_will_is_published(broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber:
        with running(broker.settings("killed")):
            assert subscriber.next("edge-mcnn/killed/availability").payload == "online"
        assert subscriber.next("edge-mcnn/killed/availability").payload == "offline"


def test_it_goes_offline_even_with_no_time_left(broker: Broker, start: Start, announced: Announcements) -> None:
    output = start(broker.settings("hasty"))
    announced.wait_for("mqtt: connected to")
    with Subscriber(broker.port) as subscriber:
        assert subscriber.next("edge-mcnn/hasty/availability").payload == "online"
        output.close(-1)
        assert subscriber.next("edge-mcnn/hasty/availability").payload == "offline"


def test_two_devices_differ_in_nothing_but_their_names(broker: Broker, start: Start, announced: Announcements) -> None:
    with Subscriber(broker.port) as subscriber:
        first, second = start(broker.settings("one")), start(broker.settings("two"))
        announced.wait_for("mqtt: connected to", times=2)
        first.prediction(numbered_prediction(1), LIT_AT)
        assert subscriber.numbers("one", 1) == [1]
        second.prediction(numbered_prediction(2), LIT_AT)
        assert subscriber.numbers("two", 1) == [2]
        first.close(LIMIT_S)
        second.prediction(numbered_prediction(3), LIT_AT)
        assert subscriber.numbers("two", 1) == [3]
    assert not [line for line in announced.lines if "disconnected" in line], "they do not disconnect each other"
    with Subscriber(broker.port) as late:
        ids = [json.loads(late.next(f"homeassistant/sensor/edge-mcnn-{device}/label/config").payload)["unique_id"]
               for device in ("one", "two")]  # fmt: skip
    assert len(set(ids)) == 2


def test_a_microphone_that_is_being_opened_publishes_nothing(
    broker: Broker, start: Start, announced: Announcements
) -> None:
    with Subscriber(broker.port) as subscriber:
        output = start(broker.settings("opening"))
        announced.wait_for("mqtt: connected to")
        for state in (State.HEALTHY, State.RECOVERING, State.SILENT, State.HEALTHY):
            output.microphone(Liveness(state, 0, ""))
        output.close(LIMIT_S)
        payloads = [subscriber.next("edge-mcnn/opening/microphone").payload for _ in range(4)]
    assert payloads == ["OFF", "ON", "OFF", "ON"], "one message when it connects, one for each other state"
