from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.outputs.commands import Commands
from device.outputs.mqtt.output import MqttOutput
from device.settings.schema import MqttSettings
from tests.device.outputs.mqtt.broker import Broker, Subscriber
from tests.device.outputs.mqtt.recorded_commands import Publisher
from tests.device.outputs.predictions import LABELS, Announcements
from tests.waiting import LIMIT_S

Start = Callable[..., MqttOutput]


def close(output: MqttOutput) -> None:
    """Close an output and its sockets, which paho leaves to the garbage collector, and that warns about them."""
    connected = output._client.is_connected()
    output.close(LIMIT_S)
    if connected:  # else paho's thread may wait for its next attempt, and has the sockets until then
        output._client.loop_stop()
        output._client._reset_sockets()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def stopped_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that is not running yet, and stores for the session `s` what is published when it runs."""
    with Broker(tmp_path, persistent=True) as broker:
        with Subscriber(broker.port, session="s"):
            pass
        broker.stop()
        yield broker


@pytest.fixture
def publish(broker: Broker) -> Iterator[Publisher]:
    with Publisher(broker.port) as publisher:
        yield publisher


@pytest.fixture
def start(announced: Announcements) -> Iterator[Start]:
    """Opens outputs, and closes them at the end."""
    started = []

    def begin(settings: MqttSettings, commands: Commands | None = None, labels: tuple[str, ...] = LABELS) -> MqttOutput:
        output = MqttOutput(settings, announced, commands)
        output.open(labels)
        started.append(output)
        return output

    yield begin
    for each in started:
        close(each)
