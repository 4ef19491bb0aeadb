"""The service in a booted systemd: installed as a user does it, killed, without a microphone, rebooted and removed.

The tests depend on each other, in this order.
"""

import json
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from device.adaptation.profile_path import profile_in_home
from tests.conftest import CLIPS
from tests.system.service_machine import (
    CACHE,
    CONFIG,
    EDGE_MCNN,
    UNDER_TEST,
    UNIT,
    WATCHDOG_S,
    ServiceMachine,
    booted,
    booted_machine,
)

pytestmark = booted
PROFILE = "/var/lib/edge-mcnn-profile/profile.json"


@pytest.fixture(scope="module")
def machine(speech_model: Path) -> Iterator[ServiceMachine]:
    with booted_machine(speech_model) as machine:
        yield machine


def test_a_dry_run_changes_nothing(machine: ServiceMachine) -> None:
    output = machine.edge_mcnn("service", "install", "--dry-run")
    assert f"dry run: unit: write {UNIT}" in output
    assert f"dry run: speech model: copy {CACHE}/edge-mcnn" in output
    assert not any(machine.exists(path) for path in (UNIT, "/etc/edge-mcnn", "/var/lib/edge-mcnn"))


def test_the_installed_service_listens_whatever_the_umask(machine: ServiceMachine) -> None:
    output = machine.edge_mcnn("service", "install", umask="077")
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


def test_installing_again_repairs_what_the_service_cannot_read(machine: ServiceMachine) -> None:
    machine.system.run("chmod", "700", "/etc/edge-mcnn", "/var/lib/edge-mcnn")
    machine.system.run("chmod", "600", CONFIG)
    found = machine.findings()["service files"]
    assert found["verdict"] == "FAIL"
    assert found["message"].startswith("/etc/edge-mcnn is root:root 0700 instead of root:root 0755, and 2 more; ")
    assert found["fix"] == "run: sudo edge-mcnn service install"
    output = machine.edge_mcnn("service", "install")
    repaired = f"settings: repair owner and mode of {CONFIG}: root:root 0600 instead of root:root 0644"
    assert repaired in output
    modes = machine.system.run("stat", "--format=%a", "/etc/edge-mcnn", "/var/lib/edge-mcnn", CONFIG).stdout.split()
    assert modes == ["755", "755", "644"]
    assert machine.status()["blocks_received"] > 0
    assert "service files" not in machine.findings()


def test_a_start_that_fails_is_reported_with_the_message_of_the_daemon(machine: ServiceMachine) -> None:
    machine.write(f"{UNIT}.d/closed.conf", f"[Service]\nInaccessiblePaths={CONFIG}\n")
    machine.system.run("systemctl", "stop", "edge-mcnn")
    output = machine.edge_mcnn("service", "install", check=False)
    [line] = [line for line in output.splitlines() if line.startswith("edge-mcnn: the service does not start: ")]
    assert re.search(rf"{CONFIG}.*permission denied", line), line
    assert "details: journalctl -u edge-mcnn.service" in output
    assert "Stopped" not in output
    machine.system.run("rm", f"{UNIT}.d/closed.conf")
    machine.edge_mcnn("service", "install")
    machine.wait_for_state("healthy")


def test_the_doctor_reports_the_service(machine: ServiceMachine) -> None:
    findings = machine.findings
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


def as_user(machine: ServiceMachine, arguments: Sequence[str], *groups: str) -> str:
    """Run edge-mcnn as an ordinary user who is in these groups; return what is printed."""
    user = [
        "setpriv",
        "--reuid=nobody",
        "--regid=nogroup",
        f"--groups={','.join(groups)}" if groups else "--clear-groups",
    ]
    done = machine.system.run(*user, "/opt/edge-mcnn/bin/edge-mcnn", *arguments, check=False)
    return done.stdout + done.stderr


def correct(machine: ServiceMachine, label: str, *groups: str) -> str:
    """Correct the latest prediction as an ordinary user who is in these groups; return what is printed."""
    return as_user(machine, ("learn", "--last", label), *groups)


def test_members_of_the_group_audio_correct_the_latest_prediction(machine: ServiceMachine) -> None:
    access = machine.system.run("stat", "--format=%G %a", "/run/edge-mcnn/control.sock", "/var/lib/edge-mcnn-profile/")
    assert access.stdout.splitlines()[0] == "audio 660"
    assert access.stdout.splitlines()[1].endswith(" 700")
    assert "permission denied" in correct(machine, "positive")
    assert machine.status()["examples"] == 0
    assert "that was positive (1 example, not used yet)" in correct(machine, "positive", "audio")
    assert machine.status()["examples"] == 1
    profile = json.loads(machine.read(PROFILE))
    assert [example["label"] for example in profile["examples"]] == ["positive"]
    assert machine.system.run("stat", "--format=%a", PROFILE).stdout == "600\n"
    assert "is not a class of the model" in correct(machine, "angry", "audio")


def test_a_muted_service_stays_muted_when_it_is_killed(machine: ServiceMachine) -> None:
    before = machine.unit_property("MainPID")
    assert "permission denied" in as_user(machine, ("mute", "on"))
    assert "muted: the microphone is closed" in as_user(machine, ("mute", "on"), "audio")
    assert machine.microphone.recorders() == 0
    machine.wait_for(lambda: machine.unit_property("StatusText").startswith("muted"), "a status line")
    fed = machine.watchdog_fed_s()
    machine.wait_for(lambda: machine.watchdog_fed_s() > fed + 2 * WATCHDOG_S, "a notification of the watchdog")
    assert machine.unit_property("MainPID") == before
    assert "is muted" in machine.findings()["service"]["message"]
    assert machine.microphone.recorders() == 0, "the doctor does not open it, either"
    machine.system.run("systemctl", "kill", "--signal=KILL", "edge-mcnn")
    machine.wait_for(lambda: machine.unit_property("MainPID") not in (before, "0"), "a restart")
    machine.wait_for_state("muted")
    assert (machine.status()["blocks_received"], machine.microphone.recorders()) == (0, 0)
    assert "listening to default" in as_user(machine, ("mute", "off"), "audio")
    machine.wait_for_state("healthy")


def test_a_killed_service_restarts(machine: ServiceMachine) -> None:
    before, restarts = machine.unit_property("MainPID"), int(machine.unit_property("NRestarts"))
    machine.system.run("systemctl", "kill", "--signal=KILL", "edge-mcnn")
    machine.wait_for(lambda: int(machine.unit_property("NRestarts")) == restarts + 1, "a restart")
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


@pytest.mark.parametrize("state", ["healthy", "lost", "starting", "just started"])
def test_stopped_in_any_state_it_ends_quickly_with_success(machine: ServiceMachine, state: str) -> None:
    if state == "lost":
        machine.microphone.unplug()
        machine.wait_for_state("lost")
    if state == "starting":
        machine.system.run("systemctl", "start", "--no-block", "edge-mcnn")
        assert machine.state_when_it_catches(signal.SIGTERM) == "activating", "it is still loading"
    status = "0"
    if state == "just started":  # Python itself still starts: the signal ends it at once, which is a success, too
        machine.system.run("systemctl", "start", "--no-block", "edge-mcnn")
        status = str(int(signal.SIGTERM))
    start = time.monotonic()
    machine.system.run("systemctl", "stop", "edge-mcnn")
    assert time.monotonic() - start < 2
    assert (machine.unit_property("Result"), machine.unit_property("ExecMainStatus")) == ("success", status)
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


_UDEVADM = """#!/bin/sh
rule=/etc/udev/rules.d/60-edge-mcnn-gpio.rules
value() { sed -n "s/.*$1=\\"\\([^\\"]*\\)\\".*/\\1/p" $rule; }
if [ "$1" = trigger ]; then chgrp "$(value GROUP)" /dev/gpiochip0; chmod "$(value MODE)" /dev/gpiochip0; fi
"""
"""Applies the rule as udev does; no udev runs here, and no kernel reports a chip to it."""


_WITH_MOCK_PINS = """#!/opt/edge-mcnn/bin/python
import os
if "MOCK_PINS" in os.environ:
    import tests.system.with_mock_pins
else:
    from edge_mcnn.main import main
    main()
"""


def test_leds_on_plain_debian(machine: ServiceMachine) -> None:
    """Only root may open the chip until the installation; after a crash, the service switches its LEDs off."""
    machine.system.run("mknod", "-m", "600", "/dev/gpiochip0", "c", "10", "229")
    machine.system.run("sh", "-c", "! getent group gpio || groupdel gpio")
    machine.write("/usr/bin/udevadm", _UDEVADM, mode="755")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    lgpio = f"/opt/edge-mcnn/lib/{version}/site-packages/lgpio.py"
    machine.write(lgpio, "LGPIO_PY_VERSION = 0x00020200\ndef gpiochip_open(number): ...\n")
    program = machine.read(EDGE_MCNN)
    machine.write(EDGE_MCNN, _WITH_MOCK_PINS, mode="755")
    machine.system.run("mkdir", "--mode=777", "/run/pins")
    machine.write(
        f"{UNIT}.d/pins.conf", "[Service]\nEnvironment=MOCK_PINS=/run/pins\nReadWritePaths=/run/pins\nRestartSec=600\n"
    )
    machine.write(CONFIG, '[lights]\nkind = "gpio"\nhold_s = 600\n')
    output = machine.edge_mcnn("service", "install")
    for text in (
        "/dev/gpiochip0 is root:root 0600; the installation writes",
        "pins: create the group gpio",
        "pins: udev rule: write /etc/udev/rules.d/60-edge-mcnn-gpio.rules",
        "pins: /dev/gpiochip0 is root:root 0600; give it to the group gpio",
    ):
        assert text in output
    assert machine.system.run("stat", "--format=%G %a", "/dev/gpiochip0").stdout == "gpio 660\n"
    gid = machine.system.run("getent", "group", "gpio").stdout.split(":")[2]
    process = machine.unit_property("MainPID")
    assert gid in machine.system.run("grep", "Groups:", f"/proc/{process}/status").stdout.split()
    assert "write" not in machine.edge_mcnn("service", "install")

    def levels() -> list[str]:
        """The level of each pin, as the kernel of a Raspberry Pi preserves it."""
        return machine.system.run("sh", "-c", "cat /run/pins/*").stdout.split()

    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    machine.wait_for(lambda: sorted("".join(levels())) == ["0", "0", "1"], "a light")
    machine.system.run("systemctl", "kill", "--signal=KILL", "edge-mcnn")
    machine.wait_for(lambda: machine.unit_property("SubState") == "auto-restart", "its end")
    assert "".join(levels()) == "000"
    assert "code=exited ; status=0" in machine.unit_property("ExecStopPost")
    machine.system.run("sh", "-c", f"rm -r /run/pins /dev/gpiochip0 {UNIT}.d/pins.conf {lgpio}")
    machine.write(EDGE_MCNN, program, mode="755")
    machine.write(CONFIG, "")
    machine.edge_mcnn("service", "install")


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


def test_the_service_takes_the_voice_profile_of_the_user_along(machine: ServiceMachine) -> None:
    own = str(profile_in_home(Path("~root").expanduser()))
    machine.write(own, machine.read(PROFILE), mode="600")
    machine.edge_mcnn("service", "uninstall")
    assert machine.exists(PROFILE), "what was learnt stays without --purge"
    machine.system.run("rm", "-r", "/var/lib/edge-mcnn-profile", "/var/lib/private/edge-mcnn-profile")
    variables = "".join(f"Environment={variable}\n" for variable in machine.environment)
    machine.write(f"{UNIT}.d/test.conf", f"[Service]\n{variables}")
    planned = f"voice profile: copy {own} (1 example) to {PROFILE}"
    assert f"dry run: {planned}" in machine.edge_mcnn("service", "install", "--dry-run")
    assert not machine.exists(PROFILE)
    assert planned in machine.edge_mcnn("service", "install")
    machine.wait_for_state("healthy")
    assert machine.status()["examples"] == 1
    assert "not adapted to 1 example of your voice" in machine.journal()
    machine.microphone.play(CLIPS / "espeak-ruined.flac")
    machine.wait_for(lambda: machine.status().get("utterances", 0) > 0, "a prediction")
    assert "that was positive (2 examples" in correct(machine, "positive", "audio")
    assert f"voice profile: keep {PROFILE} unchanged" in machine.edge_mcnn("service", "install")
    machine.system.run("rm", own)


def test_the_users_own_model(machine: ServiceMachine) -> None:
    refused = machine.edge_mcnn("service", "install", "--model", f"{UNDER_TEST}/README.md", check=False)
    assert "edge-mcnn: /opt/under-test/README.md" in refused
    machine.edge_mcnn("service", "uninstall", "--purge")
    machine.system.run("mkdir", "-p", f"{UNIT}.d")
    machine.edge_mcnn("service", "install", "--model", f"{UNDER_TEST}/device/models/sentiment.tflite")
    assert 'model = "/var/lib/edge-mcnn/Model.tflite"' in machine.read(CONFIG)


def test_the_users_own_model_after_the_shipped_one(machine: ServiceMachine) -> None:
    own = ("service", "install", "--model", f"{UNDER_TEST}/device/models/sentiment.tflite")
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
    owned.append("/etc/udev/rules.d/60-edge-mcnn-gpio.rules")
    owned += [f"{parent}/edge-mcnn" for parent in ("/var/lib", "/var/lib/private", "/var/cache", "/var/log", "/run")]
    owned += ["/var/lib/edge-mcnn-profile", "/var/lib/private/edge-mcnn-profile"]
    assert [path for path in owned if machine.exists(path)] == []
    assert "not-found" in machine.unit_property("LoadState")
    assert "no service is installed" in machine.edge_mcnn("service", "uninstall", check=False)
    assert "not installed" in machine.edge_mcnn("service", "status", check=False)
