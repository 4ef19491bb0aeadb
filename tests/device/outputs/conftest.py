from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.outputs.mqtt.publisher import MqttPublisher
from device.settings.schema import MqttSettings
from tests.device.outputs.mqtt.broker import Broker, Witness
from tests.device.outputs.published_predictions import LIMIT_S, Told

Start = Callable[[MqttSettings], MqttPublisher]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Broker]:
    """One that is not there yet, and that will keep for a witness with a session what is published when it is."""
    with Broker(tmp_path, remembers=True) as broker:
        with Witness(broker.port, session="w"):
            pass
        broker.stop()
        yield broker


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def start(told: Told) -> Iterator[Start]:
    """Opens publishers, and closes them at the end."""
    started = []

    def begin(settings: MqttSettings) -> MqttPublisher:
        publisher = MqttPublisher(settings, told)
        publisher.open()
        started.append(publisher)
        return publisher

    yield begin
    for each in started:
        each.close(LIMIT_S)
