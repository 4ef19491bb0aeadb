"""The pins that LEDs hang on: one for each class, a GPIO chip, who may open it, and the library that drives it."""

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


def lights(settings: Settings, *, service: bool = False, dev: Path = _DEV) -> Iterator[Finding]:
    """Where answers are shown; and where that is at pins, all that they need.

    Args:
        settings: of the daemon.
        service: it is the service that is to use the pins, which gets the group gpio; else this user.
        dev: /dev.
    """
    of = settings.lights
    if of.kind in ("terminal", "none") or (of.kind == "auto" and not has_gpio()):
        why = f"lights.kind is {of.kind}" if of.kind != "auto" else "this is no Raspberry Pi"
        mend = "" if of.kind == "none" else "nothing to mend: `edge-mcnn listen` draws them in the terminal"
        yield Finding("lights", Verdict.WARNING, f"{why}: no LED will be lit", mend)
        return
    labels = _labels(settings)
    try:
        check_leds(of, labels)
    except LightsError as error:
        told, _, mend = str(error).partition("; ")
        yield Finding("lights", Verdict.BAD, told, mend)
    else:
        pins = of.rgb or {label: of.pins[label] for label in labels}
        yield Finding("lights", Verdict.GOOD, ", ".join(f"{name} GPIO{pin}" for name, pin in pins.items()))
    yield _chip(dev, service=service)
    yield _library()


def _labels(settings: Settings) -> tuple[str, ...]:
    try:
        return open_bundle(settings).companions.labels
    except BundleError:
        return ()  # the model has a line of its own


def _chip(dev: Path, *, service: bool) -> Finding:
    chips = sorted(dev.glob("gpiochip*"))
    if not chips:
        told = "there is no /dev/gpiochip*"
        return Finding("pins", Verdict.BAD, told, "is this a Raspberry Pi with its own kernel?")
    if service:
        if not has_group("gpio"):
            return Finding("pins", Verdict.BAD, "there is no group gpio to give them to", how_to_join("gpio"))
        return Finding("pins", Verdict.GOOD, "/dev/gpiochip*, group gpio")
    if not any(may_open(chip) for chip in chips):
        return Finding("pins", Verdict.BAD, f"this user may not open {chips[0]}", how_to_join("gpio"))
    return Finding("pins", Verdict.GOOD, ", ".join(chip.name for chip in chips))


def _library(environment: Mapping[str, str] = os.environ) -> Finding:
    if (factory := environment.get(_FACTORY, "lgpio")) not in ("lgpio", "mock"):
        told = f"{_FACTORY} is {factory} in the environment; on a Raspberry Pi 5 only lgpio works"
        return Finding("lgpio", Verdict.WARNING, told, f"unset {_FACTORY}")
    # Not imported: that makes a FIFO in the working directory.
    spec = importlib.util.find_spec("lgpio")
    if spec is None or spec.origin is None:
        return Finding(
            "lgpio", Verdict.BAD, "not installed", f"run: {_APT}, and make the venv with --system-site-packages"
        )
    if "gpiochip_open" not in Path(spec.origin).read_text("utf-8", errors="replace"):
        told = f"{spec.origin} is the empty package that pip takes where it has no wheel"
        return Finding("lgpio", Verdict.BAD, told, f"run: pip uninstall lgpio, then {_APT}")
    if not os.access(environment.get("LG_WD", "."), os.W_OK):
        told = f"it makes a FIFO in the working directory, and {Path.cwd()} cannot be written to"
        return Finding("lgpio", Verdict.BAD, told, "start edge-mcnn in another folder, or set LG_WD to one")
    return Finding("lgpio", Verdict.GOOD, spec.origin)
