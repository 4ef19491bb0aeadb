"""The header of a Raspberry Pi, and the pins to which the settings connect the LEDs and the buttons.

Every Raspberry Pi since the B+ has this header: https://pinout.xyz.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from device.outputs.gpio.leds import check_leds
from device.outputs.terminal.prediction_rows import colours
from device.settings.buttons import Button
from device.settings.leds import RGB
from device.settings.schema import LightsSettings

HEADER = (
    "3V3", "5V", "GPIO2", "5V", "GPIO3", "GND", "GPIO4", "GPIO14", "GND", "GPIO15",
    "GPIO17", "GPIO18", "GPIO27", "GND", "GPIO22", "GPIO23", "3V3", "GPIO24", "GPIO10", "GND",
    "GPIO9", "GPIO25", "GPIO11", "GPIO8", "GND", "GPIO7", "GPIO0", "GPIO1", "GPIO5", "GND",
    "GPIO6", "GPIO12", "GPIO13", "GND", "GPIO19", "GPIO16", "GPIO26", "GPIO20", "GND", "GPIO21",
)  # fmt: skip
"""Function of each pin of the header, from pin 1 on: odd pins in the left row, even pins in the right row."""
RESISTOR = "330 \u03a9"
"""Resistor between each pin and its LED."""


@dataclass(frozen=True)
class ButtonConnections:
    """Buttons that share a wire."""

    ends: Mapping[int, str]
    """Name of each button, by pin of the header."""
    common: int
    """Pin of the header, ground or 3V3, to which their other sides are connected; no LED is."""


@dataclass(frozen=True)
class Connections:
    """Everything that is connected to the header."""

    ends: Mapping[int, str]
    """Class or leg of the RGB LED, by pin of the header, 1 to 40."""
    colours: Mapping[str, str]
    """Colour of each class or leg, as rich names it."""
    common: int
    """Pin of the header, ground or 3V3, to which all LEDs are connected."""
    buttons: Sequence[ButtonConnections] = ()
    """The buttons to ground, and those to 3V3, as far as there are any."""

    @property
    def named(self) -> Mapping[int, str]:
        """Name of each button, by pin of the header."""
        return {pin: name for group in self.buttons for pin, name in group.ends.items()}


def connections(settings: LightsSettings, labels: Sequence[str], buttons: Sequence[Button] = ()) -> Connections:
    """The connections that the settings define for the classes of a model.

    Raises:
        LightsError: a class has no pin or colour, or a button shares its pin.
    """
    check_leds(settings, labels, buttons)
    if settings.rgb:
        ends = {header_pin(settings.rgb[leg]): leg for leg in RGB}
        colour = {leg: leg for leg in RGB}
    else:
        ends = {header_pin(settings.pins[label]): label for label in labels}
        colour = colours(labels)
    common = _nearest("GND" if settings.common == "cathode" else "3V3", list(ends))
    return Connections(ends, colour, common, list(_button_connections(buttons, common)))


def _button_connections(buttons: Sequence[Button], taken: int) -> Iterator[ButtonConnections]:
    for active, name in (("low", "GND"), ("high", "3V3")):
        ends = {header_pin(button.pin): button.name for button in buttons if button.active == active}
        if ends:
            yield ButtonConnections(ends, _nearest(name, list(ends), taken))


def other_side(group: ButtonConnections) -> str:
    """What the shared wire of buttons leads to, in words."""
    names = ", ".join(name for _, name in sorted(group.ends.items()))
    return f"other side of the button{'s' if len(group.ends) > 1 else ''}: {names}"


def header_pin(bcm: int) -> int:
    """Number of a BCM pin on the header, 1 to 40."""
    return HEADER.index(f"GPIO{bcm}") + 1


def pin_description(bcm: int) -> str:
    """A BCM pin in words, with its place on the header."""
    return f"GPIO{bcm}, pin {header_pin(bcm)} of the header"


def _nearest(name: str, pins: Sequence[int], taken: int = 0) -> int:
    """The pin of this name, not `taken`, with the shortest wires: in steps along the header and twice those across."""

    def steps(number: int) -> int:
        return sum(abs((number + 1) // 2 - (pin + 1) // 2) + 2 * abs(number % 2 - pin % 2) for pin in pins)

    return min((number for number, each in enumerate(HEADER, 1) if each == name and number != taken), key=steps)
