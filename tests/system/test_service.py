"""The service in a booted systemd: installed as a user would, spoken to, killed, deafened, rebooted and removed.

The tests build on one another, in the order in which they stand.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from device.running import unit
from device.running.unit import unit_text
from tests.conftest import CLIPS
from tests.device.publishing.broker import MOSQUITTO
from tests.system import booted_systemd
from tests.system.booted_systemd import BootedSystemd
from tests.system.virtual_microphone import VirtualMicrophone, missing_programs

REPOSITORY = Path(__file__).parents[2]
UNDER_TEST = "/opt/under-test"
EDGE_MCNN = "/opt/edge-mcnn/bin/edge-mcnn"
CACHE = "/opt/cache"
UNIT = "/etc/systemd/system/edge-mcnn.service"
DROP_IN = f"{UNIT}.d/test.conf"
LIMIT_S = 60
WATCHDOG_S = 4

CANNOT = booted_systemd.missing() or ", ".join(missing_programs())
booted = pytest.mark.skipif(bool(CANNOT), reason=f"NO SYSTEMD CAN BE BOOTED HERE, the service is not tested: {CANNOT}")


@dataclass
class Machine:
    """A booted machine with a microphone, and the product in /opt/edge-mcnn."""

    system: BootedSystemd
    microphone: VirtualMicrophone

    @property
    def environment(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.microphone.environment.items()]

    def edge_mcnn(self, *arguments: str, check: bool = True) -> str:
        done = self.system.run(
            EDGE_MCNN, *arguments, check=check, environment=[*self.environment, f"XDG_CACHE_HOME={CACHE}"]
        )
        return done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        told = self.system.run(EDGE_MCNN, "status", "--json", check=False).stdout
        table: dict[str, Any] = json.loads(told) if told else {"state": "none"}
        return table

    def shown(self, name: str) -> str:
        return self.system.run("systemctl", "show", "edge-mcnn", f"--property={name}", "--value").stdout.strip()

    def journal(self) -> str:
        return self.system.run("journalctl", "--unit=edge-mcnn", "--output=cat", "--no-pager").stdout

    def wait_for(self, condition: Callable[[], bool], what: str) -> float:
        """Seconds until the condition holds."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() < start + LIMIT_S, f"{what}: not within {LIMIT_S} s\n{self.journal()}"
            time.sleep(0.05)
        return time.monotonic() - start

    def wait_for_state(self, *states: str) -> float:
        return self.wait_for(lambda: self.status()["state"] in states, " or ".join(states))


@pytest.fixture(scope="module")
def machine(speech_model: Path) -> Iterator[Machine]:
    with booted_systemd.neutral_folder() as folder:
        microphone = VirtualMicrophone(folder / "mic", rate=48_000, channels=1, strict=False, hum=True)
        shared = {folder: str(folder), REPOSITORY: UNDER_TEST, speech_model.parent: f"{CACHE}/edge-mcnn"}
        with microphone, BootedSystemd(shared) as system:
            _install_product(system)
            each = Machine(system, microphone)
            lines = "\n".join(f"Environment={variable}" for variable in each.environment)
            # The watchdog at a pace that a test can wait for.
            system.run(
                "sh", "-c", f"mkdir {UNIT}.d; printf '[Service]\n{lines}\nWatchdogSec={WATCHDOG_S}\n' >{DROP_IN}"
            )
            system.run("sh", "-c", "mkdir -p /home/someone; echo x >/home/someone/secret; chmod -R a+rX /home/someone")
            yield each


def _install_product(system: BootedSystemd) -> None:
    """A venv in /opt whose packages are those that run this test; the checkout may lie where no service can read it."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    inside = UNDER_TEST / Path(packages).relative_to(REPOSITORY)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = f"{sys.base_prefix}/bin/{version}"
    system.run(base, "-m", "venv", "--without-pip", "/opt/edge-mcnn")
    script = "#!/opt/edge-mcnn/bin/python\nfrom device.cli import main\nmain()\n"
    pth = f"{UNDER_TEST}\n{inside}\n"
    system.run(
        "sh", "-c", f"printf '{script}' >{EDGE_MCNN}; chmod +x {EDGE_MCNN}; "
        f"printf '{pth}' >/opt/edge-mcnn/lib/{version}/site-packages/under-test.pth",
    )  # fmt: skip


@pytest.fixture
def unit_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unit, "_GONE", ())  # a checkout in /tmp may be tested
    text = unit_text(Path("/etc/edge-mcnn/config.toml"), ["audio"])
    path = tmp_path / "edge-mcnn.service"
    path.write_text(text.replace("SupplementaryGroups=audio", "SupplementaryGroups=audio gpio"))
    return path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_right_and_exposes_little(unit_file: Path) -> None:
    verified = subprocess.run(["systemd-analyze", "verify", unit_file], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit_file],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    [line] = [line for line in rated.stdout.splitlines() if "Overall exposure level" in line]
    assert float(line.split(": ")[1].split()[0]) <= 1.5, rated.stdout


@booted
def test_a_dry_run_changes_nothing(machine: Machine) -> None:
    told = machine.edge_mcnn("service", "install", "--dry-run")
    assert "would: unit: write /etc/systemd/system/edge-mcnn.service" in told
    assert f"would: speech model: copy {CACHE}/edge-mcnn" in told
    for path in (UNIT, "/etc/edge-mcnn", "/var/lib/edge-mcnn"):
        assert machine.system.run("test", "-e", path, check=False).returncode == 1


@booted
def test_installed_it_listens(machine: Machine) -> None:
    told = machine.edge_mcnn("service", "install")
    assert re.search(r"ok +microphone +default, ", told)
    assert "journalctl -u edge-mcnn -f" in told
    # `systemctl start` came back, so it was ready, so it had heard something.
    assert machine.status()["blocks_heard"] > 0
    assert machine.shown("StatusText").startswith("listening to default at ")
    assert machine.shown("UnitFileState") == "enabled"
    assert machine.shown("NRestarts") == "0"
    assert "active (running), enabled, restarted 0 times" in machine.edge_mcnn("service", "status")
    assert "hang_over_s" in machine.system.run("cat", "/etc/edge-mcnn/config.toml").stdout


@booted
def test_installing_again_changes_nothing(machine: Machine) -> None:
    before = machine.shown("MainPID")
    machine.edge_mcnn("service", "install")
    assert machine.shown("MainPID") == before


@booted
def test_the_doctor_tells_how_it_is(machine: Machine) -> None:
    def told() -> dict[str, dict[str, str]]:
        return {each["name"]: each for each in json.loads(machine.edge_mcnn("doctor", "--json", check=False))}

    runs = told()
    assert runs["service"]["verdict"] == "good"
    assert "runs, restarted 0 times; process " in runs["service"]["told"]
    assert "hears default" in runs["service"]["told"]
    assert "beside the daemon" in runs["memory"]["told"]
    assert "dBFS, quietest" in runs["level"]["told"]  # it hums below the gate
    machine.system.run("systemctl", "stop", "edge-mcnn")
    stopped = told()
    assert stopped["service"]["verdict"] == "bad"
    assert "inactive (dead)" in stopped["service"]["told"]
    assert "beside the daemon" not in stopped["memory"]["told"]
    machine.system.run("systemctl", "start", "edge-mcnn")


@booted
def test_a_sentence_is_answered_in_the_journal_without_its_words(machine: Machine) -> None:
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    machine.wait_for(lambda: machine.status().get("utterances", 0) > 0, "an answer")
    label = machine.status()["last_label"]
    machine.wait_for(lambda: f"  {label} " in machine.journal(), "a line for it")
    assert "hate" not in machine.journal()
    assert "hate" not in json.dumps(machine.status())
    assert f"1 answered, the last {label}" in machine.shown("StatusText")


@booted
def test_killed_it_comes_back(machine: Machine) -> None:
    before = machine.shown("MainPID")
    machine.system.run("systemctl", "kill", "--signal=KILL", "edge-mcnn")
    machine.wait_for(lambda: machine.shown("NRestarts") == "1", "a restart")
    machine.wait_for_state("healthy")
    assert machine.shown("MainPID") != before


@booted
@pytest.mark.parametrize(("lose", "give_back"), [("freeze", "thaw"), ("unplug", "plug")])
def test_a_lost_microphone_is_heard_again_by_the_same_process(machine: Machine, lose: str, give_back: str) -> None:
    before = machine.shown("MainPID")
    getattr(machine.microphone, lose)()
    machine.wait_for_state("lost", "recovering")
    machine.wait_for(lambda: machine.shown("StatusText").startswith("microphone lost"), "a status line")
    time.sleep(2 * WATCHDOG_S)  # a microphone that is away is no reason for the watchdog
    getattr(machine.microphone, give_back)()
    assert machine.wait_for_state("healthy") < 5
    assert machine.shown("MainPID") == before


@booted
def test_a_thread_that_hangs_ends_in_a_restart(machine: Machine) -> None:
    before, restarts = machine.shown("MainPID"), int(machine.shown("NRestarts"))
    threads = machine.system.run("grep", "-l", "listening", "-r", "--include=comm", f"/proc/{before}/task").stdout
    listening = min(int(path.split("/")[4]) for path in threads.splitlines())  # those it began bear its name, too
    tracer = f"{UNDER_TEST}/tests/system/stuck_thread.py"
    machine.system.run("sh", "-c", f"/opt/edge-mcnn/bin/python {tracer} {listening} >/dev/null 2>&1 &")
    machine.wait_for(lambda: int(machine.shown("NRestarts")) == restarts + 1, "a restart by the watchdog")
    assert "watchdog timeout" in machine.journal().casefold()
    machine.wait_for_state("healthy")


@booted
@pytest.mark.parametrize("state", ["healthy", "lost", "starting"])
def test_stopped_in_any_state_it_ends_well_and_at_once(machine: Machine, state: str) -> None:
    if state == "lost":
        machine.microphone.unplug()
        machine.wait_for_state("lost")
    if state == "starting":
        machine.system.run("systemctl", "start", "--no-block", "edge-mcnn")
        machine.wait_for(lambda: machine.shown("MainPID") != "0", "a process")
        time.sleep(0.5)  # past the interpreter's own start, and within the loading
    start = time.monotonic()
    machine.system.run("systemctl", "stop", "edge-mcnn")
    assert time.monotonic() - start < 2
    assert (machine.shown("Result"), machine.shown("ExecMainStatus")) == ("success", "0")
    if state == "lost":
        machine.microphone.plug()
    if state == "healthy":
        machine.system.run("systemctl", "start", "edge-mcnn")


@booted
def test_without_a_microphone_it_is_ready_and_waits(machine: Machine) -> None:
    machine.microphone.unplug()
    machine.system.run("systemctl", "start", "edge-mcnn")
    assert machine.status()["state"] == "lost"
    machine.microphone.plug()
    assert machine.wait_for_state("healthy") < 5


@booted
def test_after_a_power_cut_it_listens_again(machine: Machine) -> None:
    machine.system.power_off()
    machine.system.boot()
    machine.wait_for_state("healthy")


@booted
def test_what_it_may_and_may_not(machine: Machine) -> None:
    installed = machine.system.run("cat", UNIT).stdout
    probe = f"/opt/edge-mcnn/bin/python {UNDER_TEST}/tests/system/service_probe.py"
    lines = [
        f"ExecStart={probe}" if line.startswith("ExecStart=") else "Type=oneshot" if line == "Type=notify" else line
        for line in installed.splitlines()
        if not line.startswith(("Restart", "WatchdogSec", "RuntimeDirectoryMode"))
    ]
    # FUSE, which anyone might open here, but for the unit's own rules.
    machine.system.run("mknod", "-m", "666", "/dev/forbidden", "c", "10", "229")
    machine.system.run("head", "--bytes=0", "/dev/forbidden")
    machine.system.run("systemctl", "stop", "edge-mcnn")
    text = "\n".join(lines).replace("'", "")
    machine.system.run(
        "sh", "-c", f"printf '%s\n' '{text}' >/etc/systemd/system/probe.service; systemctl daemon-reload"
    )
    machine.system.run("systemctl", "start", "probe")
    said = machine.system.run("journalctl", "--unit=probe", "--output=cat", "--no-pager").stdout
    found = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    machine.system.run("sh", "-c", "rm /etc/systemd/system/probe.service /dev/forbidden; systemctl daemon-reload")
    machine.system.run("systemctl", "start", "edge-mcnn")
    may = {
        "unix socket", "write to its runtime directory", "read the speech model", "read its settings", "open /dev/null",
    }  # fmt: skip
    assert found["open a device"] == "EPERM"
    # It may find an empty home, of its own and in memory.
    assert machine.system.run("test", "-e", "/home/probe", check=False).returncode == 1
    found.pop("write to a home")
    assert {name for name, outcome in found.items() if outcome == "done"} == may, found


@booted
def test_edited_settings_are_used_and_kept(machine: Machine) -> None:
    machine.system.run("sh", "-c", "printf '[endpoint]\nhangover_s = 1\n' >>/etc/edge-mcnn/config.toml")
    told = machine.edge_mcnn("service", "install", check=False)
    assert "config.toml:" in told
    assert "endpoint" in told
    machine.system.run("sh", "-c", "printf '[endpoint]\nhang_over_s = 1\n' >/etc/edge-mcnn/config.toml")
    machine.edge_mcnn("service", "install")
    assert "hang_over_s = 1" in machine.system.run("cat", "/etc/edge-mcnn/config.toml").stdout
    told = machine.edge_mcnn("service", "uninstall")
    assert "was edited and stays" in told
    assert "hang_over_s = 1" in machine.system.run("cat", "/etc/edge-mcnn/config.toml").stdout
    machine.edge_mcnn("service", "install")
    machine.wait_for_state("healthy")


@booted
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed; see `make test`")
def test_with_a_broker_it_may_use_the_network_and_without_no_more(machine: Machine) -> None:
    settings = '[mqtt]\nhost = "127.0.0.1"\nuser = "lamp"\npassword_file = "/etc/mqtt-password"\n'
    broker = "listener 1883 127.0.0.1\npassword_file /opt/passwords\nuser root\n"
    machine.system.run(
        "sh", "-c", "mkdir -p /etc/edge-mcnn; "
        f"printf '{settings}' >/etc/edge-mcnn/config.toml; printf '{broker}' >/opt/broker.conf; "
        "mosquitto_passwd -b -c /opt/passwords lamp s3cret; systemctl stop mosquitto; "
        f"systemd-run --unit=broker {MOSQUITTO} -c /opt/broker.conf",
    )  # fmt: skip
    assert "mqtt.password_file: /etc/mqtt-password cannot be read" in machine.edge_mcnn(
        "service", "install", check=False
    )
    machine.system.run("sh", "-c", "printf s3cret >/etc/mqtt-password; chmod 600 /etc/mqtt-password")
    told = machine.edge_mcnn("service", "install")
    assert "opened for the broker 127.0.0.1: write /etc/systemd/system/edge-mcnn.service.d/network.conf" in told
    reached = "mqtt: 127.0.0.1:1883 is told each answer"
    machine.wait_for(lambda: reached in machine.journal(), "word that the broker is reached")
    assert machine.shown("IPAddressAllow") == "127.0.0.1/32"
    machine.system.run("sh", "-c", "printf '[endpoint]\nhang_over_s = 1\n' >/etc/edge-mcnn/config.toml")
    told = machine.edge_mcnn("service", "install")
    assert "closed again: remove /etc/systemd/system/edge-mcnn.service.d/network.conf" in told
    assert (machine.shown("PrivateNetwork"), machine.shown("IPAddressAllow")) == ("yes", "")
    machine.system.run("systemctl", "stop", "broker")


@booted
def test_a_program_runs_in_the_same_cage(machine: Machine) -> None:
    script = "#!/bin/sh\ntouch /etc/x /var/lib/edge-mcnn/x /home/x 2>/dev/null || cat >/run/edge-mcnn/answer\n"
    settings = '[publish]\ncommand = ["/home/someone/on-answer"]\n'
    machine.system.run(
        "sh", "-c", "mkdir -p /etc/edge-mcnn; "
        f"printf '{settings}' >/etc/edge-mcnn/config.toml; printf '{script}' >/home/someone/on-answer; "
        "chmod 755 /home/someone/on-answer",
    )  # fmt: skip
    machine.edge_mcnn("service", "install")
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    path = "/run/edge-mcnn/answer"
    machine.wait_for(lambda: machine.system.run("test", "-s", path, check=False).returncode == 0, "an answer in a file")
    told = json.loads(machine.system.run("cat", path).stdout)
    assert told["label"] == machine.status()["last_label"]
    assert "text" not in told
    machine.system.run("sh", "-c", "test ! -e /etc/x && test ! -e /var/lib/edge-mcnn/x && test ! -e /home/x")


@booted
def test_a_model_of_the_users_own(machine: Machine) -> None:
    refused = machine.edge_mcnn("service", "install", "--model", f"{UNDER_TEST}/README.md", check=False)
    assert "edge-mcnn: /opt/under-test/README.md" in refused
    machine.edge_mcnn("service", "uninstall", "--purge")
    machine.system.run("mkdir", "-p", f"{UNIT}.d")
    machine.edge_mcnn("service", "install", "--model", f"{UNDER_TEST}/device/models/Model.tflite")
    assert 'model = "/var/lib/edge-mcnn/Model.tflite"' in machine.system.run("cat", "/etc/edge-mcnn/config.toml").stdout


@booted
def test_a_model_after_the_one_that_ships(machine: Machine) -> None:
    own = ("service", "install", "--model", f"{UNDER_TEST}/device/models/Model.tflite")
    machine.edge_mcnn("service", "uninstall", "--purge")
    machine.system.run("mkdir", "-p", f"{UNIT}.d")
    machine.edge_mcnn("service", "install")
    assert "stays as it is" in machine.edge_mcnn("service", "install")
    assert "settings: write" in machine.edge_mcnn(*own)
    assert 'model = "/var/lib/edge-mcnn/Model.tflite"' in machine.system.run("cat", "/etc/edge-mcnn/config.toml").stdout
    assert "stays as it is" in machine.edge_mcnn(*own)
    machine.system.run("sh", "-c", "printf '[endpoint]\nhang_over_s = 1\n' >/etc/edge-mcnn/config.toml")
    assert 'write model = "/var/lib/edge-mcnn/Model.tflite" under' in machine.edge_mcnn(*own, check=False)


@booted
def test_removed_it_leaves_nothing(machine: Machine) -> None:
    machine.edge_mcnn("service", "uninstall", "--purge")
    found = machine.system.run(
        "find", "/etc", "/var", "/run", "/usr/local", "-name", "*edge-mcnn*", "-not", "-path", "/run/systemd/*",
    ).stdout  # fmt: skip
    assert found == ""
    assert "not-found" in machine.shown("LoadState")
    assert "no service is installed" in machine.edge_mcnn("service", "uninstall", check=False)
    assert "not installed" in machine.edge_mcnn("service", "status", check=False)
