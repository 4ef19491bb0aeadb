"""With a real mosquitto: a device is removed from the broker."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from device.errors import PublishingError
from device.outputs.mqtt.forget import Forgotten, forget
from device.settings.schema import MqttSettings
from tests.device.outputs.mqtt.broker import Broker, Subscriber, needs_mosquitto
from tests.device.outputs.mqtt.conftest import Start
from tests.device.outputs.mqtt.locked_broker import make_certificates, serving, with_password, with_tls
from tests.device.outputs.mqtt.recorded_commands import Publisher, RecordedCommands
from tests.device.outputs.mqtt.test_output_discovery import of, removals, retained
from tests.device.outputs.predictions import Announcements
from tests.waiting import LIMIT_S


@needs_mosquitto
def test_everything_of_the_device_is_removed_and_nothing_else(
    broker: Broker, start: Start, publish: Publisher, announced: Announcements
) -> None:
    for device in ("gone", "gone2"):
        output = start(broker.settings(device, corrections=True, level=True), RecordedCommands())
        announced.wait_for("mqtt: connected to", times=1 if device == "gone" else 2)
        output.close(LIMIT_S)
    publish("homeassistant/sensor/edge-mcnn-gone/of-another-version/config", "{}", retain=True)
    before = retained(broker)
    others = before.keys() - of("gone", before)
    with Subscriber(broker.port) as subscriber:
        done = forget(broker.settings("gone", discovery_prefix=""))
        of_entities = [topic.startswith("homeassistant/") for topic in removals(subscriber, of("gone", before))]
    assert of_entities == sorted(of_entities, reverse=True), "a state is removed after its entity"
    assert done == Forgotten("gone", f"127.0.0.1:{broker.port}", len(of("gone", before)), online=False)
    assert done.messages > 20
    after = retained(broker)
    assert of("gone", after) == set()
    assert others <= after.keys()
    assert forget(broker.settings("gone")).messages == 0


@needs_mosquitto
def test_a_device_that_runs_is_reported(broker: Broker, start: Start) -> None:
    with Subscriber(broker.port) as subscriber:
        start(broker.settings("running"))
        subscriber.next("edge-mcnn/running/machine")  # the last of what is published at the start
    assert forget(broker.settings("running")).online


@needs_mosquitto
def test_with_a_password_and_tls(tmp_path: Path, start: Start, announced: Announcements) -> None:
    authority = make_certificates(tmp_path)
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    login: dict[str, Any] = {
        "user": "lamp", "password_file": str(tmp_path / "secret"), "tls": True, "ca_file": str(authority / "ca.pem"),
    }  # fmt: skip
    with Broker(tmp_path, *with_tls(authority), with_password(tmp_path, "lamp", "s3cret")) as broker:
        settings = broker.settings("secure", **login)
        output = start(settings)
        announced.wait_for("mqtt: connected to")
        output.close(LIMIT_S)
        assert forget(settings).messages > 10
        with (
            Subscriber(broker.port, "lamp", "s3cret", login["ca_file"]) as late,
            Publisher(broker.port, "lamp", "s3cret", login["ca_file"]) as publish,
        ):
            publish("end", "x")
            late.next("end")
            assert not [each for each in late._messages if each.retained]
        (tmp_path / "secret").write_text("wrong\n")
        with pytest.raises(PublishingError, match=r"refuses the connection \(Not authorized\)") as error:
            forget(settings)
        assert "correct mqtt.user or the password" in error.value.fix


@contextmanager
def restricted(folder: Path, right: str) -> Iterator[Broker]:
    """A broker that has stored messages of the device `stays`, and grants everyone no more than this right.

    At the end, they must still be there if the right is to read, and no longer be there if it is to write.
    """
    with Broker(folder, persistent=True) as broker:
        with Publisher(broker.port) as publish:
            publish("edge-mcnn/stays/mute", "ON", retain=True)
            publish("homeassistant/sensor/edge-mcnn-stays/label/config", "{}", retain=True)
        broker.stop()
        before = broker._configuration.read_text()
        (folder / "acl").write_text(f"topic {right} #\n")
        broker._configuration.write_text(f"{before}acl_file {folder}/acl\n")
        broker.start()
        yield broker
        broker.stop()
        broker._configuration.write_text(before)
        broker.start()
        left = of("stays", retained(broker))
        assert len(left) == (2 if right == "read" else 0)


@needs_mosquitto
def test_a_user_without_the_right_to_write(tmp_path: Path) -> None:
    with (
        restricted(tmp_path, "read") as broker,
        pytest.raises(
            PublishingError, match="still has 2 of 2 messages of stays, such as edge-mcnn/stays/mute"
        ) as error,
    ):
        forget(broker.settings("stays"))
    assert error.value.fix.startswith("let the broker accept messages with these topics from this user")


@needs_mosquitto
def test_a_user_without_the_right_to_read_removes_what_every_device_has(tmp_path: Path) -> None:
    with restricted(tmp_path, "write") as broker:
        assert forget(broker.settings("stays")).messages == 0


def test_without_a_broker_in_the_settings() -> None:
    with pytest.raises(PublishingError, match=r"mqtt\.host is empty") as error:
        forget(MqttSettings())
    assert "--config" in error.value.fix


def test_a_broker_that_cannot_be_reached_or_does_not_respond() -> None:
    with serving() as port:
        pass
    with pytest.raises(PublishingError, match="cannot be reached") as error:
        forget(MqttSettings("127.0.0.1", port=port, device="x"))
    assert error.value.fix
    started = time.monotonic()
    with serving(silent=True) as port, pytest.raises(PublishingError, match=re.escape("does not respond")):
        forget(MqttSettings("127.0.0.1", port=port, device="x"), limit_s=0.3)
    assert time.monotonic() - started < LIMIT_S


def test_a_broker_that_accepts_the_login_and_nothing_more() -> None:
    with serving(response=b"\x20\x02\x00\x00") as port, pytest.raises(PublishingError) as error:
        forget(MqttSettings("127.0.0.1", port=port, device="x"), limit_s=1)
    assert error.value.message == f"127.0.0.1:{port} does not respond any more"


def test_a_name_of_which_topics_can_carry_nothing() -> None:
    with pytest.raises(PublishingError, match="of which topics can carry no character"):
        forget(MqttSettings("127.0.0.1", device="***"))
