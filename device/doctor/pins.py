"""Checks of LEDs and buttons: a pin for each, a GPIO chip, permission to open it, and the library that drives it."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from device.doctor.findings import Finding, Verdict
from device.doctor.packages import version_numbers
from device.errors import BundleError, LightsError
from device.loading import open_bundle
from device.outputs.gpio.buttons import check_pins
from device.outputs.gpio.chip import (
    GROUP,
    UDEV_RULE_FILE,
    describe_access,
    header_chip,
    how_to_open,
    opened_chip,
)
from device.outputs.gpio.leds import check_leds, sign_label
from device.outputs.gpio.pin_factory import folder_for_fifo
from device.outputs.lights import light_kind, usable_buttons
from device.settings.buttons import Button, configured_buttons
from device.settings.schema import Settings
from device.system.display import displayable
from device.system.permissions import device_group, may_open, open_to_everyone

_ROOT = Path("/")
_APT = "sudo apt-get install python3-lgpio"
_FACTORY = "GPIOZERO_PIN_FACTORY"
_OLDEST_LGPIO = "0.2.2"
"""As pyproject.toml requires it. Version 0.2 renamed constants that gpiozero needs:
https://github.com/gpiozero/gpiozero/pull/1063"""
_FIRST_WITHOUT_WHEEL = (3, 13)
"""First version of Python for which pip has only an empty package."""
_LGPIO_VERSION = re.compile(r"^LGPIO_PY_VERSION\s*=\s*(0x[0-9a-fA-F]+|\d+)", re.MULTILINE)


def check_lights(settings: Settings, *, service: bool = False, root: Path = _ROOT) -> Iterator[Finding]:
    """Report where predictions are shown, and the buttons; if they are on GPIO pins, check all that these need.

    Args:
        settings: the daemon's settings.
        service: whether the service will use the pins, which its installation permits; else this user does.
        root: the root of the file system, / except in tests.
    """
    lights = settings.lights
    buttons = usable_buttons(settings)
    on_pins = light_kind(lights) == "gpio"
    if not on_pins:
        reason = f"lights.kind is {lights.kind}" if lights.kind != "auto" else "this is not a Raspberry Pi"
        fix = "" if lights.kind == "none" else "nothing to fix: `edge-mcnn listen` draws the lights in the terminal"
        yield Finding("lights", Verdict.WARN, f"{reason}: no LED will light up", fix)
    else:
        yield _check_leds(settings)
    if buttons:
        yield _check_buttons(buttons)
    elif configured_buttons(settings):
        message = "this is not a Raspberry Pi: no button can be used"
        yield Finding("buttons", Verdict.WARN, message, "remove button from [mute] and [learn] in the settings")
    if not on_pins and not buttons:
        return
    yield _check_chip(root, service=service)
    yield _check_library(root=root)


def _check_leds(settings: Settings) -> Finding:
    lights, labels = settings.lights, _labels(settings)
    try:
        check_leds(lights, labels, configured_buttons(settings))
        if labels:
            sign_label(settings.mute, labels)
    except LightsError as error:
        return Finding("lights", Verdict.FAIL, error.message, error.fix)
    pins = lights.rgb or {label: lights.pins[label] for label in labels}
    return Finding("lights", Verdict.OK, ", ".join(f"{name} GPIO{pin}" for name, pin in pins.items()))


def _check_buttons(buttons: Sequence[Button]) -> Finding:
    try:
        check_pins(buttons)
    except LightsError as error:
        return Finding("buttons", Verdict.FAIL, error.message, error.fix)
    return Finding("buttons", Verdict.OK, ", ".join(f"{button.name} GPIO{button.pin}" for button in buttons))


def _labels(settings: Settings) -> tuple[str, ...]:
    try:
        return open_bundle(settings).companions.labels
    except BundleError:
        return ()  # the model has a finding of its own


def _check_chip(root: Path, *, service: bool) -> Finding:
    if not any((root / "dev").glob("gpiochip*")):
        fix = "run this on a Raspberry Pi with the kernel of Raspberry Pi OS"
        return Finding("pins", Verdict.FAIL, "there is no /dev/gpiochip*", fix)
    chip = opened_chip(root)
    header = header_chip(root)
    if not chip.exists() or (header is not None and header.exists() and not chip.samefile(header)):
        where = f", and the pins of the header are on {header}" if header is not None else ""
        message = f"gpiozero opens {chip}{'' if chip.exists() else ', which is missing'}{where}"
        fix = "run: sudo apt-get update && sudo apt-get full-upgrade, then restart this machine"
        return Finding("pins", Verdict.FAIL, message, fix)
    if service:
        return _access_of_service(chip)
    if not may_open(chip):
        message = f"this user may not open {chip}: {describe_access(chip)}"
        return Finding("pins", Verdict.FAIL, message, how_to_open(chip))
    return Finding("pins", Verdict.OK, str(chip))


def _access_of_service(chip: Path) -> Finding:
    if open_to_everyone(chip):
        return Finding("pins", Verdict.OK, f"{chip}, open to every user")
    if (group := device_group(chip)) is not None:
        return Finding("pins", Verdict.OK, f"{chip}, group {group}")
    message = f"{describe_access(chip)}; the installation writes {UDEV_RULE_FILE}, which opens it to the group {GROUP}"
    return Finding("pins", Verdict.OK, message)


def _check_library(environment: Mapping[str, str] = os.environ, root: Path = _ROOT) -> Finding:
    if (factory := environment.get(_FACTORY, "lgpio")) not in ("lgpio", "mock"):
        message = f"{_FACTORY} is {displayable(factory)} in the environment; on a Raspberry Pi 5 only lgpio works"
        return Finding("lgpio", Verdict.WARN, message, f"unset {_FACTORY}")
    # Not imported, because that creates a FIFO in the working directory.
    spec = importlib.util.find_spec("lgpio")
    if spec is None or spec.origin is None:
        return Finding("lgpio", Verdict.FAIL, "not installed", f"run: {_how_to_install(root)}")
    source = Path(spec.origin).read_text("utf-8", errors="replace")
    if "gpiochip_open" not in source:
        message = f"{spec.origin} is the empty package that pip installs where there is no wheel"
        return Finding("lgpio", Verdict.FAIL, message, f"run: pip uninstall lgpio; {_how_to_install(root)}")
    installed, oldest = _version_of_lgpio(source), _OLDEST_LGPIO
    if installed is not None and version_numbers(installed) < version_numbers(oldest):
        message = f"{spec.origin} has the version {installed}, which is too old: {oldest} is needed"
        fix = f"run: pip uninstall lgpio, if pip installed it; {_how_to_install(root)}"
        return Finding("lgpio", Verdict.FAIL, message, fix)
    try:
        folder_for_fifo(environment)
    except LightsError as error:
        return Finding("lgpio", Verdict.FAIL, error.message, error.fix)
    return Finding("lgpio", Verdict.OK, f"{spec.origin}{f', version {installed}' if installed else ''}")


def _how_to_install(root: Path, version: tuple[int, int] = sys.version_info[:2]) -> str:
    """The command that installs lgpio: Raspberry Pi OS has a package, pip has wheels for some versions of Python.

    The source of lgpio uses a macro that SWIG 4.3, that of Debian 13, no longer defines.
    """
    if (root / "etc/rpi-issue").exists() or any((root / "etc/apt/sources.list.d").glob("raspi*")):
        return f"{_APT}, and create the venv with --system-site-packages"
    if version < _FIRST_WITHOUT_WHEEL:
        return f"pip install 'lgpio>={_OLDEST_LGPIO}'"
    return (
        "sudo apt-get install swig gcc python3-dev; CFLAGS=-DPyInt_AsLong=PyLong_AsLong PYPI=1 "
        f"pip install --no-binary lgpio 'lgpio>={_OLDEST_LGPIO}'"
    )


def _version_of_lgpio(source: str) -> str | None:
    """Read the version from the source of lgpio, which Debian installs without metadata; None if it has none."""
    found = _LGPIO_VERSION.search(source)
    if found is None:
        return None
    number = int(found[1], 0)
    return ".".join(str(number >> shift & 0xFF) for shift in (24, 16, 8, 0))
