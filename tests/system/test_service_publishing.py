"""The service in a booted systemd, publishing its predictions to a broker and to a program."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CLIPS
from tests.device.outputs.mqtt.broker import MOSQUITTO, needs_mosquitto
from tests.system.service_machine import CONFIG, UNIT, ServiceMachine, booted, booted_machine

pytestmark = booted


@pytest.fixture(scope="module")
def machine(speech_model: Path) -> Iterator[ServiceMachine]:
    with booted_machine(speech_model) as machine:
        yield machine


@needs_mosquitto
def test_network_access_follows_the_broker_in_the_settings(machine: ServiceMachine) -> None:
    machine.write(CONFIG, '[mqtt]\nhost = "127.0.0.1"\nuser = "lamp"\npassword_file = "/etc/mqtt-password"\n')
    machine.write("/opt/broker.conf", "listener 1883 127.0.0.1\npassword_file /opt/passwords\nuser root\n")
    machine.system.run(
        "sh", "-c", "mosquitto_passwd -b -c /opt/passwords lamp s3cret; systemctl stop mosquitto; "
        f"systemd-run --unit=broker {MOSQUITTO} -c /opt/broker.conf",
    )  # fmt: skip
    output = machine.edge_mcnn("service", "install", check=False)
    assert "mqtt.password_file: /etc/mqtt-password cannot be read" in output
    machine.write("/etc/mqtt-password", "s3cret", mode="600")
    output = machine.edge_mcnn("service", "install")
    assert f"network access for the broker 127.0.0.1: write {UNIT}.d/network.conf" in output
    connected = "connected to 127.0.0.1:1883"
    machine.wait_for(lambda: connected in machine.journal(), "a connection to the broker")
    assert machine.unit_property("IPAddressAllow") == "127.0.0.1/32"
    machine.write(CONFIG, "[endpoint]\nhang_over_s = 1\n")
    output = machine.edge_mcnn("service", "install")
    assert f"no network access: remove {UNIT}.d/network.conf" in output
    assert (machine.unit_property("PrivateNetwork"), machine.unit_property("IPAddressAllow")) == ("yes", "")
    machine.system.run("systemctl", "stop", "broker")


def test_a_program_has_the_same_restrictions(machine: ServiceMachine) -> None:
    script = "#!/bin/sh\ntouch /etc/x /var/lib/edge-mcnn/x /home/x 2>/dev/null || cat >/run/edge-mcnn/prediction\n"
    machine.write("/home/someone/on-prediction", script, mode="755")
    machine.write(CONFIG, '[publish]\ncommand = ["/home/someone/on-prediction"]\n')
    machine.edge_mcnn("service", "install")
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    path = "/run/edge-mcnn/prediction"
    machine.wait_for(
        lambda: machine.system.run("test", "-s", path, check=False).returncode == 0, "a prediction in a file"
    )
    prediction = json.loads(machine.read(path))
    assert prediction["label"] == machine.status()["last_label"]
    assert "text" not in prediction
    assert not any(machine.exists(path) for path in ("/etc/x", "/var/lib/edge-mcnn/x", "/home/x"))
