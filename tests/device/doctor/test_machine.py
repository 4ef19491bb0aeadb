"""Boards, systems and their problems, imitated by the files that Linux provides."""

import platform
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from device.doctor import machine
from device.doctor.findings import Finding, Verdict
from device.settings.schema import TranscriberSettings
from device.system import throttling
from device.system.throttling import Throttling


def write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def only(findings: Iterable[Finding]) -> Finding:
    [finding] = findings
    return finding


def test_a_raspberry_pi_is_reported_by_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "proc" / "device-tree"
    folder.mkdir(parents=True)
    (folder / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"PRETTY_NAME": "Debian GNU/Linux 13 (trixie)"})
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    message = "Raspberry Pi 5 Model B Rev 1.0, aarch64, Debian GNU/Linux 13 (trixie)"
    assert only(machine.check_board(tmp_path)) == Finding("machine", Verdict.OK, message)


def test_a_system_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(platform, "freedesktop_os_release", unknown)
    assert only(machine.check_board(tmp_path)).message.endswith(", Linux")


@pytest.mark.parametrize(
    ("version", "max_size", "verdict", "part"),
    [
        ((3, 11), (1 << 63) - 1, "OK", "Python"),
        ((3, 13), (1 << 63) - 1, "OK", "Python"),
        ((3, 14), (1 << 63) - 1, "WARN", "use Python 3.13 or older"),
        ((3, 11), (1 << 31) - 1, "FAIL", "install the 64-bit Raspberry Pi OS"),  # the kernel may still be 64-bit
    ],
)
def test_pythons_with_and_without_wheels(version: tuple[int, int], max_size: int, verdict: str, part: str) -> None:
    found = only(machine.check_python(version, max_size))
    assert found.verdict.value == verdict
    assert part in f"{found.topic} {found.fix}"


def test_the_newest_python_is_the_one_in_pyproject() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    major, minor = machine._NEWEST_PYTHON
    assert project["requires-python"].endswith(f"<{major}.{minor + 1}")


def test_a_limit_of_a_control_group_below_what_vosk_needs(tmp_path: Path) -> None:
    write(tmp_path, proc__self__cgroup="0::/lamp\n")
    group = tmp_path / "sys/fs/cgroup/lamp"
    group.mkdir(parents=True)
    for name, content in (("memory.max", "150000000"), ("memory.current", "100000000")):
        (group / name).write_text(content)
    found = only(machine.check_memory_limits(TranscriberSettings(), daemon_runs=False, root=tmp_path))
    assert (found.topic, found.verdict) == ("memory", Verdict.FAIL)
    assert found.message.endswith("to load the speech model, and the limit of a control group leaves 50 MB")
    assert f"raise the limit of {group}" in found.fix
    assert list(machine.check_memory_limits(TranscriberSettings(), daemon_runs=True, root=tmp_path)) == []
    (group / "memory.max").write_text("max")
    assert list(machine.check_memory_limits(TranscriberSettings(), daemon_runs=False, root=tmp_path)) == []


@pytest.mark.parametrize(
    ("megabytes", "daemon_runs", "verdict"),
    [(4000, False, "OK"), (260, False, "WARN"), (200, False, "FAIL"), (200, True, "OK"), (50, True, "WARN")],
)
def test_memory(megabytes: int, daemon_runs: bool, verdict: str, tmp_path: Path) -> None:
    kilobytes = megabytes * 1_000_000 // 1024
    write(tmp_path, proc__meminfo=f"MemTotal: 9000000 kB\nMemAvailable: {kilobytes} kB\n")
    found = only(machine.check_memory(daemon_runs=daemon_runs, root=tmp_path))
    assert found.verdict.value == verdict
    assert found.message.startswith(f"{megabytes} MB available")
    assert ("utterances_per_recogniser" in found.fix) == (verdict != "OK")


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(
    ("free_mb", "needed_mb", "verdict", "message"),
    [
        (32_000, 204, "OK", "32.0 GB free"),
        (150, 204, "FAIL", "150 MB free"),
        (150, 0, "OK", "150 MB free"),
        (50, 0, "WARN", "50 MB free"),
    ],
)
def test_disk(
    free_mb: int, needed_mb: float, verdict: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queried: list[Any] = []

    def usage(path: Path) -> Usage:
        queried.append(path)
        return Usage(free_mb * 1_000_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    found = only(machine.check_disk(tmp_path / "not" / "there", needed_mb))
    assert found.verdict.value == verdict
    assert found.message.startswith(f"{message} for {tmp_path / 'not' / 'there'}")
    assert queried == [tmp_path]


def test_the_highest_temperature_is_reported_and_nothing_without_a_sensor(tmp_path: Path) -> None:
    assert list(machine.check_temperature(tmp_path)) == []
    write(tmp_path, sys__class__thermal__thermal_zone0__temp="48300\n", sys__class__thermal__thermal_zone1__temp="")
    assert only(machine.check_temperature(tmp_path)).message == "48 °C"
    write(tmp_path, sys__class__thermal__thermal_zone2__temp="82100\n")
    found = only(machine.check_temperature(tmp_path))
    assert (found.verdict.value, found.message) == ("WARN", "82 °C")
    assert "heat sink" in found.fix


def test_a_weak_power_supply(tmp_path: Path) -> None:
    write(tmp_path, sys__class__hwmon__hwmon0__name="cpu_thermal\n")
    assert list(machine.check_power(tmp_path)) == []
    write(tmp_path, sys__class__hwmon__hwmon1__name="rpi_volt\n", sys__class__hwmon__hwmon1__in0_lcrit_alarm="0\n")
    assert only(machine.check_power(tmp_path)).verdict.value == "OK"
    write(tmp_path, sys__class__hwmon__hwmon1__in0_lcrit_alarm="1\n")
    found = only(machine.check_power(tmp_path))
    assert found.verdict.value == "WARN"
    assert "power supply" in found.fix


THROTTLED = "sys__devices__platform__soc__soc:firmware__get_throttled"


@pytest.mark.parametrize(
    ("bits", "power", "slowed"),
    [
        ("0", None, None),
        ("50005", "is too low now", "is slowed down now"),
        ("50000", "was too low since the start", "was slowed down since the start"),
        ("1", "is too low now", None),
        ("10000", "was too low since the start", None),
        ("80008", None, "is slowed down now"),
        ("80000", None, "was slowed down since the start"),
        ("20002", None, "is slowed down now"),
    ],
)
def test_what_the_firmware_of_a_raspberry_pi_reports(
    bits: str, power: str | None, slowed: str | None, tmp_path: Path
) -> None:
    write(tmp_path, **{THROTTLED: f"{bits}\n"})
    found = {each.topic: each for each in machine.check_power(tmp_path)}
    assert found["power"].verdict.value == ("OK" if power is None else "WARN")
    assert (power or "no undervoltage") in found["power"].message
    assert ("power supply" in found["power"].fix) == (power is not None)
    assert ("throttling" in found) == (slowed is not None)
    if slowed is not None:
        assert found["throttling"].verdict.value == "WARN"
        assert slowed in found["throttling"].message
        assert "heat sink" in found["throttling"].fix


def test_vcgencmd_reports_where_the_kernel_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vcgencmd"
    program.write_text('#!/bin/sh\necho "throttled=0x50000"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert throttling._from_program() == Throttling(
        low_voltage=False, low_voltage_before=True, slowed=False, slowed_before=True
    )
    program.write_text('#!/bin/sh\necho "VCHI initialization failed"; exit 255\n')
    assert throttling._from_program() is None
    program.unlink()
    assert throttling._from_program() is None
