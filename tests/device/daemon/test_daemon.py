"""The daemon with a microphone, an understanding and lights of the test: order, signals, what it tells and when."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from device.daemon.daemon import Daemon
from device.daemon.systemd import Systemd
from device.outputs.base import Observer
from device.settings.schema import Settings
from tests.device.outputs.mqtt.broker import MOSQUITTO, Broker, Witness
from tests.waiting import wait_for_content, wait_until_gone

SCRIPT = Path(__file__).with_name("daemon_process.py")
LIMIT_S = 30


class Process:
    """`daemon_process.py`, and what it tells systemd."""

    def __init__(self, address: Path, what: str, watchdog_s: float, settings: dict[str, str]) -> None:
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(address))
        self.manager.settimeout(LIMIT_S)
        environment = {
            **os.environ, "NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": str(round(watchdog_s * 1e6)), **settings,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, what], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip

    def wait_for(self, told: str) -> None:
        while told not in self.manager.recv(1000).decode():
            pass

    def told_within(self, seconds: float) -> list[str]:
        """What is told in that time."""
        end, told = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            self.manager.settimeout(left)
            try:
                told.append(self.manager.recv(1000).decode())
            except TimeoutError:
                break
        self.manager.settimeout(LIMIT_S)
        return told

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Status, output and errors after a signal."""
        start = time.monotonic()
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=LIMIT_S)
        assert time.monotonic() - start < 2
        return self.process.returncode, output, errors

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.manager.close()


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Starter"]:
    starter = Starter(Path(os.path.relpath(tmp_path_factory.mktemp("d"), Path.cwd())))
    yield starter
    for each in starter.started:
        each.close()


class Starter:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Process] = []

    def __call__(self, what: str, watchdog_s: float = 60, settings: dict[str, str] | None = None) -> Process:
        self.started.append(Process(self._folder / str(len(self.started)), what, watchdog_s, settings or {}))
        return self.started[-1]


def test_ready_when_sound_has_come_and_answers_in_order(start: Starter) -> None:
    process = start("well")
    told = [process.manager.recv(1000).decode()]
    while "3 answered" not in told[-1]:
        told.append(process.manager.recv(1000).decode())
    assert told[0] == "READY=1"
    assert told[1] == "STATUS=listening to fake at 16000 Hz"
    assert told[-2].endswith("; 2 answered, the last b")
    assert told[-1].endswith("; 3 answered, the last low_confidence")
    status, output, errors = process.end()
    assert status == 0
    assert output.splitlines() == ["show a", "tell a", "show b", "tell b", "show c", "tell c", "off"]
    assert errors == "listening to fake at 16000 Hz; speak, or end with Ctrl-C\n"


def test_when_nobody_reads_its_answers_the_microphone_is_closed_before_it_ends(start: Starter) -> None:
    process = start("nobody reads").process
    output, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, output.splitlines()) == (0, ["show a", "tell a", "closed", "off", "told"]), errors
    assert errors == "listening to fake at 16000 Hz; speak, or end with Ctrl-C\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("what", ["loads for ever", "opens for ever", "thinks for ever", "shows for ever"])
def test_ends_well_although_a_call_never_returns(start: Starter, what: str, number: int) -> None:
    process = start(what)
    assert process.process.stdout is not None
    while what not in process.process.stdout.readline():
        pass
    status, output, _ = process.end(number)
    assert status == 0
    assert "off" in output or what in ("loads for ever", "opens for ever")


def test_the_watchdog_is_fed_while_all_is_well_and_not_when_a_call_hangs(start: Starter) -> None:
    assert start("well", watchdog_s=1).told_within(3).count("WATCHDOG=1") >= 4
    process = start("thinks for ever", watchdog_s=1)
    process.wait_for("READY=1")
    process.told_within(1.5)
    assert "WATCHDOG=1" not in process.told_within(2)


def test_a_sound_system_that_hangs_ends_the_process(start: Starter) -> None:
    process = start("closes for ever")
    _, errors = process.process.communicate(timeout=LIMIT_S)
    assert process.process.returncode == 1
    assert errors.splitlines()[-1] == "edge-mcnn: closing the microphone hangs for 1 s"


def test_what_cannot_be_loaded_is_raised(start: Starter) -> None:
    _, errors = start("no model").process.communicate(timeout=LIMIT_S)
    assert errors == "edge-mcnn: there is no such model\n"


def test_a_machine_that_is_too_slow_says_so(start: Starter) -> None:
    process = start("drops")
    process.wait_for("1000 blocks of sound dropped, this machine is too slow")
    _, _, errors = process.end()
    assert "1000 blocks of sound were dropped so far: this machine is too slow" in errors


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed; see `make test`")
def test_answers_go_to_a_program_and_a_broker(start: Starter, tmp_path: Path) -> None:
    append = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    with Broker(tmp_path) as broker, Witness(broker.port) as witness:
        process = start("well", settings={
            "EDGE_MCNN_PUBLISH_COMMAND": json.dumps([sys.executable, "-c", append, str(tmp_path / "out")]),
            "EDGE_MCNN_MQTT_HOST": "127.0.0.1", "EDGE_MCNN_MQTT_PORT": str(broker.port),
            "EDGE_MCNN_MQTT_DEVICE": "lamp",
        })  # fmt: skip
        published = [json.loads(witness.next("edge-mcnn/lamp/prediction").payload) for _ in range(3)]
        process.wait_for("3 answered")
        status, output, errors = process.end()
        told = [witness.next("edge-mcnn/lamp/availability").payload for _ in range(2)]
        assert told == ["online", "offline"]
    with_microphone = [line for line in errors.splitlines() if "mqtt" not in line]
    assert (status, with_microphone) == (0, ["listening to fake at 16000 Hz; speak, or end with Ctrl-C"])
    assert output.splitlines() == ["show a", "tell a", "show b", "tell b", "show c", "tell c", "off"]
    assert [table["label"] for table in published] == ["a", "b", "c"]
    assert [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()] == published
    assert "secret" not in json.dumps(published)


def test_a_program_and_a_broker_that_hang_hold_nothing_up(start: Starter, tmp_path: Path) -> None:
    hang = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start("well", settings={
            "EDGE_MCNN_PUBLISH_COMMAND": json.dumps([sys.executable, "-c", hang, str(tmp_path / "pid")]),
            "EDGE_MCNN_PUBLISH_COMMAND_LIMIT_S": "600",
            "EDGE_MCNN_MQTT_HOST": "127.0.0.1", "EDGE_MCNN_MQTT_PORT": str(silent.getsockname()[1]),
        })  # fmt: skip
        connection, _ = silent.accept()
        with connection:
            process.wait_for("3 answered")
            program = int(wait_for_content(tmp_path / "pid"))
            status, output, errors = process.end()  # within two seconds
    assert status == 0
    assert output.splitlines()[-1] == "off"
    assert "publish.command: 2 answers were left at the end" in errors
    assert "mqtt: 3 answers were left at the end" in errors
    wait_until_gone(program)


def test_blocks_of_sound_come_at_once_for_who_watches_the_level() -> None:
    def daemon(observer: Observer | None) -> Daemon:
        return Daemon(
            Settings(), load=Mock(), show=Mock(), tell=Mock(), announce=Mock(), patient=True, systemd=Systemd(),
            status_socket=None, observer=observer,
        )  # fmt: skip

    assert daemon(Mock())._urgent()
    assert not daemon(None)._urgent(), "in a quiet room they come some at a time, which costs less"
