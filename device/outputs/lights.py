"""Which light shows predictions on this machine: LEDs on the pins of a Raspberry Pi, or lights drawn in a terminal."""

from pathlib import Path

from device.settings.schema import LightsSettings

DEVICE_TREE_MODEL = Path("/proc/device-tree/model")
"""File in which Linux gives the name of a board; ends with a zero byte."""


def light_kind(settings: LightsSettings) -> str:
    """The kind of light that the settings choose on this machine: `gpio`, `terminal` or `none`."""
    if settings.kind != "auto":
        return settings.kind
    return "gpio" if has_gpio() else "terminal"


def has_gpio() -> bool:
    """Whether this machine is a Raspberry Pi, to whose GPIO pins LEDs are connected.

    A laptop may have a GPIO chip too, with nothing on its pins that this program should touch.
    """
    try:
        model = DEVICE_TREE_MODEL.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return model.startswith("Raspberry Pi")
