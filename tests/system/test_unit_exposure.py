"""The unit as rated by systemd itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from device.service import unit
from device.settings.schema import WebSettings

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


CONFIG = Path("/etc/edge-mcnn/config.toml")


@pytest.fixture(autouse=True)
def _checkout_in_any_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_TEMPORARY", ())  # the checkout under test may be in /tmp


def exposure(unit_file: Path) -> float:
    """The exposure that systemd computes, from 0 (safe) to 10, after it has checked the unit."""
    verified = subprocess.run(["systemd-analyze", "verify", unit_file], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit_file],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    [line] = [line for line in rated.stdout.splitlines() if "Overall exposure level" in line]
    print(rated.stdout)
    return float(line.split(": ")[1].split()[0])


@needs_systemd
def test_the_exposure_of_the_service_is_low(tmp_path: Path) -> None:
    path = tmp_path / "edge-mcnn.service"
    path.write_text(unit.unit_text(CONFIG, ["audio", "gpio"]))
    assert exposure(path) <= 1.5


@needs_systemd
def test_the_exposure_of_the_page_is_low(tmp_path: Path) -> None:
    path = tmp_path / "edge-mcnn-web.service"
    path.write_text(unit.web_unit_text(CONFIG, WebSettings()))
    path.with_suffix(".socket").write_text(unit.web_socket_text(CONFIG, WebSettings()))
    assert exposure(path) <= 1.0
