"""The service in a booted systemd, told to pass its answers on: to a broker, to a program."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CLIPS
from tests.device.outputs.mqtt.broker import MOSQUITTO, needs_mosquitto
from tests.system.service_machine import CONFIG, UNIT, Machine, booted, booted_machine

pytestmark = booted


@pytest.fixture(scope="module")
def machine(speech_model: Path) -> Iterator[Machine]:
    with booted_machine(speech_model) as machine:
        yield machine


@needs_mosquitto
def test_with_a_broker_it_may_use_the_network_and_without_no_more(machine: Machine) -> None:
    machine.write(CONFIG, '[mqtt]\nhost = "127.0.0.1"\nuser = "lamp"\npassword_file = "/etc/mqtt-password"\n')
    machine.write("/opt/broker.conf", "listener 1883 127.0.0.1\npassword_file /opt/passwords\nuser root\n")
    machine.system.run(
        "sh", "-c", "mosquitto_passwd -b -c /opt/passwords lamp s3cret; systemctl stop mosquitto; "
        f"systemd-run --unit=broker {MOSQUITTO} -c /opt/broker.conf",
    )  # fmt: skip
    told = machine.edge_mcnn("service", "install", check=False)
    assert "mqtt.password_file: /etc/mqtt-password cannot be read" in told
    machine.write("/etc/mqtt-password", "s3cret", mode="600")
    told = machine.edge_mcnn("service", "install")
    assert f"network access for the broker 127.0.0.1: write {UNIT}.d/network.conf" in told
    reached = "mqtt: 127.0.0.1:1883 is told each answer"
    machine.wait_for(lambda: reached in machine.journal(), "word that the broker is reached")
    assert machine.shown("IPAddressAllow") == "127.0.0.1/32"
    machine.write(CONFIG, "[endpoint]\nhang_over_s = 1\n")
    told = machine.edge_mcnn("service", "install")
    assert f"no network access: remove {UNIT}.d/network.conf" in told
    assert (machine.shown("PrivateNetwork"), machine.shown("IPAddressAllow")) == ("yes", "")
    machine.system.run("systemctl", "stop", "broker")


def test_a_program_runs_in_the_same_cage(machine: Machine) -> None:
    script = "#!/bin/sh\ntouch /etc/x /var/lib/edge-mcnn/x /home/x 2>/dev/null || cat >/run/edge-mcnn/answer\n"
    machine.write("/home/someone/on-answer", script, mode="755")
    machine.write(CONFIG, '[publish]\ncommand = ["/home/someone/on-answer"]\n')
    machine.edge_mcnn("service", "install")
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    path = "/run/edge-mcnn/answer"
    machine.wait_for(lambda: machine.system.run("test", "-s", path, check=False).returncode == 0, "an answer in a file")
    told = json.loads(machine.read(path))
    assert told["label"] == machine.status()["last_label"]
    assert "text" not in told
    assert not any(machine.exists(path) for path in ("/etc/x", "/var/lib/edge-mcnn/x", "/home/x"))
