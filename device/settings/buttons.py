"""Buttons in the settings: which there are, and the check that nothing else is connected to their pins."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from device.settings.leds import PULLED_UP_PINS
from device.settings.schema import LearnSettings, MuteSettings, Settings

_NAMES = {"mute": "mute", "learn": "that was wrong"}
"""What each button means, by the section of the settings that has it."""


@dataclass(frozen=True)
class Button:
    """A button that the settings name."""

    section: str
    """Section of the settings that has it: mute or learn."""
    pin: int
    """BCM number of its pin."""
    active: str
    """Level of the pin while it is pressed: low, it connects the pin to ground; or high, to 3V3."""

    @property
    def name(self) -> str:
        """What it means, as wiring diagrams label it."""
        return _NAMES[self.section]

    def __str__(self) -> str:
        """The button in messages."""
        return f"the button of [{self.section}]"


def configured_buttons(settings: Settings) -> tuple[Button, ...]:
    """The buttons that the settings name."""
    sections: Mapping[str, MuteSettings | LearnSettings] = {"mute": settings.mute, "learn": settings.learn}
    return tuple(Button(name, each.button, each.active) for name, each in sections.items() if each.button >= 0)


def button_problems(table: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Check the buttons in nested tables of settings against each other and against an RGB LED.

    Which LEDs there are besides depends on the model: `device.outputs.gpio.buttons.check_pins`.

    Args:
        table: the tables, as TOML gives them; values of a wrong type are ignored, because they are problems of their
            own.

    Yields:
        The section and the key of each problem, and a line that describes it.
    """
    owners = {pin: f"lights.rgb.{leg}" for leg, pin in _table(_table(table, "lights"), "rgb").items() if _is_pin(pin)}
    for section in _NAMES:
        content = _table(table, section)
        pin, setting = content.get("button"), f"{section}.button"
        if not _is_pin(pin):
            continue
        if pin in owners:
            expected = "expected a different pin"
            yield (section, "button"), f"{setting} is {pin}, which {owners[pin]} uses as well, {expected}"
        owners[pin] = setting
        if pin in PULLED_UP_PINS and content.get("active") == "high":
            expected = f"expected low, because GPIO{pin} has a resistor to 3V3, or a different pin"
            yield (section, "active"), f"{section}.active is 'high', {expected}"


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name)
    return found if isinstance(found, Mapping) else {}


def _is_pin(value: Any) -> bool:
    return type(value) is int and value >= 0  # not a truth value, which is a number as well; -1 is no button
