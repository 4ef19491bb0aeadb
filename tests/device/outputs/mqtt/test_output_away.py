"""A real mosquitto that starts late, goes away, loses its memory or hangs; it delays nothing."""

import itertools
import socket
from pathlib import Path

import pytest

from device.audio.liveness import Liveness, State
from device.outputs.mqtt import output as mqtt_output
from device.outputs.mqtt.output import MqttOutput
from device.settings.schema import MqttSettings
from tests.device.outputs.mqtt.broker import Broker, Subscriber, needs_mosquitto
from tests.device.outputs.mqtt.conftest import Start
from tests.device.outputs.predictions import LABELS, LIT_AT, Announcements, numbered_prediction

pytestmark = [pytest.mark.slow, needs_mosquitto]
CONNECTED = "mqtt: connected to"
HEALTHY = Liveness(State.HEALTHY, 0, "", "USB", 16_000)
LOST = Liveness(State.LOST, 0, "it is gone")


def numbers_until(subscriber: Subscriber, device: str, last: float) -> list[float]:
    """Numbers that arrive, up to the last; one that is repeated because its acknowledgement was lost counts once."""
    found = subscriber.numbers(device, 1)
    while found[-1] != last:
        found += subscriber.numbers(device, 1)
    return [number for number, _ in itertools.groupby(found)]


def test_a_broker_that_starts_late_gets_everything(
    stopped_broker: Broker, start: Start, announced: Announcements
) -> None:
    output = start(stopped_broker.settings("early"))
    for number in range(5):
        output.prediction(numbered_prediction(number), LIT_AT)
    announced.wait_for("cannot be reached (Connection refused)")
    stopped_broker.start()
    with Subscriber(stopped_broker.port, session="s") as subscriber:
        assert numbers_until(subscriber, "early", 4) == [0, 1, 2, 3, 4]


def test_a_broker_that_is_away_for_a_while_misses_nothing(
    stopped_broker: Broker, start: Start, announced: Announcements
) -> None:
    stopped_broker.start()
    output = start(stopped_broker.settings("back"))
    announced.wait_for(CONNECTED)
    output.prediction(numbered_prediction(0), LIT_AT)
    stopped_broker.stop()
    announced.wait_for("is disconnected")
    for number in range(1, 200):
        output.prediction(numbered_prediction(number), LIT_AT)
        output.microphone(LOST if number % 2 else HEALTHY)
    announced.wait_for("cannot be reached")
    stopped_broker.start()
    announced.wait_for(CONNECTED, times=2)
    assert sum("cannot be reached" in line for line in announced.lines) == 1
    with Subscriber(stopped_broker.port, session="s") as subscriber:
        assert numbers_until(subscriber, "back", 199) == list(range(200))
    with Subscriber(stopped_broker.port) as late:
        assert late.next("edge-mcnn/back/availability").payload == "online"
    with Subscriber(stopped_broker.port) as late:
        assert late.next("edge-mcnn/back/microphone").payload == "OFF", "the present state, none of those before"


def test_no_more_are_stored_than_the_bound(
    stopped_broker: Broker, start: Start, announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_output, "_BOUND", 5)
    output = start(stopped_broker.settings("bound"))
    for number in range(20):
        output.prediction(numbered_prediction(number), LIT_AT)
    stopped_broker.start()
    with Subscriber(stopped_broker.port, session="s") as subscriber:
        assert numbers_until(subscriber, "bound", 19) == [15, 16, 17, 18, 19]
    announced.wait_for("predictions dropped so far, the oldest of too many: 15")


def test_a_broker_that_lost_its_memory_gets_the_retained_messages_again(
    tmp_path: Path, start: Start, announced: Announcements
) -> None:
    with Broker(tmp_path) as broker:
        start(broker.settings("known"))
        announced.wait_for(CONNECTED)
        broker.stop()
        broker.start()
        announced.wait_for(CONNECTED, times=2)
        with Subscriber(broker.port) as late:
            assert late.next("homeassistant/sensor/edge-mcnn-known/label/config").payload
            assert late.next("edge-mcnn/known/availability").payload == "online"


def test_a_broker_that_hangs_delays_nothing(announced: Announcements) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = MqttSettings(host="127.0.0.1", port=silent.getsockname()[1], device="hung")
        output = MqttOutput(settings, announced)
        output.open(LABELS)
        silent.accept()[0].close()
        for number in range(3):
            output.prediction(numbered_prediction(number), LIT_AT)
            output.microphone(HEALTHY)
        output.close(0.2)
    assert announced.lines[-1] == "mqtt: predictions not delivered before the end: 3"
