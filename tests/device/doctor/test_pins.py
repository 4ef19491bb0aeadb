"""GPIO pins and their library, on a Raspberry Pi that is set up and on others."""

import os
import sys
from pathlib import Path

import pytest

from device.doctor import pins
from device.doctor.findings import Finding
from device.outputs import lights as lights_module
from device.settings.schema import ClassifierSettings, LightsSettings, Settings
from tests.conftest import import_again

GPIO = Settings(lights=LightsSettings(kind="gpio"))
REAL = "def gpiochip_open(number): ..."


@pytest.fixture
def lgpio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module that looks like the real lgpio; no other can be imported."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "lgpio.py").write_text(REAL)
    monkeypatch.setattr("sys.path", [str(folder), *(path for path in sys.path if "site-packages" not in path)])
    import_again("lgpio", monkeypatch)
    monkeypatch.chdir(tmp_path)
    return folder / "lgpio.py"


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """A /dev folder with a GPIO chip."""
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / "gpiochip0").touch()
    return folder


def findings_of(settings: Settings, dev: Path, *, service: bool = False) -> dict[str, Finding]:
    return {each.topic: each for each in pins.check_lights(settings, dev=dev, service=service)}


def summary(findings: dict[str, Finding]) -> dict[str, tuple[str, str]]:
    return {name: (each.verdict.value, each.message) for name, each in findings.items()}


def test_a_pi_that_is_set_up(lgpio: Path, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")
    assert summary(findings_of(Settings(), dev)) == {
        "lights": ("OK", "negative GPIO22, neutral GPIO27, positive GPIO17"),
        "pins": ("OK", "gpiochip0"),
        "lgpio": ("OK", str(lgpio)),
    }


@pytest.mark.parametrize(
    ("kind", "why"),
    [("auto", "this is not a Raspberry Pi"), ("none", "lights.kind is none"), ("terminal", "lights.kind is terminal")],
)
def test_without_leds_the_pins_are_not_checked(
    kind: str, why: str, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "none")
    found = findings_of(Settings(lights=LightsSettings(kind=kind)), dev)
    assert summary(found) == {"lights": ("WARN", f"{why}: no LED will light up")}
    assert ("in the terminal" in found["lights"].fix) == (kind != "none")


def test_classes_without_a_pin(lgpio: Path, dev: Path) -> None:
    found = findings_of(Settings(lights=LightsSettings(kind="gpio", pins={"positive": 1})), dev)["lights"]
    assert (found.verdict.value, found.message) == ("FAIL", "no pin for negative, neutral")
    assert "pins = { negative = 17, neutral = 27, positive = 1 } under [lights]" in found.fix


def test_the_pins_of_an_rgb_led(lgpio: Path, dev: Path) -> None:
    found = findings_of(Settings(lights=LightsSettings(kind="gpio", rgb={"red": 1, "green": 2, "blue": 3})), dev)[
        "lights"
    ]
    assert (found.verdict.value, found.message) == ("OK", "red GPIO1, green GPIO2, blue GPIO3")


def test_an_unreadable_model_does_not_stop_the_pin_check(lgpio: Path, dev: Path, tmp_path: Path) -> None:
    settings = Settings(lights=LightsSettings(kind="gpio"), classifier=ClassifierSettings(model=str(tmp_path / "none")))
    assert findings_of(settings, dev)["pins"].verdict.value == "OK"


def test_no_chip(lgpio: Path, tmp_path: Path) -> None:
    assert summary(findings_of(GPIO, tmp_path))["pins"] == ("FAIL", "there is no /dev/gpiochip*")


def test_a_user_without_permission_to_open_the_chip(lgpio: Path, dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "may_open", lambda path: path.name != "gpiochip0")
    monkeypatch.setattr(pins, "how_to_join", lambda group: f"join {group}")
    found = findings_of(GPIO, dev)["pins"]
    assert (found.verdict.value, found.message, found.fix) == (
        "FAIL",
        f"this user may not open {dev}/gpiochip0",
        "join gpio",
    )
    (dev / "gpiochip4").touch()  # a Pi 5 has several, and not all of them are needed
    assert findings_of(GPIO, dev)["pins"].verdict.value == "OK"


def test_the_service_runs_with_the_group(lgpio: Path, dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "may_open", lambda path: False)
    monkeypatch.setattr(pins, "has_group", lambda name: name == "gpio")
    assert summary(findings_of(GPIO, dev, service=True))["pins"] == ("OK", "/dev/gpiochip*, group gpio")
    monkeypatch.setattr(pins, "has_group", lambda name: False)
    assert summary(findings_of(GPIO, dev, service=True))["pins"] == ("FAIL", "there is no group gpio to own the pins")


@pytest.mark.parametrize(
    ("content", "part", "fix"),
    [
        (
            "",
            "is the empty package that pip installs where there is no wheel",
            "run: pip uninstall lgpio, then sudo apt-get",
        ),
        (None, "not installed", "--system-site-packages"),
    ],
)
def test_lgpio_that_is_missing_or_empty(content: str | None, part: str, fix: str, lgpio: Path, dev: Path) -> None:
    if content is None:
        lgpio.unlink()
    else:
        lgpio.write_text(content)
    found = findings_of(GPIO, dev)["lgpio"]
    assert found.verdict.value == "FAIL"
    assert part in found.message
    assert fix in found.fix


def test_lgpio_is_not_imported(lgpio: Path, dev: Path) -> None:
    lgpio.write_text(f"{REAL}\nopen('.lgd-nfy0', 'w')\n")
    assert findings_of(GPIO, dev)["lgpio"].verdict.value == "OK"
    assert not Path(".lgd-nfy0").exists()


def test_a_folder_where_lgpio_cannot_create_its_fifo(
    lgpio: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != "." and access(path, mode))
    found = pins._check_library({})
    assert found.verdict.value == "FAIL"
    assert "LG_WD" in found.fix
    assert pins._check_library({"LG_WD": str(tmp_path)}).verdict.value == "OK"


def test_a_library_that_does_not_support_a_pi_5(lgpio: Path) -> None:
    found = pins._check_library({"GPIOZERO_PIN_FACTORY": "rpigpio"})
    assert (found.verdict.value, found.fix) == ("WARN", "unset GPIOZERO_PIN_FACTORY")
    assert pins._check_library({"GPIOZERO_PIN_FACTORY": "lgpio"}).verdict.value == "OK"
