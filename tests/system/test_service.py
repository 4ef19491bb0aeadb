"""The service in a booted systemd: installed as a user does it, killed, without a microphone, rebooted and removed.

The tests depend on each other, in this order.
"""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CLIPS
from tests.system.service_machine import (
    CACHE,
    CONFIG,
    UNDER_TEST,
    UNIT,
    WATCHDOG_S,
    ServiceMachine,
    booted,
    booted_machine,
)

pytestmark = booted


@pytest.fixture(scope="module")
def machine(speech_model: Path) -> Iterator[ServiceMachine]:
    with booted_machine(speech_model) as machine:
        yield machine


def test_a_dry_run_changes_nothing(machine: ServiceMachine) -> None:
    output = machine.edge_mcnn("service", "install", "--dry-run")
    assert f"dry run: unit: write {UNIT}" in output
    assert f"dry run: speech model: copy {CACHE}/edge-mcnn" in output
    assert not any(machine.exists(path) for path in (UNIT, "/etc/edge-mcnn", "/var/lib/edge-mcnn"))


def test_the_installed_service_listens(machine: ServiceMachine) -> None:
    output = machine.edge_mcnn("service", "install")
    assert re.search(r"OK +microphone +default, ", output)
    assert "journalctl -u edge-mcnn -f" in output
    # `systemctl start` has returned, so the service is ready, so it has received audio.
    assert machine.status()["blocks_received"] > 0
    assert machine.unit_property("StatusText").startswith("listening to default at ")
    assert machine.unit_property("UnitFileState") == "enabled"
    assert machine.unit_property("NRestarts") == "0"
    assert "active (running), enabled, restarted 0 times" in machine.edge_mcnn("service", "status")
    assert "hang_over_s" in machine.read(CONFIG)


def test_installing_again_changes_nothing(machine: ServiceMachine) -> None:
    before = machine.unit_property("MainPID")
    machine.edge_mcnn("service", "install")
    assert machine.unit_property("MainPID") == before


def test_the_doctor_reports_the_service(machine: ServiceMachine) -> None:
    def findings() -> dict[str, dict[str, str]]:
        return {each["topic"]: each for each in json.loads(machine.edge_mcnn("doctor", "--json", check=False))}

    running = findings()
    assert running["service"]["verdict"] == "OK"
    assert "running, restarted 0 times; process " in running["service"]["message"]
    assert "listens to default" in running["service"]["message"]
    assert "while the daemon is running" in running["memory"]["message"]
    assert "dBFS, quietest" in running["level"]["message"]  # the microphone hums below the gate
    machine.system.run("systemctl", "stop", "edge-mcnn")
    stopped = findings()
    assert stopped["service"]["verdict"] == "FAIL"
    assert "inactive (dead)" in stopped["service"]["message"]
    assert "while the daemon is running" not in stopped["memory"]["message"]
    machine.system.run("systemctl", "start", "edge-mcnn")


def test_a_prediction_is_in_the_journal_without_its_words(machine: ServiceMachine) -> None:
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    machine.wait_for(lambda: machine.status().get("utterances", 0) > 0, "a prediction")
    label = machine.status()["last_label"]
    machine.wait_for(lambda: f"  {label} " in machine.journal(), "a line for it")
    assert "hate" not in machine.journal()
    assert "hate" not in json.dumps(machine.status())
    assert f"predictions: 1, latest: {label}" in machine.unit_property("StatusText")


def test_a_killed_service_restarts(machine: ServiceMachine) -> None:
    before = machine.unit_property("MainPID")
    machine.system.run("systemctl", "kill", "--signal=KILL", "edge-mcnn")
    machine.wait_for(lambda: machine.unit_property("NRestarts") == "1", "a restart")
    machine.wait_for_state("healthy")
    assert machine.unit_property("MainPID") != before


@pytest.mark.parametrize(("lose", "restore"), [("freeze", "thaw"), ("unplug", "plug")])
def test_the_same_process_recovers_a_lost_microphone(machine: ServiceMachine, lose: str, restore: str) -> None:
    before = machine.unit_property("MainPID")
    getattr(machine.microphone, lose)()
    machine.wait_for_state("lost", "recovering")
    machine.wait_for(lambda: machine.unit_property("StatusText").startswith("microphone lost"), "a status line")
    # A lost microphone must not trigger the watchdog: it is notified for longer than its limit.
    fed = machine.watchdog_fed_s()
    machine.wait_for(lambda: machine.watchdog_fed_s() > fed + 2 * WATCHDOG_S, "a notification of the watchdog")
    getattr(machine.microphone, restore)()
    assert machine.wait_for_state("healthy") < 5
    assert machine.unit_property("MainPID") == before


def test_a_thread_that_hangs_ends_in_a_restart(machine: ServiceMachine) -> None:
    before, restarts = machine.unit_property("MainPID"), int(machine.unit_property("NRestarts"))
    threads = machine.system.run("grep", "-l", "listening", "-r", "--include=comm", f"/proc/{before}/task").stdout
    listening = min(
        int(path.split("/")[4]) for path in threads.splitlines()
    )  # threads that it started have the same name
    tracer = f"{UNDER_TEST}/tests/system/stuck_thread.py"
    machine.system.run("sh", "-c", f"/opt/edge-mcnn/bin/python {tracer} {listening} >/dev/null 2>&1 &")
    machine.wait_for(lambda: int(machine.unit_property("NRestarts")) == restarts + 1, "a restart by the watchdog")
    assert "watchdog timeout" in machine.journal().casefold()
    machine.wait_for_state("healthy")


@pytest.mark.parametrize("state", ["healthy", "lost", "starting"])
def test_stopped_in_any_state_it_ends_quickly_with_success(machine: ServiceMachine, state: str) -> None:
    if state == "lost":
        machine.microphone.unplug()
        machine.wait_for_state("lost")
    if state == "starting":
        machine.system.run("systemctl", "start", "--no-block", "edge-mcnn")
        assert machine.state_when_it_catches(signal.SIGTERM) == "activating", "it is still loading"
    start = time.monotonic()
    machine.system.run("systemctl", "stop", "edge-mcnn")
    assert time.monotonic() - start < 2
    assert (machine.unit_property("Result"), machine.unit_property("ExecMainStatus")) == ("success", "0")
    if state == "lost":
        machine.microphone.plug()
    if state == "healthy":
        machine.system.run("systemctl", "start", "edge-mcnn")


def test_without_a_microphone_it_starts_and_waits(machine: ServiceMachine) -> None:
    machine.microphone.unplug()
    machine.system.run("systemctl", "start", "edge-mcnn")
    assert machine.status()["state"] == "lost"
    machine.microphone.plug()
    assert machine.wait_for_state("healthy") < 5


def test_after_a_power_cut_it_listens_again(machine: ServiceMachine) -> None:
    machine.system.power_off()
    machine.system.boot()
    machine.wait_for_state("healthy")


def test_permissions_of_the_service(machine: ServiceMachine) -> None:
    probe = f"/opt/edge-mcnn/bin/python {UNDER_TEST}/tests/system/service_probe.py"
    lines = [
        f"ExecStart={probe}" if line.startswith("ExecStart=") else "Type=oneshot" if line == "Type=notify" else line
        for line in machine.read(UNIT).splitlines()
        if not line.startswith(("Restart", "WatchdogSec", "RuntimeDirectoryMode"))
    ]
    # FUSE, which every user may open here; only the rules of the unit prevent it.
    machine.system.run("mknod", "-m", "666", "/dev/forbidden", "c", "10", "229")
    machine.system.run("head", "--bytes=0", "/dev/forbidden")
    machine.system.run("systemctl", "stop", "edge-mcnn")
    machine.write("/etc/systemd/system/probe.service", "\n".join(lines) + "\n")
    machine.system.run("systemctl", "daemon-reload")
    machine.system.run("systemctl", "start", "probe")
    outcomes = json.loads(next(line for line in machine.journal("probe").splitlines() if line.startswith("{")))
    machine.system.run("sh", "-c", "rm /etc/systemd/system/probe.service /dev/forbidden; systemctl daemon-reload")
    machine.system.run("systemctl", "start", "edge-mcnn")
    permitted = {
        "unix socket", "write to its runtime directory", "read the speech model", "read its settings", "open /dev/null",
    }  # fmt: skip
    assert outcomes["open a device"] == "EPERM"
    # The service may have an empty home in memory.
    assert not machine.exists("/home/probe")
    outcomes.pop("write to a home")
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == permitted, outcomes


def test_edited_settings_are_used_and_preserved(machine: ServiceMachine) -> None:
    machine.write(CONFIG, f"{machine.read(CONFIG)}[endpoint]\nhangover_s = 1\n")
    output = machine.edge_mcnn("service", "install", check=False)
    assert "config.toml:" in output
    assert "endpoint" in output
    machine.write(CONFIG, "[endpoint]\nhang_over_s = 1\n")
    machine.edge_mcnn("service", "install")
    assert "hang_over_s = 1" in machine.read(CONFIG)
    output = machine.edge_mcnn("service", "uninstall")
    assert f"keep {CONFIG}, which was edited" in output
    assert "hang_over_s = 1" in machine.read(CONFIG)
    machine.edge_mcnn("service", "install")
    machine.wait_for_state("healthy")


def test_the_users_own_model(machine: ServiceMachine) -> None:
    refused = machine.edge_mcnn("service", "install", "--model", f"{UNDER_TEST}/README.md", check=False)
    assert "edge-mcnn: /opt/under-test/README.md" in refused
    machine.edge_mcnn("service", "uninstall", "--purge")
    machine.system.run("mkdir", "-p", f"{UNIT}.d")
    machine.edge_mcnn("service", "install", "--model", f"{UNDER_TEST}/device/models/Model.tflite")
    assert 'model = "/var/lib/edge-mcnn/Model.tflite"' in machine.read(CONFIG)


def test_the_users_own_model_after_the_shipped_one(machine: ServiceMachine) -> None:
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


def test_uninstalled_it_leaves_nothing(machine: ServiceMachine) -> None:
    machine.edge_mcnn("service", "uninstall", "--purge")
    owned = [
        UNIT,
        f"{UNIT}.d",
        "/etc/systemd/system/multi-user.target.wants/edge-mcnn.service",
        str(Path(CONFIG).parent),
    ]
    owned += [f"{parent}/edge-mcnn" for parent in ("/var/lib", "/var/lib/private", "/var/cache", "/var/log", "/run")]
    assert [path for path in owned if machine.exists(path)] == []
    assert "not-found" in machine.unit_property("LoadState")
    assert "no service is installed" in machine.edge_mcnn("service", "uninstall", check=False)
    assert "not installed" in machine.edge_mcnn("service", "status", check=False)
