"""A picture of a Raspberry Pi's header with the LEDs of the settings on it, in characters.

Marks differ in shape, not only in colour.
"""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from device.outputs.gpio.leds import colour_of
from device.outputs.wiring.pinout import HEADER, RESISTOR, Connections, connections
from device.settings.schema import LightsSettings

WIDTH = 79
"""Columns of the picture."""
_NAME = 12
_WIRE = 15
_PLAIN = str.maketrans("\u25cf\u25cb\u2500\u25b7\u25c1\u03a9", "*o-><R")
"""For an output that has no such characters; 330 R is how parts lists write it."""


def wiring(settings: LightsSettings, labels: Sequence[str], width: int) -> RenderableType:
    """The picture, and below it every wire in words; in fewer columns than the picture has, the words alone.

    Args:
        settings: pins, and what the LEDs have in common.
        labels: classes of the model.
        width: columns that there are.

    Raises:
        LightsError: a class has no pin or colour.
    """
    hung = connections(settings, labels)
    parts: list[RenderableType] = [Text(_title(settings), style="bold"), ""]
    if width >= WIDTH:
        parts += [_picture(settings, hung), ""]
    parts += [_words(settings, hung), *_remarks(settings, labels)]
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


def _picture(settings: LightsSettings, hung: Connections) -> Text:
    shared = settings.common if settings.rgb else "all LEDs"
    picture = Text(no_wrap=True, overflow="ignore")
    for pin, function in enumerate(HEADER, 1):
        on_the_left = pin % 2 == 1
        end = hung.ends.get(pin, shared if pin == hung.common else "")
        line, dot = ("\u2500", "\u25cf") if end else (" ", "\u25cb")
        wire = _wire(settings, on_the_left=on_the_left) if pin in hung.ends else line * _WIRE
        style = hung.colours.get(end, "")
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


def _words(settings: LightsSettings, hung: Connections) -> Table:
    short, long = ("short", "long") if settings.common == "cathode" else ("long", "short")
    table = Table.grid(padding=(0, 2))
    for pin, end in sorted(hung.ends.items()):
        leg = f"{end} leg" if settings.rgb else f"{long} leg of {end}"
        table.add_row(f"pin {pin:>2}", HEADER[pin - 1], RESISTOR, Text(leg))
    leg = f"common {settings.common}, the longest leg" if settings.rgb else f"{short} legs of all LEDs"
    table.add_row(f"pin {hung.common:>2}", HEADER[hung.common - 1], "", leg)
    return table


def _remarks(settings: LightsSettings, labels: Sequence[str]) -> list[RenderableType]:
    if not settings.rgb:
        return []
    told = ", ".join(f"{label} {colour_of(settings, label)}" for label in labels)
    return ["", Text(f"Colours: {told}.")]
