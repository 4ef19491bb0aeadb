import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from device.errors import ServiceError
from device.service import unit
from device.service.unit import network_drop_in, unit_text
from device.settings.schema import MqttSettings
from tests.conftest import import_again

CONFIG = Path("/etc/edge-mcnn/config.toml")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of homes on a machine where a user has installed edge-mcnn into a venv in a private home."""
    home = tmp_path / "home"
    monkeypatch.setattr(unit, "_HIDDEN", (home,))
    monkeypatch.setattr(unit, "_TEMPORARY", ())
    venv = home / "pi" / "edge-mcnn" / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "edge-mcnn").touch()
    (venv / "bin" / "python").touch()
    (home / "pi").chmod(0o700)
    monkeypatch.setattr(sys, "prefix", str(venv))
    monkeypatch.setattr(sys, "executable", str(venv / "bin" / "python"))
    monkeypatch.setattr(unit, "_check_parents", lambda path: None)
    return home


def test_only_needed_paths_of_home_folders_are_mounted(home: Path) -> None:
    venv = home / "pi" / "edge-mcnn" / ".venv"
    model = home / "pi" / "Model.tflite"
    model.touch()
    lines = unit_text(CONFIG, ["audio"], [model, venv / "bin"]).splitlines()
    assert "ProtectHome=tmpfs" in lines
    mounted = {line.partition("=")[2] for line in lines if line.startswith("BindReadOnlyPaths=")}
    assert mounted == {str(venv), str(model)}, "a folder inside a mounted one is not mounted again"
    assert f"ExecStart={venv}/bin/edge-mcnn listen --wait --config {CONFIG}" in lines
    assert "SupplementaryGroups=audio" in lines
    assert "@" not in "".join(line for line in lines if "=" in line and not line.startswith(("#", "SystemCallFilter")))


def test_home_folders_are_hidden_if_nothing_in_them_is_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_HIDDEN", (home / "elsewhere",))
    text = unit_text(CONFIG, ["audio"])
    assert "ProtectHome=yes" in text
    assert "BindReadOnlyPaths" not in text


def test_unreadable_files_are_refused(home: Path) -> None:
    model = home / "Model.tflite"
    with pytest.raises(ServiceError, match="cannot be read"):
        unit_text(CONFIG, ["audio"], [model])
    model.touch(mode=0o600)
    with pytest.raises(ServiceError, match="cannot read it") as error:
        unit_text(CONFIG, ["audio"], [model])
    assert error.value.fix == f"run: sudo chmod -R o+rX {model}"


@pytest.mark.parametrize(
    "closed", ["", "lib", "lib/site-packages/numpy", "lib/site-packages/numpy/core.py", "bin/python"]
)
def test_an_environment_made_under_an_unusual_umask_is_refused(closed: str, home: Path) -> None:
    venv = home / "pi" / "edge-mcnn" / ".venv"
    module = venv / "lib/site-packages/numpy/core.py"
    module.parent.mkdir(parents=True)
    module.touch()
    (venv / closed).chmod((venv / closed).stat().st_mode & 0o700)
    with pytest.raises(ServiceError, match="the service, which runs as a separate user, cannot read it") as error:
        unit_text(CONFIG, ["audio"])
    assert error.value.message.startswith(f"{venv / closed} has the mode 0")
    assert error.value.fix == f"run: sudo chmod -R o+rX {venv}"


def test_a_package_of_the_system_that_only_root_can_read_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = home / "dist-packages" / "lgpio.py"
    module.parent.mkdir()
    module.touch(mode=0o600)
    import_again("lgpio", monkeypatch)
    monkeypatch.setattr("sys.path", [str(module.parent), *sys.path])
    with pytest.raises(ServiceError, match=r"lgpio.py has the mode 0600"):
        unit_text(CONFIG, ["audio"])


def test_compiled_modules_that_only_root_can_read_do_no_harm(home: Path) -> None:
    venv = home / "pi" / "edge-mcnn" / ".venv"
    (venv / "lib" / "__pycache__").mkdir(parents=True, mode=0o700)
    unit_text(CONFIG, ["audio"])


def test_every_file_of_a_speech_model_must_be_readable(home: Path) -> None:
    model = home / "vosk"
    (model / "am").mkdir(parents=True)
    (model / "am" / "final.mdl").touch(mode=0o600)
    with pytest.raises(ServiceError, match=r"final.mdl has the mode 0600") as error:
        unit_text(CONFIG, ["audio"], [model])
    assert error.value.fix == f"run: sudo chmod -R o+rX {model}"


def test_the_environment_of_an_installed_unit(home: Path) -> None:
    venv = home / "pi" / "edge-mcnn" / ".venv"
    executable = unit.executable_of(unit_text(CONFIG, ["audio"]))
    assert executable == venv / "bin" / "edge-mcnn"
    unit.check_environment(executable)
    other = home / "other" / "bin" / "edge-mcnn"
    with pytest.raises(ServiceError, match="which the service starts, is missing"):
        unit.check_environment(other)
    other.parent.mkdir(parents=True)
    other.touch(mode=0o700)
    with pytest.raises(ServiceError, match="cannot read it"):
        unit.check_environment(other)
    assert unit.executable_of("[Service]\n") is None


def test_a_killed_daemon_leaves_no_led_on(home: Path) -> None:
    """What the unit runs after the daemon ended: nothing after success, else `lights off` with the same settings."""
    venv = home / "pi" / "edge-mcnn" / ".venv"
    program = venv / "bin" / "edge-mcnn"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    [line] = [line for line in unit_text(CONFIG, ["audio"]).splitlines() if line.startswith("ExecStopPost=")]
    command = line.removeprefix("ExecStopPost=")
    assert command.startswith("-"), "its failure does not make a clean stop a failure"
    words = [word.replace("$$", "$") for word in shlex.split(command[1:])]

    def output(result: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, check=False, env={"SERVICE_RESULT": result})
        return done.stdout.strip()

    assert output("success") == ""
    for result in ("signal", "watchdog", "oom-kill", "core-dump", "exit-code", "timeout"):
        assert output(result) == f"lights off --quiet --config {CONFIG}"


def test_a_path_that_systemd_would_misread_is_refused(home: Path) -> None:
    folder = home / "my models"
    folder.mkdir()
    with pytest.raises(ServiceError, match="systemd would misread a path with spaces") as error:
        unit_text(CONFIG, ["audio"], [folder])
    assert error.value.fix == "move it"


def test_a_path_that_the_next_start_deletes_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_TEMPORARY", (home,))
    with pytest.raises(ServiceError, match="is deleted at the next start") as error:
        unit_text(CONFIG, ["audio"])
    assert error.value.fix == "move it, for example to /opt"


def test_a_folder_that_others_may_not_enter_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    with pytest.raises(
        ServiceError, match=r"closed has the mode 0700: the service, which runs as a separate user, cannot enter"
    ) as error:
        unit._check_parents(inner)
    assert error.value.fix == f"run: sudo chmod o+x {inner.parent}"


def test_a_missing_command_is_reported(home: Path) -> None:
    (home / "pi" / "edge-mcnn" / ".venv" / "bin" / "edge-mcnn").unlink()
    with pytest.raises(ServiceError, match="bin/edge-mcnn is missing") as error:
        unit_text(CONFIG, ["audio"])
    assert error.value.fix.startswith("install edge-mcnn")


def drop_in_lines(settings: MqttSettings) -> list[str]:
    return network_drop_in(settings).splitlines()[1:]


def test_the_interface_of_an_address_is_left_out() -> None:
    assert drop_in_lines(MqttSettings("fe80::1%eth0"))[-1] == "IPAddressAllow=fe80::1"


@pytest.mark.parametrize("host", ["192.168.1.5", "fd00::5", "localhost"])
def test_only_the_address_of_the_broker_can_be_reached(host: str) -> None:
    assert drop_in_lines(MqttSettings(host)) == [
        "[Service]", "PrivateNetwork=no", "RestrictAddressFamilies=AF_INET AF_INET6", f"IPAddressAllow={host}",
    ]  # fmt: skip


def test_a_host_name_needs_the_network_to_be_resolved() -> None:
    assert drop_in_lines(MqttSettings("broker.local"))[-1] == "IPAddressDeny="


def test_systemd_passes_the_password_on() -> None:
    lines = drop_in_lines(MqttSettings("broker.local", user="lamp", password_file="/etc/mqtt-password"))
    assert lines[-2:] == [
        "LoadCredential=mqtt-password:/etc/mqtt-password", "Environment=EDGE_MCNN_MQTT_PASSWORD_FILE=%d/mqtt-password",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["password", "/etc/my password", "/etc/50%", "~/password"])
def test_a_password_path_that_systemd_would_misread_is_refused(path: str) -> None:
    with pytest.raises(ServiceError, match=r"mqtt.password_file is .*") as error:
        drop_in_lines(MqttSettings("broker.local", user="lamp", password_file=path))
    assert error.value.fix.startswith("use an absolute path")
