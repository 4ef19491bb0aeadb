"""Pins, and the library for them, as they are on a Raspberry Pi that is not set up."""

import grp
import os
import pwd
import sys
from pathlib import Path

import pytest

from device.doctor import pins
from device.doctor.findings import Finding
from device.outputs import lights as lights_module
from device.settings.schema import ClassifierSettings, LightsSettings, Settings
from device.system import permissions as rights

GPIO = Settings(lights=LightsSettings(kind="gpio"))
REAL = "def gpiochip_open(number): ..."


@pytest.fixture
def lgpio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module file of a real one; the only one there is."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "lgpio.py").write_text(REAL)
    monkeypatch.setattr("sys.path", [str(folder), *(path for path in sys.path if "site-packages" not in path)])
    monkeypatch.delitem(sys.modules, "lgpio", raising=False)
    monkeypatch.chdir(tmp_path)
    return folder / "lgpio.py"


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """/dev with a GPIO chip."""
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / "gpiochip0").touch()
    return folder


def looked(settings: Settings, dev: Path, *, service: bool = False) -> dict[str, Finding]:
    return {each.name: each for each in pins.lights(settings, dev=dev, service=service)}


def told(findings: dict[str, Finding]) -> dict[str, tuple[str, str]]:
    return {name: (each.verdict.value, each.told) for name, each in findings.items()}


def test_a_pi_that_is_set_up(lgpio: Path, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")
    assert told(looked(Settings(), dev)) == {
        "lights": ("good", "negative GPIO22, neutral GPIO27, positive GPIO17"),
        "pins": ("good", "gpiochip0"),
        "lgpio": ("good", str(lgpio)),
    }


@pytest.mark.parametrize(
    ("kind", "why"),
    [("auto", "this is no Raspberry Pi"), ("none", "lights.kind is none"), ("terminal", "lights.kind is terminal")],
)
def test_without_leds_nothing_of_pins_is_told(
    kind: str, why: str, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "none")
    found = looked(Settings(lights=LightsSettings(kind=kind)), dev)
    assert told(found) == {"lights": ("warning", f"{why}: no LED will be lit")}
    assert ("in the terminal" in found["lights"].mend) == (kind != "none")


def test_classes_without_a_pin(lgpio: Path, dev: Path) -> None:
    found = looked(Settings(lights=LightsSettings(kind="gpio", pins={"positive": 1})), dev)["lights"]
    assert (found.verdict.value, found.told) == ("bad", "no pin for negative, neutral")
    assert "pins = { negative = 17, neutral = 27, positive = 1 } under [lights]" in found.mend


def test_the_legs_of_an_rgb_led(lgpio: Path, dev: Path) -> None:
    found = looked(Settings(lights=LightsSettings(kind="gpio", rgb={"red": 1, "green": 2, "blue": 3})), dev)["lights"]
    assert (found.verdict.value, found.told) == ("good", "red GPIO1, green GPIO2, blue GPIO3")


def test_a_model_that_cannot_be_read_has_its_own_line(lgpio: Path, dev: Path, tmp_path: Path) -> None:
    settings = Settings(lights=LightsSettings(kind="gpio"), classifier=ClassifierSettings(model=str(tmp_path / "none")))
    assert looked(settings, dev)["pins"].verdict.value == "good"


def test_no_chip(lgpio: Path, tmp_path: Path) -> None:
    assert told(looked(GPIO, tmp_path))["pins"] == ("bad", "there is no /dev/gpiochip*")


def test_a_user_who_may_not_open_the_chip(lgpio: Path, dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "may_open", lambda path: path.name != "gpiochip0")
    monkeypatch.setattr(pins, "how_to_join", lambda group: f"join {group}")
    found = looked(GPIO, dev)["pins"]
    assert (found.verdict.value, found.told, found.mend) == (
        "bad",
        f"this user may not open {dev}/gpiochip0",
        "join gpio",
    )
    (dev / "gpiochip4").touch()  # a Pi 5 has several, some of which nobody needs
    assert looked(GPIO, dev)["pins"].verdict.value == "good"


def test_the_service_gets_the_group(lgpio: Path, dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "may_open", lambda path: False)
    monkeypatch.setattr(pins, "has_group", lambda name: name == "gpio")
    assert told(looked(GPIO, dev, service=True))["pins"] == ("good", "/dev/gpiochip*, group gpio")
    monkeypatch.setattr(pins, "has_group", lambda name: False)
    assert told(looked(GPIO, dev, service=True))["pins"] == ("bad", "there is no group gpio to give them to")


@pytest.mark.parametrize(
    ("content", "part", "mend"),
    [
        (
            "",
            "is the empty package that pip takes where it has no wheel",
            "run: pip uninstall lgpio, then sudo apt-get",
        ),
        (None, "not installed", "--system-site-packages"),
    ],
)
def test_lgpio_that_is_not_real(content: str | None, part: str, mend: str, lgpio: Path, dev: Path) -> None:
    if content is None:
        lgpio.unlink()
    else:
        lgpio.write_text(content)
    found = looked(GPIO, dev)["lgpio"]
    assert found.verdict.value == "bad"
    assert part in found.told
    assert mend in found.mend


def test_lgpio_is_not_imported(lgpio: Path, dev: Path) -> None:
    lgpio.write_text(f"{REAL}\nopen('.lgd-nfy0', 'w')\n")
    assert looked(GPIO, dev)["lgpio"].verdict.value == "good"
    assert not Path(".lgd-nfy0").exists()


def test_a_folder_where_lgpio_cannot_make_its_fifo(
    lgpio: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != "." and access(path, mode))
    found = pins._library({})
    assert found.verdict.value == "bad"
    assert "LG_WD" in found.mend
    assert pins._library({"LG_WD": str(tmp_path)}).verdict.value == "good"


def test_a_library_that_does_not_know_a_pi_5(lgpio: Path) -> None:
    found = pins._library({"GPIOZERO_PIN_FACTORY": "rpigpio"})
    assert (found.verdict.value, found.mend) == ("warning", "unset GPIOZERO_PIN_FACTORY")
    assert pins._library({"GPIOZERO_PIN_FACTORY": "lgpio"}).verdict.value == "good"


class Group:
    def __init__(self, *members: str) -> None:
        self.gr_mem = list(members)


class User:
    pw_name = "pi"


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> dict[str, Group]:
    there: dict[str, Group] = {}
    monkeypatch.setattr(grp, "getgrnam", lambda name: there[name])
    monkeypatch.setattr(pwd, "getpwuid", lambda number: User)
    return there


def test_how_a_user_joins_a_group(groups: dict[str, Group]) -> None:
    assert rights.how_to_join("gpio") == "there is no group gpio; run: sudo groupadd gpio"
    groups["gpio"] = Group("someone")
    assert rights.how_to_join("gpio") == "run: sudo usermod -aG gpio pi, then log out and in again"
    groups["gpio"] = Group("someone", "pi")
    assert "log out and in again" in rights.how_to_join("gpio")
    assert "usermod" not in rights.how_to_join("gpio")


def test_what_may_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "device").touch()
    assert rights.may_open(tmp_path / "device")
    assert not rights.may_open(tmp_path / "none")
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)  # as for a user who is not root
    assert not rights.may_open(tmp_path / "device"), "reading alone lights nothing"


def test_groups_that_are_there() -> None:
    assert rights.has_group("root")
    assert not rights.has_group("no-such-group")
