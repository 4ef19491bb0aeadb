"""A real mosquitto that comes late, goes away, forgets or hangs; nobody is held up by it."""

import itertools
import socket
from pathlib import Path

import pytest

from device.outputs.mqtt import publisher as mqtt
from device.outputs.mqtt.publisher import MqttPublisher
from device.settings.schema import MqttSettings
from tests.device.outputs.conftest import Start
from tests.device.outputs.mqtt.broker import Broker, Witness, needs_mosquitto
from tests.device.outputs.published_predictions import REACHED, Told, answer

pytestmark = needs_mosquitto


def until(witness: Witness, device: str, last: float) -> list[float]:
    """Which ones come, up to the last; one that is repeated, since its acknowledgement was lost, counts once."""
    found = witness.numbers(device, 1)
    while found[-1] != last:
        found += witness.numbers(device, 1)
    return [number for number, _ in itertools.groupby(found)]


def test_a_broker_that_comes_late_gets_all(away: Broker, start: Start, told: Told) -> None:
    publisher = start(away.settings("early"))
    for number in range(5):
        publisher.publish(answer(number))
    told.wait_for("cannot be reached (Connection refused)")
    away.start()
    with Witness(away.port, session="w") as witness:
        assert until(witness, "early", 4) == [0, 1, 2, 3, 4]


def test_a_broker_that_is_away_for_a_while_misses_nothing(away: Broker, start: Start, told: Told) -> None:
    away.start()
    publisher = start(away.settings("back"))
    told.wait_for(REACHED)
    publisher.publish(answer(0))
    away.stop()
    told.wait_for("is lost")
    for number in range(1, 200):
        publisher.publish(answer(number))
        publisher.microphone(heard=number % 2 == 0)
    told.wait_for("cannot be reached")
    away.start()
    told.wait_for(REACHED, times=2)
    assert sum("cannot be reached" in line for line in told.lines) == 1
    with Witness(away.port, session="w") as witness:
        assert until(witness, "back", 199) == list(range(200))
    with Witness(away.port) as late:
        assert late.next("edge-mcnn/back/availability").payload == "online"
    with Witness(away.port) as late:
        assert late.next("edge-mcnn/back/microphone").payload == "OFF", "as it is, not as it was meanwhile"


def test_no_more_is_kept_than_the_bound(
    away: Broker, start: Start, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_BOUND", 5)
    publisher = start(away.settings("bound"))
    for number in range(20):
        publisher.publish(answer(number))
    away.start()
    with Witness(away.port, session="w") as witness:
        assert until(witness, "bound", 19) == [15, 16, 17, 18, 19]
    told.wait_for("15 answers were dropped so far")


def test_a_broker_that_lost_its_memory_is_told_anew(tmp_path: Path, start: Start, told: Told) -> None:
    with Broker(tmp_path) as forgetful:
        start(forgetful.settings("known"))
        told.wait_for(REACHED)
        forgetful.stop()
        forgetful.start()
        told.wait_for(REACHED, times=2)
        with Witness(forgetful.port) as late:
            assert late.next("homeassistant/sensor/edge-mcnn-known/label/config").payload
            assert late.next("edge-mcnn/known/availability").payload == "online"


def test_a_broker_that_hangs_holds_nobody_up(told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = MqttSettings(host="127.0.0.1", port=silent.getsockname()[1], device="hung")
        publisher = MqttPublisher(settings, told)
        publisher.open()
        silent.accept()[0].close()
        for number in range(3):
            publisher.publish(answer(number))
            publisher.microphone(heard=True)
        publisher.close(0.2)
    assert told.lines[-1] == "mqtt: 3 answers were left at the end"
