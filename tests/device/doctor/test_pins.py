"""GPIO pins and their library, on a Raspberry Pi that is set up and on others."""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from device.doctor import pins
from device.doctor.findings import Finding
from device.outputs import lights as lights_module
from device.outputs.gpio import chip
from device.settings.schema import ClassifierSettings, LearnSettings, LightsSettings, MuteSettings, Settings
from device.system import permissions
from tests.conftest import import_again

GPIO = Settings(lights=LightsSettings(kind="gpio"))
REAL = "LGPIO_PY_VERSION = 0x00020200\ndef gpiochip_open(number): ..."


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
    """The folder /dev of a root, with a GPIO chip."""
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / "gpiochip0").touch()
    return folder


def findings_of(settings: Settings, dev: Path, *, service: bool = False) -> dict[str, Finding]:
    return {each.topic: each for each in pins.check_lights(settings, root=dev.parent, service=service)}


def summary(findings: dict[str, Finding]) -> dict[str, tuple[str, str]]:
    return {name: (each.verdict.value, each.message) for name, each in findings.items()}


def test_a_pi_that_is_set_up(lgpio: Path, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")
    assert summary(findings_of(Settings(), dev)) == {
        "lights": ("OK", "negative GPIO22, neutral GPIO27, positive GPIO17"),
        "pins": ("OK", f"{dev}/gpiochip0"),
        "lgpio": ("OK", f"{lgpio}, version 0.2.2.0"),
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


def test_buttons(lgpio: Path, dev: Path) -> None:
    buttons = Settings(lights=LightsSettings(kind="gpio"), mute=MuteSettings(button=23), learn=LearnSettings(button=26))
    found = findings_of(buttons, dev)
    assert summary(found)["buttons"] == ("OK", "mute GPIO23, that was wrong GPIO26")
    assert summary(found)["lights"][0] == "OK"
    found = findings_of(replace(buttons, mute=MuteSettings(button=27)), dev)
    assert summary(found)["lights"] == (
        "FAIL", "GPIO27 belongs to the LED of neutral and to the button of [mute]",
    )  # fmt: skip
    assert found["lights"].fix.startswith("write button = ")
    found = findings_of(replace(buttons, learn=LearnSettings(button=23)), dev)
    assert summary(found)["buttons"][0] == "FAIL"
    assert "write button = 26 under [learn]" in found["buttons"].fix


def test_a_button_needs_the_pins_even_without_leds(
    lgpio: Path, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")
    settings = Settings(lights=LightsSettings(kind="none"), mute=MuteSettings(button=17))
    found = findings_of(settings, dev)
    assert [*found] == ["lights", "buttons"]
    assert summary(found)["buttons"] == ("WARN", "this is not a Raspberry Pi: no button can be used")
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    found = findings_of(settings, dev)
    assert [*found] == ["lights", "buttons", "pins", "lgpio"]
    assert summary(found)["buttons"] == ("OK", "mute GPIO17")


def test_a_sign_of_an_unknown_class(lgpio: Path, dev: Path) -> None:
    found = findings_of(replace(GPIO, mute=MuteSettings(led="joy")), dev)
    assert summary(found)["lights"] == ("FAIL", "mute.led is 'joy', and the model has no such class")


def test_an_unreadable_model_does_not_stop_the_pin_check(lgpio: Path, dev: Path, tmp_path: Path) -> None:
    settings = Settings(lights=LightsSettings(kind="gpio"), classifier=ClassifierSettings(model=str(tmp_path / "none")))
    assert findings_of(settings, dev)["pins"].verdict.value == "OK"


def test_no_chip(lgpio: Path, tmp_path: Path) -> None:
    assert summary(findings_of(GPIO, tmp_path))["pins"] == ("FAIL", "there is no /dev/gpiochip*")


def test_a_user_without_permission_to_open_the_chip(lgpio: Path, dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "may_open", lambda path: False)
    monkeypatch.setattr(chip, "device_group", lambda path: "gpio")
    monkeypatch.setattr(chip, "how_to_join", lambda group: f"join {group}")
    found = findings_of(GPIO, dev)["pins"]
    assert (found.verdict.value, found.fix) == ("FAIL", "join gpio")
    assert found.message.startswith(f"this user may not open {dev}/gpiochip0: {dev}/gpiochip0 is ")


def test_plain_debian_needs_a_udev_rule(lgpio: Path, dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group gpio alone does not help where the chip belongs to root, so the fix is never to join it only."""
    (dev / "gpiochip0").chmod(0o600)
    monkeypatch.setattr(pins, "may_open", lambda path: False)
    monkeypatch.setattr(permissions, "has_group", lambda name: True)
    found = findings_of(GPIO, dev)["pins"]
    assert found.verdict.value == "FAIL"
    assert found.message.endswith("0600")
    commands = found.fix.removeprefix("run: ").split("; ")
    assert commands[0] == "sudo groupadd --force --system gpio"
    assert commands[1].startswith("""echo 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="gpio", MODE="0660"' | """)
    assert commands[1].endswith("| sudo tee /etc/udev/rules.d/60-edge-mcnn-gpio.rules")
    assert commands[2:4] == [
        "sudo udevadm control --reload", "sudo udevadm trigger --settle --subsystem-match=gpio",
    ]  # fmt: skip
    assert commands[4].startswith("sudo usermod -aG gpio ")
    assert commands[5] == "then log out and in again"


def test_the_service_runs_with_the_group_of_the_chip(lgpio: Path, dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "may_open", lambda path: False)
    monkeypatch.setattr(pins, "device_group", lambda path: "dialout")
    assert summary(findings_of(GPIO, dev, service=True))["pins"] == ("OK", f"{dev}/gpiochip0, group dialout")
    monkeypatch.setattr(pins, "device_group", lambda path: None)
    (dev / "gpiochip0").chmod(0o600)
    verdict, message = summary(findings_of(GPIO, dev, service=True))["pins"]
    assert verdict == "OK"
    assert "0600; the installation writes /etc/udev/rules.d/60-edge-mcnn-gpio.rules, which opens it to" in message
    (dev / "gpiochip0").chmod(0o666)
    assert summary(findings_of(GPIO, dev, service=True))["pins"] == ("OK", f"{dev}/gpiochip0, open to every user")


def make_pi_5(root: Path) -> None:
    revision = root / "proc/device-tree/system/linux,revision"
    revision.parent.mkdir(parents=True)
    revision.write_bytes(0xD04170.to_bytes(4, "big"))  # Pi 5, 8 GB


def add_chip(root: Path, number: int, driver: bytes) -> None:
    (root / f"dev/gpiochip{number}").touch()
    node = root / f"sys/bus/gpio/devices/gpiochip{number}/of_node"
    node.mkdir(parents=True)
    (node / "compatible").write_bytes(driver + b"\0")


@pytest.mark.parametrize(
    ("chips", "found"),
    [
        ({0: b"raspberrypi,rp1-gpio", 10: b"brcm,brcmstb-gpio"}, ("OK", "/dev/gpiochip0")),
        ({0: b"brcm,brcmstb-gpio", 4: b"raspberrypi,rp1-gpio"}, ("OK", "/dev/gpiochip4")),
        ({0: b"raspberrypi,rp1-gpio", 4: b"brcm,brcmstb-gpio"}, ("FAIL", "and the pins of the header are on {}0")),
        ({0: b"brcm,brcmstb-gpio", 2: b"raspberrypi,rp1-gpio"}, ("FAIL", "and the pins of the header are on {}2")),
        ({2: b"raspberrypi,rp1-gpio"}, ("FAIL", "{}0, which is missing, and the pins of the header are on {}2")),
    ],
)
def test_chips_of_a_pi_5(
    chips: dict[int, bytes], found: tuple[str, str], lgpio: Path, dev: Path, tmp_path: Path
) -> None:
    (dev / "gpiochip0").unlink()
    make_pi_5(tmp_path)
    for number, driver in chips.items():
        add_chip(tmp_path, number, driver)
    verdict, message = summary(findings_of(GPIO, dev))["pins"]
    assert verdict == found[0]
    assert message.endswith(found[1].format(dev / "gpiochip", dev / "gpiochip"))


def test_number_4_of_a_pi_5_may_be_a_link_to_number_0(lgpio: Path, dev: Path, tmp_path: Path) -> None:
    make_pi_5(tmp_path)
    add_chip(tmp_path, 0, b"raspberrypi,rp1-gpio")
    (dev / "gpiochip4").symlink_to("gpiochip0")
    assert findings_of(GPIO, dev)["pins"].verdict.value == "OK"


@pytest.mark.parametrize(
    ("content", "part", "fix"),
    [
        (
            "",
            "is the empty package that pip installs where there is no wheel",
            "run: pip uninstall lgpio; sudo apt-get",
        ),
        (None, "not installed", "--system-site-packages"),
    ],
)
def test_lgpio_that_is_missing_or_empty(content: str | None, part: str, fix: str, lgpio: Path, dev: Path) -> None:
    if content is None:
        lgpio.unlink()
    else:
        lgpio.write_text(content)
    (dev.parent / "etc").mkdir()
    (dev.parent / "etc" / "rpi-issue").touch()
    found = findings_of(GPIO, dev)["lgpio"]
    assert found.verdict.value == "FAIL"
    assert part in found.message
    assert fix in found.fix


def test_lgpio_is_not_imported(lgpio: Path, dev: Path) -> None:
    lgpio.write_text(f"{REAL}\nopen('.lgd-nfy0', 'w')\n")
    assert findings_of(GPIO, dev)["lgpio"].verdict.value == "OK"
    assert not Path(".lgd-nfy0").exists()


@pytest.mark.parametrize(
    ("number", "version"), [("0x00000002", "0.0.0.2"), ("0x00010600", "0.1.6.0"), ("0x00020000", "0.2.0.0")]
)
def test_lgpio_that_is_too_old(number: str, version: str, lgpio: Path, dev: Path) -> None:
    lgpio.write_text(f"LGPIO_PY_VERSION = {number}\ndef gpiochip_open(number): ...\n")
    found = findings_of(GPIO, dev)["lgpio"]
    assert (found.verdict.value, found.message) == (
        "FAIL", f"{lgpio} has the version {version}, which is too old: 0.2.2 is needed",
    )  # fmt: skip
    assert found.fix.startswith("run: pip uninstall lgpio, if pip installed it; ")


@pytest.mark.parametrize(
    ("file", "version", "command"),
    [
        ("etc/rpi-issue", (3, 13), "sudo apt-get install python3-lgpio, and create the venv with --system-site-"),
        ("etc/apt/sources.list.d/raspi.sources", (3, 11), "sudo apt-get install python3-lgpio"),
        ("etc/debian_version", (3, 11), "pip install 'lgpio>=0.2.2'"),
        ("etc/debian_version", (3, 13), "sudo apt-get install swig gcc python3-dev; CFLAGS=-D"),
    ],
)
def test_where_lgpio_comes_from(file: str, version: tuple[int, int], command: str, tmp_path: Path) -> None:
    """Plain Debian has no package of it, and pip no wheel for every Python."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert pins._how_to_install(tmp_path, version).startswith(command)


def test_a_folder_where_lgpio_cannot_create_its_fifo(
    lgpio: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path == str(tmp_path))
    found = pins._check_library({"LG_WD": "/elsewhere"})
    assert found.verdict.value == "FAIL"
    assert "unset LG_WD" in found.fix
    assert pins._check_library({"LG_WD": str(tmp_path)}).verdict.value == "OK"
    assert pins._check_library({}).verdict.value == "OK", "the working directory need not be writable"
    monkeypatch.setattr(tempfile, "gettempdir", no_folder)
    found = pins._check_library({})
    assert (found.verdict.value, found.fix) == ("FAIL", "set LG_WD to a folder that can be written to")


def no_folder() -> str:
    raise FileNotFoundError("no usable temporary directory")


def test_a_library_that_does_not_support_a_pi_5(lgpio: Path) -> None:
    found = pins._check_library({"GPIOZERO_PIN_FACTORY": "rpigpio"})
    assert (found.verdict.value, found.fix) == ("WARN", "unset GPIOZERO_PIN_FACTORY")
    assert pins._check_library({"GPIOZERO_PIN_FACTORY": "lgpio"}).verdict.value == "OK"
