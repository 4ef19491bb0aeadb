"""Lights for answers: one interface, LEDs on a Pi or lights drawn in a terminal, and the choice between them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from device.sentence import Prediction
from device.settings import LightsSettings
from device.showing.trouble import Trouble

DEVICE_TREE_MODEL = Path("/proc/device-tree/model")
"""Where Linux tells the name of a board; ends with a zero byte."""


class Lights(AbstractContextManager["Lights"], Protocol):
    """One light per class; leaving the context turns them off."""

    def show(self, prediction: Prediction) -> None:
        """Light the class of `prediction` and no other, for the time in the settings. Does not wait."""

    def trouble(self, trouble: Trouble | None) -> None:
        """Show, until told None, something that cannot be mistaken for an answer. Does not wait."""


class NoLights(AbstractContextManager["NoLights"]):
    """For those who only want the JSON lines."""

    def show(self, prediction: Prediction) -> None:
        """Do nothing."""

    def trouble(self, trouble: Trouble | None) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


def open_lights(
    settings: LightsSettings, labels: Sequence[str], *, terminal: bool = True, show_words: bool = False
) -> Lights:
    """The lights that the settings ask for.

    Args:
        settings: kind, pins, hold time.
        labels: classes of the model.
        terminal: whether `auto` may draw on the terminal where there are no pins.
        show_words: see `device.showing.terminal_lights.TerminalLights`.

    Raises:
        LightsError: the LEDs cannot be driven.
    """
    kind = kind_of(settings, terminal=terminal)
    if kind == "gpio":
        from device.showing.gpio_lights import GpioLights

        return GpioLights(settings, labels)
    if kind == "terminal":
        from device.showing.terminal_lights import TerminalLights

        return TerminalLights(labels, hold_s=settings.hold_s, show_words=show_words)
    return NoLights()


def kind_of(settings: LightsSettings, *, terminal: bool = True) -> str:
    """What `open_lights` will open: `gpio`, `terminal` or `none`."""
    if settings.kind != "auto":
        return settings.kind
    return "gpio" if has_gpio() else "terminal" if terminal else "none"


def has_gpio() -> bool:
    """Whether this machine is a Raspberry Pi, whose GPIO pins the LEDs hang on.

    A laptop may have a GPIO chip too, with nothing on its pins that we should touch.
    """
    try:
        model = DEVICE_TREE_MODEL.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return model.startswith("Raspberry Pi")
