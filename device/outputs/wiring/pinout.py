"""The header of a Raspberry Pi, and the pins to which the settings connect the LEDs.

Every Raspberry Pi since the B+ has this header: https://pinout.xyz.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from device.outputs.gpio.leds import check_leds
from device.outputs.terminal.prediction_rows import colours
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
class Connections:
    """Everything that is connected to the header."""

    ends: Mapping[int, str]
    """Class or leg of the RGB LED, by pin of the header, 1 to 40."""
    colours: Mapping[str, str]
    """Colour of each class or leg, as rich names it."""
    common: int
    """Pin of the header, ground or 3V3, to which all LEDs are connected."""


def connections(settings: LightsSettings, labels: Sequence[str]) -> Connections:
    """The connections that the settings define for the classes of a model.

    Raises:
        LightsError: a class has no pin or colour.
    """
    check_leds(settings, labels)
    if settings.rgb:
        ends = {header_pin(settings.rgb[leg]): leg for leg in RGB}
        colour = {leg: leg for leg in RGB}
    else:
        ends = {header_pin(settings.pins[label]): label for label in labels}
        colour = colours(labels)
    return Connections(ends, colour, _nearest("GND" if settings.common == "cathode" else "3V3", list(ends)))


def header_pin(bcm: int) -> int:
    """Number of a BCM pin on the header, 1 to 40."""
    return HEADER.index(f"GPIO{bcm}") + 1


def pin_description(bcm: int) -> str:
    """A BCM pin in words, with its place on the header."""
    return f"GPIO{bcm}, pin {header_pin(bcm)} of the header"


def _nearest(name: str, pins: Sequence[int]) -> int:
    """The pin of this name with the shortest wires, in steps along the header and twice those across it."""

    def steps(number: int) -> int:
        return sum(abs((number + 1) // 2 - (pin + 1) // 2) + 2 * abs(number % 2 - pin % 2) for pin in pins)

    return min((number for number, each in enumerate(HEADER, 1) if each == name), key=steps)
