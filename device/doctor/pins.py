"""Checks of the LEDs: a pin for each class, a GPIO chip, permission to open it, and the library that drives it."""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from device.doctor.findings import Finding, Verdict
from device.errors import BundleError, LightsError
from device.loading import open_bundle
from device.outputs.gpio.leds import check_leds
from device.outputs.lights import has_gpio
from device.settings.schema import Settings
from device.system.permissions import has_group, how_to_join, may_open

_DEV = Path("/dev")
_APT = "sudo apt-get install python3-lgpio"
_FACTORY = "GPIOZERO_PIN_FACTORY"


def check_lights(settings: Settings, *, service: bool = False, dev: Path = _DEV) -> Iterator[Finding]:
    """Report where predictions are shown; if that is on GPIO pins, check all that they need.

    Args:
        settings: the daemon's settings.
        service: whether the service will use the pins, which runs with the group gpio; else this user does.
        dev: the folder of device files, /dev except in tests.
    """
    lights = settings.lights
    if lights.kind in ("terminal", "none") or (lights.kind == "auto" and not has_gpio()):
        reason = f"lights.kind is {lights.kind}" if lights.kind != "auto" else "this is not a Raspberry Pi"
        fix = "" if lights.kind == "none" else "nothing to fix: `edge-mcnn listen` draws the lights in the terminal"
        yield Finding("lights", Verdict.WARN, f"{reason}: no LED will light up", fix)
        return
    labels = _labels(settings)
    try:
        check_leds(lights, labels)
    except LightsError as error:
        yield Finding("lights", Verdict.FAIL, error.message, error.fix)
    else:
        pins = lights.rgb or {label: lights.pins[label] for label in labels}
        yield Finding("lights", Verdict.OK, ", ".join(f"{name} GPIO{pin}" for name, pin in pins.items()))
    yield _check_chip(dev, service=service)
    yield _check_library()


def _labels(settings: Settings) -> tuple[str, ...]:
    try:
        return open_bundle(settings).companions.labels
    except BundleError:
        return ()  # the model has a finding of its own


def _check_chip(dev: Path, *, service: bool) -> Finding:
    chips = sorted(dev.glob("gpiochip*"))
    if not chips:
        fix = "run this on a Raspberry Pi with the kernel of Raspberry Pi OS"
        return Finding("pins", Verdict.FAIL, "there is no /dev/gpiochip*", fix)
    if service:
        if not has_group("gpio"):
            return Finding("pins", Verdict.FAIL, "there is no group gpio to own the pins", how_to_join("gpio"))
        return Finding("pins", Verdict.OK, "/dev/gpiochip*, group gpio")
    if not any(may_open(chip) for chip in chips):
        return Finding("pins", Verdict.FAIL, f"this user may not open {chips[0]}", how_to_join("gpio"))
    return Finding("pins", Verdict.OK, ", ".join(chip.name for chip in chips))


def _check_library(environment: Mapping[str, str] = os.environ) -> Finding:
    if (factory := environment.get(_FACTORY, "lgpio")) not in ("lgpio", "mock"):
        message = f"{_FACTORY} is {factory} in the environment; on a Raspberry Pi 5 only lgpio works"
        return Finding("lgpio", Verdict.WARN, message, f"unset {_FACTORY}")
    # Not imported, because that creates a FIFO in the working directory.
    spec = importlib.util.find_spec("lgpio")
    if spec is None or spec.origin is None:
        fix = f"run: {_APT}, and create the venv with --system-site-packages"
        return Finding("lgpio", Verdict.FAIL, "not installed", fix)
    if "gpiochip_open" not in Path(spec.origin).read_text("utf-8", errors="replace"):
        message = f"{spec.origin} is the empty package that pip installs where there is no wheel"
        return Finding("lgpio", Verdict.FAIL, message, f"run: pip uninstall lgpio, then {_APT}")
    if not os.access(environment.get("LG_WD", "."), os.W_OK):
        message = f"lgpio creates a FIFO in the working directory, and {Path.cwd()} is not writable"
        return Finding("lgpio", Verdict.FAIL, message, "start edge-mcnn in another folder, or set LG_WD to one")
    return Finding("lgpio", Verdict.OK, spec.origin)
