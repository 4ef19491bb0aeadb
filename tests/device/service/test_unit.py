import sys
from pathlib import Path

import pytest

from device.errors import ServiceError
from device.service import unit
from device.service.unit import unit_text

CONFIG = Path("/etc/edge-mcnn/config.toml")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python with edge-mcnn in a home, as a maker has it."""
    home = tmp_path / "home"
    monkeypatch.setattr(unit, "_HIDDEN", (home,))
    monkeypatch.setattr(unit, "_GONE", ())
    venv = home / "pi" / "edge-mcnn" / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "edge-mcnn").touch()
    (home / "pi").chmod(0o700)
    monkeypatch.setattr(sys, "prefix", str(venv))
    monkeypatch.setattr(sys, "executable", str(venv / "bin" / "python"))
    monkeypatch.setattr(unit, "_check_parents", lambda path: None)
    return home


def test_of_the_homes_only_what_it_runs_from(installed: Path) -> None:
    venv = installed / "pi" / "edge-mcnn" / ".venv"
    model = installed / "pi" / "Model.tflite"
    model.touch()
    lines = unit_text(CONFIG, ["audio"], [model, venv / "bin"]).splitlines()
    assert "ProtectHome=tmpfs" in lines
    bound = {line.partition("=")[2] for line in lines if line.startswith("BindReadOnlyPaths=")}
    assert bound == {str(venv), str(model)}, "and not what is in the one once more"
    assert f"ExecStart={venv}/bin/edge-mcnn listen --wait --config {CONFIG}" in lines
    assert "SupplementaryGroups=audio" in lines
    assert "@" not in "".join(line for line in lines if "=" in line and not line.startswith(("#", "SystemCallFilter")))


def test_nothing_in_a_home_leaves_homes_out_of_reach(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_HIDDEN", (installed / "elsewhere",))
    text = unit_text(CONFIG, ["audio"])
    assert "ProtectHome=yes" in text
    assert "BindReadOnlyPaths" not in text


def test_what_the_service_could_not_read(installed: Path) -> None:
    model = installed / "Model.tflite"
    with pytest.raises(ServiceError, match="cannot be read"):
        unit_text(CONFIG, ["audio"], [model])
    model.touch(mode=0o600)
    with pytest.raises(ServiceError, match=r"cannot read it; run: sudo chmod -R o\+rX"):
        unit_text(CONFIG, ["audio"], [model])


def test_a_path_that_systemd_would_misread(installed: Path) -> None:
    folder = installed / "my models"
    folder.mkdir()
    with pytest.raises(ServiceError, match="cannot be told a path with spaces"):
        unit_text(CONFIG, ["audio"], [folder])


def test_a_path_that_is_gone_tomorrow(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_GONE", (installed,))
    with pytest.raises(ServiceError, match="gone after the next start"):
        unit_text(CONFIG, ["audio"])


def test_a_folder_that_others_may_not_enter(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    with pytest.raises(ServiceError, match=r"closed: the service, a user of its own, cannot enter it"):
        unit._check_parents(inner)


def test_without_its_command(installed: Path) -> None:
    (installed / "pi" / "edge-mcnn" / ".venv" / "bin" / "edge-mcnn").unlink()
    with pytest.raises(ServiceError, match="bin/edge-mcnn is missing"):
        unit_text(CONFIG, ["audio"])
