"""The service in a booted systemd, with its predictions published to a broker, to a program and on the page."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CLIPS
from tests.device.outputs.mqtt.broker import MOSQUITTO, needs_mosquitto
from tests.system.service_machine import CONFIG, EDGE_MCNN, UNIT, ServiceMachine, booted, booted_machine

pytestmark = booted


@pytest.fixture(scope="module")
def machine(speech_model: Path) -> Iterator[ServiceMachine]:
    with booted_machine(speech_model) as machine:
        yield machine


CHECK = """
import json, os, pathlib, sys
from dataclasses import asdict
from threading import Thread
from device.daemon.control import check_device

results = []
checking = Thread(target=lambda: results.append(asdict(check_device())))
checking.start()
seen = {}
while checking.is_alive():
    for process in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            command = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().split(bytes(1))
            if b"doctor" in command:
                score = pathlib.Path(f"/proc/{process}/oom_score_adj").read_text()
                seen[process] = [os.getpriority(os.PRIO_PROCESS, process), int(score)]
        except OSError:
            pass
print(json.dumps({**results[0], "seen": list(seen.values())}))
"""
"""Checks the device, and notes priority and score of each process that the check consists of."""


def check(machine: ServiceMachine) -> dict[str, Any]:
    """The result of a check in the sandbox of the service, and `seen`: priority and score of its processes."""
    result: dict[str, Any] = json.loads(machine.system.run("/opt/edge-mcnn/bin/python", "-c", CHECK).stdout)
    return result


def checked(machine: ServiceMachine) -> dict[str, dict[str, str]]:
    """Findings of a check in the sandbox of the service, by topic; none may be due to the sandbox."""
    findings = {each["topic"]: each for each in check(machine)["findings"]}
    assert [each for each in findings.values() if each["verdict"] == "FAIL"] == []
    return findings


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
    broker = checked(machine)["broker"]
    assert (broker["verdict"], "127.0.0.1:1883 accepts the connection as lamp" in broker["message"]) == ("OK", True)
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
    command = {"topic": "command", "verdict": "OK", "message": "/home/someone/on-prediction", "fix": ""}
    assert checked(machine)["command"] == command


WEB_UNIT = "/etc/systemd/system/edge-mcnn-web.service"
HISTORY = "/var/lib/edge-mcnn-web/history.sqlite3"
GET = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


def page(machine: ServiceMachine, path: str = "/", address: str = "127.0.0.1") -> str:
    """What the page answers inside the machine."""
    return machine.system.run("/opt/edge-mcnn/bin/python", "-c", GET, f"http://{address}:8350{path}").stdout


def web_property(machine: ServiceMachine, name: str) -> str:
    return machine.system.run("systemctl", "show", "edge-mcnn-web", f"--property={name}", "--value").stdout.strip()


def stored(machine: ServiceMachine) -> int:
    """Number of predictions in the history of the service."""
    table = json.loads(machine.edge_mcnn("history", "--json").splitlines()[0])
    return int(table["predictions"])


def test_the_page_is_a_service_of_its_own(machine: ServiceMachine) -> None:
    machine.write(CONFIG, "[history]\nkeep_days = 30\n")
    output = machine.edge_mcnn("service", "install", "--web")
    assert f"page: unit: write {WEB_UNIT}" in output
    assert "The page: http://127.0.0.1:8350" in output
    assert "This is edge-mcnn" not in page(machine), "nothing to log in to on this machine alone"
    before = machine.unit_property("MainPID")
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    machine.wait_for(lambda: stored(machine) == 1, "a prediction in the history")
    assert json.loads(page(machine, "/api/status"))["latest"][0]["number"] >= 1
    # kill -9: it comes back, the prediction is there once, and the daemon has not noticed.
    machine.system.run("systemctl", "kill", "--signal=KILL", "edge-mcnn-web")
    machine.wait_for(lambda: web_property(machine, "NRestarts") == "1", "a restart of the page")
    machine.wait_for(lambda: "<main" in page(machine), "the page")
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    machine.wait_for(lambda: stored(machine) == 2, "the next prediction in the history")
    assert machine.unit_property("MainPID") == before
    assert not any("page:" in line and "write" in line for line in machine.edge_mcnn("service", "install").splitlines())


def test_the_service_checks_itself_in_its_sandbox(machine: ServiceMachine) -> None:
    before = machine.unit_property("MainPID")
    findings = checked(machine)
    assert findings["settings"]["message"] == f"{CONFIG} is valid"
    assert (
        findings["level"]["message"]
        == f"not measured: the daemon, process {before}, uses the microphone, and receives audio"
    )
    assert findings["service"]["message"].startswith(f"running; process {before} listens to default, ")
    assert findings["disk"]["message"].endswith(" free for /var/lib/edge-mcnn")
    assert findings.keys() >= set(machine.findings()) - {"service files"}
    machine.system.run("systemctl", "restart", "edge-mcnn")  # else it returns the same result
    seen = check(machine)["seen"]
    assert len(seen) > len(findings) / 2, "the checks, each in a process of its own"
    assert all(each == [10, 1000] for each in seen), seen
    assert machine.unit_property("OOMPolicy") == "continue", "the service stays when the kernel ends a check"


def test_the_page_has_no_network_and_no_devices(machine: ServiceMachine) -> None:
    process = web_property(machine, "MainPID")
    interfaces = machine.read(f"/proc/{process}/net/dev").splitlines()[2:]
    assert [line.partition(":")[0].strip() for line in interfaces] == ["lo"]
    status = machine.read(f"/proc/{process}/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert machine.system.run("stat", "--format=%a", HISTORY).stdout == "600\n"


def test_others_can_open_the_page_with_the_password(machine: ServiceMachine) -> None:
    machine.write(CONFIG, '[history]\nkeep_days = 30\n[web]\naddress = "0.0.0.0"\n')
    refused = machine.edge_mcnn("service", "install", "--web", check=False)
    assert "set one: sudo edge-mcnn web --set-password" in refused
    machine.system.run("sh", "-c", f"echo 'correct horse' | {EDGE_MCNN} web --set-password")
    machine.edge_mcnn("service", "install", "--web")
    assert "This is edge-mcnn" in page(machine)
    assert stored(machine) == 2, "the history stays"


def test_the_page_is_removed_and_the_device_goes_on(machine: ServiceMachine) -> None:
    before = machine.unit_property("MainPID")
    output = machine.edge_mcnn("service", "uninstall", "--web")
    assert "the history and the password of the page; --purge removes it, too" in output
    assert not machine.exists(WEB_UNIT)
    assert machine.system.run("systemctl", "is-active", "edge-mcnn-web.socket", check=False).stdout == "inactive\n"
    assert machine.exists(HISTORY)
    assert machine.unit_property("MainPID") == before
    machine.edge_mcnn("service", "uninstall", "--purge")
    assert not machine.exists("/var/lib/private/edge-mcnn-web")
