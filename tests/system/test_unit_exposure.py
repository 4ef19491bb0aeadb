"""The unit as rated by systemd itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from device.service import unit


@pytest.fixture
def unit_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unit, "_TEMPORARY", ())  # the checkout under test may be in /tmp
    path = tmp_path / "edge-mcnn.service"
    path.write_text(unit.unit_text(Path("/etc/edge-mcnn/config.toml"), ["audio", "gpio"]))
    return path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_valid_and_its_exposure_is_low(unit_file: Path) -> None:
    verified = subprocess.run(["systemd-analyze", "verify", unit_file], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit_file],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    [line] = [line for line in rated.stdout.splitlines() if "Overall exposure level" in line]
    assert float(line.split(": ")[1].split()[0]) <= 1.5, rated.stdout
