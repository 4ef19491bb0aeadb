"""Boards, systems and their troubles, told by files as Linux would tell them."""

import platform
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from device.doctor import machine
from device.doctor.findings import Finding, Verdict


def write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def one(found: Iterable[Finding]) -> Finding:
    [finding] = found
    return finding


def test_a_raspberry_pi_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "proc" / "device-tree"
    folder.mkdir(parents=True)
    (folder / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"PRETTY_NAME": "Debian GNU/Linux 13 (trixie)"})
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    told = "Raspberry Pi 5 Model B Rev 1.0, aarch64, Debian GNU/Linux 13 (trixie)"
    assert one(machine.board(tmp_path)) == Finding("machine", Verdict.GOOD, told)


def test_a_system_that_does_not_say_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(platform, "freedesktop_os_release", unknown)
    assert one(machine.board(tmp_path)).told.endswith(", Linux")


@pytest.mark.parametrize(
    ("version", "largest", "verdict", "part"),
    [
        ((3, 11), (1 << 63) - 1, "good", "Python"),
        ((3, 13), (1 << 63) - 1, "good", "Python"),
        ((3, 14), (1 << 63) - 1, "warning", "best take 3.13 or older"),
        ((3, 11), (1 << 31) - 1, "bad", "install the 64-bit Raspberry Pi OS"),  # of 64 bits may be the kernel alone
    ],
)
def test_pythons_that_have_wheels(version: tuple[int, int], largest: int, verdict: str, part: str) -> None:
    found = one(machine.python(version, largest))
    assert found.verdict.value == verdict
    assert part in f"{found.name} {found.mend}"


def test_the_newest_python_is_that_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    major, minor = machine._NEWEST_PYTHON
    assert project["requires-python"].endswith(f"<{major}.{minor + 1}")


@pytest.mark.parametrize(
    ("megabytes", "listening", "verdict"),
    [(4000, False, "good"), (300, False, "warning"), (200, False, "bad"), (200, True, "good"), (50, True, "warning")],
)
def test_memory(megabytes: int, listening: bool, verdict: str, tmp_path: Path) -> None:
    kilobytes = megabytes * 1_000_000 // 1024
    write(tmp_path, proc__meminfo=f"MemTotal: 9000000 kB\nMemAvailable: {kilobytes} kB\n")
    found = one(machine.memory(listening=listening, root=tmp_path))
    assert found.verdict.value == verdict
    assert found.told.startswith(f"{megabytes} MB available")
    assert ("utterances_per_recogniser" in found.mend) == (verdict != "good")


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(
    ("free_mb", "needed_mb", "verdict", "told"),
    [
        (32_000, 204, "good", "32.0 GB free"),
        (150, 204, "bad", "150 MB free"),
        (150, 0, "good", "150 MB free"),
        (50, 0, "warning", "50 MB free"),
    ],
)
def test_disk(
    free_mb: int, needed_mb: float, verdict: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def usage(path: Path) -> Usage:
        asked.append(path)
        return Usage(free_mb * 1_000_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    found = one(machine.disk(tmp_path / "not" / "there", needed_mb))
    assert found.verdict.value == verdict
    assert found.told.startswith(f"{told} for {tmp_path / 'not' / 'there'}")
    assert asked == [tmp_path]


def test_heat_is_that_of_the_hottest_and_left_out_where_nobody_tells(tmp_path: Path) -> None:
    assert list(machine.heat(tmp_path)) == []
    write(tmp_path, sys__class__thermal__thermal_zone0__temp="48300\n", sys__class__thermal__thermal_zone1__temp="")
    assert one(machine.heat(tmp_path)).told == "48 °C"
    write(tmp_path, sys__class__thermal__thermal_zone2__temp="82100\n")
    found = one(machine.heat(tmp_path))
    assert (found.verdict.value, found.told) == ("warning", "82 °C")
    assert "heat sink" in found.mend


def test_a_weak_power_supply(tmp_path: Path) -> None:
    write(tmp_path, sys__class__hwmon__hwmon0__name="cpu_thermal\n")
    assert list(machine.power(tmp_path)) == []
    write(tmp_path, sys__class__hwmon__hwmon1__name="rpi_volt\n", sys__class__hwmon__hwmon1__in0_lcrit_alarm="0\n")
    assert one(machine.power(tmp_path)).verdict.value == "good"
    write(tmp_path, sys__class__hwmon__hwmon1__in0_lcrit_alarm="1\n")
    found = one(machine.power(tmp_path))
    assert found.verdict.value == "warning"
    assert "power supply" in found.mend
