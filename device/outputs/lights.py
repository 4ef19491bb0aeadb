"""Lights for answers: LEDs on a Pi or none, and where the settings want an answer to be shown."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from device.events import Prediction
from device.outputs.base import Trouble
from device.settings.schema import LightsSettings

DEVICE_TREE_MODEL = Path("/proc/device-tree/model")
"""Where Linux tells the name of a board; ends with a zero byte."""


class Lights(AbstractContextManager["Lights"], Protocol):
    """One light per class; leaving the context turns them off."""

    def show(self, prediction: Prediction) -> None:
        """Light the class of `prediction` and no other, for the time in the settings. Does not wait."""

    def trouble(self, trouble: Trouble | None) -> None:
        """Show, until told None, something that cannot be mistaken for an answer. Does not wait."""


class NoLights(AbstractContextManager["NoLights"]):
    """Where answers are drawn or written instead."""

    def show(self, prediction: Prediction) -> None:
        """Do nothing."""

    def trouble(self, trouble: Trouble | None) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


def open_lights(settings: LightsSettings, labels: Sequence[str]) -> Lights:
    """The lights that the settings ask for, but those in the terminal: `device.outputs.terminal.screen` draws them.

    Args:
        settings: kind, pins, hold time.
        labels: classes of the model.

    Raises:
        LightsError: the LEDs cannot be driven.
    """
    if kind_of(settings) != "gpio":
        return NoLights()
    from device.outputs.gpio.leds import GpioLights

    return GpioLights(settings, labels)


def kind_of(settings: LightsSettings) -> str:
    """Where the settings want an answer to be shown, on this machine: `gpio`, `terminal` or `none`."""
    if settings.kind != "auto":
        return settings.kind
    return "gpio" if has_gpio() else "terminal"


def has_gpio() -> bool:
    """Whether this machine is a Raspberry Pi, whose GPIO pins the LEDs hang on.

    A laptop may have a GPIO chip too, with nothing on its pins that we should touch.
    """
    try:
        model = DEVICE_TREE_MODEL.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return model.startswith("Raspberry Pi")
