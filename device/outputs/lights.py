"""Which light shows predictions on this machine, on pins or drawn in a terminal; and which buttons it can use."""

from pathlib import Path

from device.settings.buttons import Button, configured_buttons
from device.settings.schema import LightsSettings, Settings

DEVICE_TREE_MODEL = Path("/proc/device-tree/model")
"""File in which Linux gives the name of a board; ends with a zero byte."""


def light_kind(settings: LightsSettings) -> str:
    """The kind of light that the settings choose on this machine: `gpio`, `terminal` or `none`."""
    if settings.kind != "auto":
        return settings.kind
    return "gpio" if has_gpio() else "terminal"


def usable_buttons(settings: Settings) -> tuple[Button, ...]:
    """The buttons that the settings name, if this machine has pins, or the settings choose LEDs on pins; else none."""
    return configured_buttons(settings) if light_kind(settings.lights) == "gpio" or has_gpio() else ()


def has_gpio() -> bool:
    """Whether this machine is a Raspberry Pi, to whose GPIO pins LEDs are connected.

    A laptop may have a GPIO chip too, with nothing on its pins that this program should touch.
    """
    try:
        model = DEVICE_TREE_MODEL.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return model.startswith("Raspberry Pi")
