"""Temperature and power supply, as the kernel shows them below a root; `doctor` tests what they mean."""

from pathlib import Path

import pytest

from device.system import throttling
from device.system.throttling import read_temperature, read_throttling


def test_the_hottest_sensor_that_can_be_read(tmp_path: Path) -> None:
    assert read_temperature(tmp_path) is None
    for zone, content in enumerate(["48312\n", "51234\n", "asleep\n"]):
        path = tmp_path / f"sys/class/thermal/thermal_zone{zone}/temp"
        path.parent.mkdir(parents=True)
        path.write_text(content)
    (tmp_path / "sys/class/thermal/thermal_zone3/temp").mkdir(parents=True)
    assert read_temperature(tmp_path) == 51.234


def test_no_program_is_run_where_that_would_take_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(throttling, "_ROOT", tmp_path)
    monkeypatch.setattr(throttling, "_from_program", lambda: pytest.fail("a program is run"))
    assert read_throttling(tmp_path, program=False) is None
