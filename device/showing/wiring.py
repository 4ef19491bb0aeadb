"""A picture of a Raspberry Pi's header with the LEDs of the settings on it, in characters.

Every Raspberry Pi since the B+ has this header: https://pinout.xyz. Marks differ in shape, not only in colour.
"""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from device.leds import RGB
from device.settings import LightsSettings
from device.showing.gpio_lights import check_leds, colour_of
from device.showing.terminal_lights import colours

HEADER = (
    "3V3", "5V", "GPIO2", "5V", "GPIO3", "GND", "GPIO4", "GPIO14", "GND", "GPIO15",
    "GPIO17", "GPIO18", "GPIO27", "GND", "GPIO22", "GPIO23", "3V3", "GPIO24", "GPIO10", "GND",
    "GPIO9", "GPIO25", "GPIO11", "GPIO8", "GND", "GPIO7", "GPIO0", "GPIO1", "GPIO5", "GND",
    "GPIO6", "GPIO12", "GPIO13", "GND", "GPIO19", "GPIO16", "GPIO26", "GPIO20", "GND", "GPIO21",
)  # fmt: skip
"""What each pin of the header is, from pin 1 on: odd ones in the left row, even ones in the right row."""
WIDTH = 79
"""Columns of the picture."""
RESISTOR = "330 \u03a9"
_NAME = 12
_WIRE = 15
_PLAIN = str.maketrans("\u25cf\u25cb\u2500\u25b7\u25c1\u03a9", "*o-><R")
"""For an output that has no such characters; 330 R is how parts lists write it."""


def header_pin(bcm: int) -> int:
    """Number on the header, 1 to 40, of a BCM pin."""
    return HEADER.index(f"GPIO{bcm}") + 1


def where(bcm: int) -> str:
    """A pin, in words."""
    return f"GPIO{bcm}, pin {header_pin(bcm)} of the header"


def wiring(settings: LightsSettings, labels: Sequence[str], width: int) -> RenderableType:
    """The picture, and below it every wire in words; in fewer columns than the picture has, the words alone.

    Args:
        settings: pins, and what the LEDs have in common.
        labels: classes of the model.
        width: columns that there are.

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
    common = _nearest("GND" if settings.common == "cathode" else "3V3", list(ends))
    parts: list[RenderableType] = [Text(_title(settings), style="bold"), ""]
    if width >= WIDTH:
        parts += [_picture(settings, ends, colour, common), ""]
    parts += [_words(settings, ends, common), *_remarks(settings, labels)]
    return Group(*parts)


def plain(text: str, encoding: str) -> str:
    """The picture as an output with few characters can write it."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN)
    return text


def _title(settings: LightsSettings) -> str:
    what = f"one RGB LED, common {settings.common}" if settings.rgb else "one LED per class"
    return f"{what[0].upper()}{what[1:]}. Pin 1 is at the SD card's end, in the inner row."


def _nearest(name: str, pins: Sequence[int]) -> int:
    """The pin of that name from which the wires are shortest, in steps along the header and twice those across it."""

    def steps(number: int) -> int:
        return sum(abs((number + 1) // 2 - (pin + 1) // 2) + 2 * abs(number % 2 - pin % 2) for pin in pins)

    return min((number for number, each in enumerate(HEADER, 1) if each == name), key=steps)


def _picture(settings: LightsSettings, ends: Mapping[int, str], colour: Mapping[str, str], common: int) -> Text:
    shared = settings.common if settings.rgb else "all LEDs"
    picture = Text(no_wrap=True, overflow="ignore")
    for pin, function in enumerate(HEADER, 1):
        on_the_left = pin % 2 == 1
        end = ends.get(pin, shared if pin == common else "")
        line, dot = ("\u2500", "\u25cf") if end else (" ", "\u25cb")
        wire = _wire(settings, on_the_left=on_the_left) if pin in ends else line * _WIRE
        style = colour.get(end, "")
        if on_the_left:
            picture.append(_fitting(end).rjust(_NAME), style=style)
            picture.append(f" {wire}{function:{line}>6} {pin:>2} {dot} ")
        else:
            picture.append(f"{dot} {pin:<2} {function:{line}<6}{wire} ")
            picture.append(_fitting(end), style=style)
            picture.rstrip()
            picture.append("\n")
    picture.rstrip()
    return picture


def _wire(settings: LightsSettings, *, on_the_left: bool) -> str:
    """From what the LEDs have in common to the pin, as the current flows; of an RGB LED, from its leg."""
    resistor = f"[{RESISTOR}]"
    if settings.rgb:
        return resistor.center(_WIRE, "\u2500")
    end = "GND" if settings.common == "cathode" else "3V3"
    away = settings.common == "cathode"
    led = "|\u25c1" if on_the_left == away else "\u25b7|"
    return f"{end}\u2500{led}\u2500{resistor}\u2500" if on_the_left else f"\u2500{resistor}\u2500{led}\u2500{end}"


def _fitting(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}."


def _words(settings: LightsSettings, ends: Mapping[int, str], common: int) -> Table:
    short, long = ("short", "long") if settings.common == "cathode" else ("long", "short")
    table = Table.grid(padding=(0, 2))
    for pin, end in sorted(ends.items()):
        leg = f"{end} leg" if settings.rgb else f"{long} leg of {end}"
        table.add_row(f"pin {pin:>2}", HEADER[pin - 1], RESISTOR, Text(leg))
    leg = f"common {settings.common}, the longest leg" if settings.rgb else f"{short} legs of all LEDs"
    table.add_row(f"pin {common:>2}", HEADER[common - 1], "", leg)
    return table


def _remarks(settings: LightsSettings, labels: Sequence[str]) -> list[RenderableType]:
    if not settings.rgb:
        return []
    told = ", ".join(f"{label} {colour_of(settings, label)}" for label in labels)
    return ["", Text(f"Colours: {told}.")]
