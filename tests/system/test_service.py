"""The service in a booted systemd: installed as a user would, spoken to, killed, deafened, rebooted and removed.

The tests build on one another, in the order in which they stand.
"""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CLIPS
from tests.system.service_machine import CACHE, CONFIG, UNDER_TEST, UNIT, WATCHDOG_S, Machine, booted, booted_machine

pytestmark = booted


@pytest.fixture(scope="module")
def machine(speech_model: Path) -> Iterator[Machine]:
    with booted_machine(speech_model) as machine:
        yield machine


def test_a_dry_run_changes_nothing(machine: Machine) -> None:
    told = machine.edge_mcnn("service", "install", "--dry-run")
    assert f"dry run: unit: write {UNIT}" in told
    assert f"dry run: speech model: copy {CACHE}/edge-mcnn" in told
    assert not any(machine.exists(path) for path in (UNIT, "/etc/edge-mcnn", "/var/lib/edge-mcnn"))


def test_installed_it_listens(machine: Machine) -> None:
    told = machine.edge_mcnn("service", "install")
    assert re.search(r"OK +microphone +default, ", told)
    assert "journalctl -u edge-mcnn -f" in told
    # `systemctl start` came back, so it was ready, so it had heard something.
    assert machine.status()["blocks_received"] > 0
    assert machine.shown("StatusText").startswith("listening to default at ")
    assert machine.shown("UnitFileState") == "enabled"
    assert machine.shown("NRestarts") == "0"
    assert "active (running), enabled, restarted 0 times" in machine.edge_mcnn("service", "status")
    assert "hang_over_s" in machine.read(CONFIG)


def test_installing_again_changes_nothing(machine: Machine) -> None:
    before = machine.shown("MainPID")
    machine.edge_mcnn("service", "install")
    assert machine.shown("MainPID") == before


def test_the_doctor_tells_how_it_is(machine: Machine) -> None:
    def told() -> dict[str, dict[str, str]]:
        return {each["topic"]: each for each in json.loads(machine.edge_mcnn("doctor", "--json", check=False))}

    runs = told()
    assert runs["service"]["verdict"] == "good"
    assert "running, restarted 0 times; process " in runs["service"]["message"]
    assert "listens to default" in runs["service"]["message"]
    assert "while the daemon is running" in runs["memory"]["message"]
    assert "dBFS, quietest" in runs["level"]["message"]  # it hums below the gate
    machine.system.run("systemctl", "stop", "edge-mcnn")
    stopped = told()
    assert stopped["service"]["verdict"] == "bad"
    assert "inactive (dead)" in stopped["service"]["message"]
    assert "while the daemon is running" not in stopped["memory"]["message"]
    machine.system.run("systemctl", "start", "edge-mcnn")


def test_a_sentence_is_answered_in_the_journal_without_its_words(machine: Machine) -> None:
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    machine.wait_for(lambda: machine.status().get("utterances", 0) > 0, "an answer")
    label = machine.status()["last_label"]
    machine.wait_for(lambda: f"  {label} " in machine.journal(), "a line for it")
    assert "hate" not in machine.journal()
    assert "hate" not in json.dumps(machine.status())
    assert f"predictions: 1, latest: {label}" in machine.shown("StatusText")


def test_killed_it_comes_back(machine: Machine) -> None:
    before = machine.shown("MainPID")
    machine.system.run("systemctl", "kill", "--signal=KILL", "edge-mcnn")
    machine.wait_for(lambda: machine.shown("NRestarts") == "1", "a restart")
    machine.wait_for_state("healthy")
    assert machine.shown("MainPID") != before


@pytest.mark.parametrize(("lose", "give_back"), [("freeze", "thaw"), ("unplug", "plug")])
def test_a_lost_microphone_is_heard_again_by_the_same_process(machine: Machine, lose: str, give_back: str) -> None:
    before = machine.shown("MainPID")
    getattr(machine.microphone, lose)()
    machine.wait_for_state("lost", "recovering")
    machine.wait_for(lambda: machine.shown("StatusText").startswith("microphone lost"), "a status line")
    # A lost microphone is no reason for the watchdog: it is fed for longer than its limit.
    fed = machine.watchdog_fed_s()
    machine.wait_for(lambda: machine.watchdog_fed_s() > fed + 2 * WATCHDOG_S, "a fed watchdog")
    getattr(machine.microphone, give_back)()
    assert machine.wait_for_state("healthy") < 5
    assert machine.shown("MainPID") == before


def test_a_thread_that_hangs_ends_in_a_restart(machine: Machine) -> None:
    before, restarts = machine.shown("MainPID"), int(machine.shown("NRestarts"))
    threads = machine.system.run("grep", "-l", "listening", "-r", "--include=comm", f"/proc/{before}/task").stdout
    listening = min(int(path.split("/")[4]) for path in threads.splitlines())  # those it began bear its name, too
    tracer = f"{UNDER_TEST}/tests/system/stuck_thread.py"
    machine.system.run("sh", "-c", f"/opt/edge-mcnn/bin/python {tracer} {listening} >/dev/null 2>&1 &")
    machine.wait_for(lambda: int(machine.shown("NRestarts")) == restarts + 1, "a restart by the watchdog")
    assert "watchdog timeout" in machine.journal().casefold()
    machine.wait_for_state("healthy")


@pytest.mark.parametrize("state", ["healthy", "lost", "starting"])
def test_stopped_in_any_state_it_ends_well_and_at_once(machine: Machine, state: str) -> None:
    if state == "lost":
        machine.microphone.unplug()
        machine.wait_for_state("lost")
    if state == "starting":
        machine.system.run("systemctl", "start", "--no-block", "edge-mcnn")
        assert machine.state_when_it_catches(signal.SIGTERM) == "activating", "it is still loading"
    start = time.monotonic()
    machine.system.run("systemctl", "stop", "edge-mcnn")
    assert time.monotonic() - start < 2
    assert (machine.shown("Result"), machine.shown("ExecMainStatus")) == ("success", "0")
    if state == "lost":
        machine.microphone.plug()
    if state == "healthy":
        machine.system.run("systemctl", "start", "edge-mcnn")


def test_without_a_microphone_it_is_ready_and_waits(machine: Machine) -> None:
    machine.microphone.unplug()
    machine.system.run("systemctl", "start", "edge-mcnn")
    assert machine.status()["state"] == "lost"
    machine.microphone.plug()
    assert machine.wait_for_state("healthy") < 5


def test_after_a_power_cut_it_listens_again(machine: Machine) -> None:
    machine.system.power_off()
    machine.system.boot()
    machine.wait_for_state("healthy")


def test_what_it_may_and_may_not(machine: Machine) -> None:
    probe = f"/opt/edge-mcnn/bin/python {UNDER_TEST}/tests/system/service_probe.py"
    lines = [
        f"ExecStart={probe}" if line.startswith("ExecStart=") else "Type=oneshot" if line == "Type=notify" else line
        for line in machine.read(UNIT).splitlines()
        if not line.startswith(("Restart", "WatchdogSec", "RuntimeDirectoryMode"))
    ]
    # FUSE, which anyone might open here, but for the unit's own rules.
    machine.system.run("mknod", "-m", "666", "/dev/forbidden", "c", "10", "229")
    machine.system.run("head", "--bytes=0", "/dev/forbidden")
    machine.system.run("systemctl", "stop", "edge-mcnn")
    machine.write("/etc/systemd/system/probe.service", "\n".join(lines) + "\n")
    machine.system.run("systemctl", "daemon-reload")
    machine.system.run("systemctl", "start", "probe")
    found = json.loads(next(line for line in machine.journal("probe").splitlines() if line.startswith("{")))
    machine.system.run("sh", "-c", "rm /etc/systemd/system/probe.service /dev/forbidden; systemctl daemon-reload")
    machine.system.run("systemctl", "start", "edge-mcnn")
    may = {
        "unix socket", "write to its runtime directory", "read the speech model", "read its settings", "open /dev/null",
    }  # fmt: skip
    assert found["open a device"] == "EPERM"
    # It may find an empty home, of its own and in memory.
    assert not machine.exists("/home/probe")
    found.pop("write to a home")
    assert {name for name, outcome in found.items() if outcome == "done"} == may, found


def test_edited_settings_are_used_and_kept(machine: Machine) -> None:
    machine.write(CONFIG, f"{machine.read(CONFIG)}[endpoint]\nhangover_s = 1\n")
    told = machine.edge_mcnn("service", "install", check=False)
    assert "config.toml:" in told
    assert "endpoint" in told
    machine.write(CONFIG, "[endpoint]\nhang_over_s = 1\n")
    machine.edge_mcnn("service", "install")
    assert "hang_over_s = 1" in machine.read(CONFIG)
    told = machine.edge_mcnn("service", "uninstall")
    assert f"keep {CONFIG}, which was edited" in told
    assert "hang_over_s = 1" in machine.read(CONFIG)
    machine.edge_mcnn("service", "install")
    machine.wait_for_state("healthy")


def test_a_model_of_the_users_own(machine: Machine) -> None:
    refused = machine.edge_mcnn("service", "install", "--model", f"{UNDER_TEST}/README.md", check=False)
    assert "edge-mcnn: /opt/under-test/README.md" in refused
    machine.edge_mcnn("service", "uninstall", "--purge")
    machine.system.run("mkdir", "-p", f"{UNIT}.d")
    machine.edge_mcnn("service", "install", "--model", f"{UNDER_TEST}/device/models/Model.tflite")
    assert 'model = "/var/lib/edge-mcnn/Model.tflite"' in machine.read(CONFIG)


def test_a_model_after_the_one_that_ships(machine: Machine) -> None:
    own = ("service", "install", "--model", f"{UNDER_TEST}/device/models/Model.tflite")
    machine.edge_mcnn("service", "uninstall", "--purge")
    machine.system.run("mkdir", "-p", f"{UNIT}.d")
    machine.edge_mcnn("service", "install")
    assert f"settings: keep {CONFIG} unchanged" in machine.edge_mcnn("service", "install")
    assert "settings: write" in machine.edge_mcnn(*own)
    assert 'model = "/var/lib/edge-mcnn/Model.tflite"' in machine.read(CONFIG)
    assert f"settings: keep {CONFIG} unchanged" in machine.edge_mcnn(*own)
    machine.system.run("sh", "-c", "printf '[endpoint]\nhang_over_s = 1\n' >/etc/edge-mcnn/config.toml")
    assert 'write model = "/var/lib/edge-mcnn/Model.tflite" under' in machine.edge_mcnn(*own, check=False)


def test_removed_it_leaves_nothing(machine: Machine) -> None:
    machine.edge_mcnn("service", "uninstall", "--purge")
    owned = [
        UNIT,
        f"{UNIT}.d",
        "/etc/systemd/system/multi-user.target.wants/edge-mcnn.service",
        str(Path(CONFIG).parent),
    ]
    owned += [f"{parent}/edge-mcnn" for parent in ("/var/lib", "/var/lib/private", "/var/cache", "/var/log", "/run")]
    assert [path for path in owned if machine.exists(path)] == []
    assert "not-found" in machine.shown("LoadState")
    assert "no service is installed" in machine.edge_mcnn("service", "uninstall", check=False)
    assert "not installed" in machine.edge_mcnn("service", "status", check=False)
