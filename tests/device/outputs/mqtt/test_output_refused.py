"""Logins that a broker refuses until something changes, connections that it ends, and how often that is logged."""

from pathlib import Path

import pytest

from device.outputs.mqtt import output as mqtt_output
from device.outputs.mqtt.client import client_id
from device.outputs.mqtt.failures import Failure
from device.outputs.mqtt.output import MqttOutput
from device.settings.schema import MqttSettings
from tests.device.outputs.mqtt.broker import Broker, Subscriber, needs_mosquitto
from tests.device.outputs.mqtt.conftest import Start
from tests.device.outputs.mqtt.locked_broker import serving, with_password
from tests.device.outputs.predictions import LIT_AT, Announcements, numbered_prediction

ACCEPTED = b"\x20\x02\x00\x00"
"""An MQTT 3.1.1 CONNACK without a failure, after which the connection is closed."""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("wrong\n")
    path.chmod(0o600)
    return path


@needs_mosquitto
def test_a_password_that_was_corrected_is_used_at_the_next_attempt(
    secret: Path, tmp_path: Path, start: Start, announced: Announcements
) -> None:
    with Broker(tmp_path, with_password(tmp_path, "lamp", "s3cret")) as broker:
        output = start(broker.settings("lamp", user="lamp", password_file=str(secret)))
        output.prediction(numbered_prediction(1), LIT_AT)
        announced.wait_for("refuses the connection (Not authorized)")
        with Subscriber(broker.port, user="lamp", password="s3cret") as subscriber:  # of this test
            secret.write_text("s3cret\n")
            assert subscriber.numbers("lamp", 1) == [1]
        announced.wait_for("mqtt: connected to")


@needs_mosquitto
def test_a_password_file_that_is_away_is_reported_and_read_when_it_is_back(
    secret: Path, tmp_path: Path, start: Start, announced: Announcements
) -> None:
    with Broker(tmp_path, with_password(tmp_path, "lamp", "s3cret")) as broker:
        start(broker.settings("lamp", user="lamp", password_file=str(secret)))
        announced.wait_for("refuses the connection")
        secret.unlink()
        announced.wait_for(
            f"is not connected, because the login is incomplete: mqtt.password_file: {secret} cannot be read "
            "(No such file or directory); next attempt in"
        )
        announced.wait_for("  fix: write the password into that file")
        secret.write_text("s3cret\n")
        announced.wait_for("mqtt: connected to")
    assert not [line for line in announced.lines if "s3cret" in line]


def test_connections_that_end_at_once_are_reported_a_few_times_and_the_waits_grow(
    start: Start, announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_output, "_SHORT_IN_A_ROW", 2)
    with serving(response=ACCEPTED) as port:
        output = start(MqttSettings("127.0.0.1", port=port, device="x"))
        announced.wait_for("ended 2 connections in a row shortly after it had accepted them; next attempt in 2 s")
        announced.wait_for("  fix: if another device has the same mqtt.device")
        announced.wait_for("mqtt: connected to", times=3)
    kinds = [line.split(" ")[2 if "connected to" not in line else 1] for line in announced.lines if "fix:" not in line]
    assert kinds[:5] == ["connected", "is", "connected", "ended", "connected"]
    assert output._shortest_wait_s >= 2


@needs_mosquitto
def test_two_devices_with_one_client_id(
    tmp_path: Path, start: Start, announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_output, "_SHORT_IN_A_ROW", 1)
    with Broker(tmp_path) as broker:
        start(broker.settings("same"))
        announced.wait_for("mqtt: connected to")
        start(broker.settings("same"))
        announced.wait_for("  fix: if another device has the same mqtt.device")
    assert client_id("same") in broker.log.read_text()


def test_the_same_problem_is_reported_again_only_after_an_hour(
    announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = MqttOutput(MqttSettings("h", device="x"), announced)
    now = 100.0
    monkeypatch.setattr("device.outputs.mqtt.output.time.monotonic", lambda: now)
    for minutes in range(119):
        now = 100.0 + 60 * minutes
        output._report(Failure(f"cannot be trusted; the clock of this machine shows 10:{minutes}", "set the clock"))
        output._report(Failure("cannot be reached", "start it"))
    assert [line.split("; next")[0] for line in announced.lines if "fix" not in line] == [
        "mqtt: h:1883 cannot be trusted; the clock of this machine shows 10:0",
        "mqtt: h:1883 cannot be reached",
        "mqtt: h:1883 cannot be trusted; the clock of this machine shows 10:60",
        "mqtt: h:1883 cannot be reached",
    ]


def test_a_connection_that_lasted_makes_the_next_problem_news(
    announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = MqttOutput(MqttSettings("h", device="x"), announced)
    now = 0.0
    monkeypatch.setattr("device.outputs.mqtt.output.time.monotonic", lambda: now)
    output._connected_at = 0.0
    for _ in range(3):
        now += 61
        output._report_end(Failure("is disconnected", ""))
        output._connected_at = now
    assert [line.partition(";")[0] for line in announced.lines] == ["mqtt: h:1883 is disconnected"] * 3


def test_the_announced_wait_is_that_of_paho(announced: Announcements, start: Start) -> None:
    with serving() as port:
        output = start(MqttSettings("127.0.0.1", port=port, device="x"))
        announced.wait_for("next attempt in 1 s")
    output._failed_attempts, output._reported = 3, {}
    output._report(Failure("cannot be reached", ""))
    assert "next attempt in 8 s" in announced.lines[-1]
    output._failed_attempts, output._reported = 2000, {}
    output._report(Failure("cannot be reached", ""))
    assert "next attempt in 60 s" in announced.lines[-1]
