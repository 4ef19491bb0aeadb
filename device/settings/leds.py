"""LEDs in the settings: their pins and colours, and the checks of these tables."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

HIGHEST_BCM_PIN = 27
RGB = ("red", "green", "blue")
"""The legs of an RGB LED besides the common one, in gpiozero's order."""
COLOURS = {
    "red": "#ff0000",
    "orange": "#ff8000",
    "yellow": "#ffff00",
    "green": "#00ff00",
    "cyan": "#00ffff",
    "blue": "#0000ff",
    "purple": "#8000ff",
    "magenta": "#ff00ff",
    "pink": "#ff80c0",
    "white": "#ffffff",
}
"""Named colours at full brightness, unlike those of CSS, whose green is half as bright."""
CLASS_COLOURS = {
    "positive": "green",
    "neutral": "white",
    "negative": "red",
    "joy": "yellow",
    "surprise": "cyan",
    "anger": "red",
    "sadness": "blue",
    "disgust": "green",
    "fear": "magenta",
}
"""Default colours of the three sentiments and of MELD's seven emotions; their legs are on or off, so no PWM is used."""
CLASS_PINS = {
    "positive": 17,
    "neutral": 27,
    "negative": 22,
    "joy": 23,
    "sadness": 24,
    "anger": 25,
    "surprise": 5,
    "fear": 6,
    "disgust": 16,
}
"""Default BCM pins of the same classes; none of them has another use on most boards."""
PLAIN_PINS = (17, 27, 22, 23, 24, 25, 5, 6, 16, 26, 12, 13, 18, 19, 20, 21, 4, 7, 8, 9, 10, 11, 15, 14)
"""BCM pins, those without another use first, those of SPI and of the serial console last. Those below 4 are missing:
they are a bus of plugged-on boards and have their own pull-up resistors."""
PULLED_UP_PINS = (2, 3)
"""BCM pins with a resistor to 3V3 on every board."""
_HEX = re.compile(r"#[0-9a-fA-F]{6}")

Problems = Iterator[tuple[tuple[str, ...], str]]
"""Problems in a table: the keys inside the table that lead to each one, and a line that describes it."""


def rgb_levels(colour: str) -> tuple[float, float, float]:
    """Brightness of red, green and blue, 0 to 1, of a colour that `colour_problems` accepts."""
    code = COLOURS.get(colour, colour)
    red, green, blue = (int(code[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def pin_problems(name: str, pins: Any) -> Problems:
    """Check a table of BCM pin numbers by class.

    Args:
        name: name of the setting, for the messages.
        pins: the table, as TOML gives it.
    """
    if not isinstance(pins, Mapping):
        yield (), f"{name} is {pins!r}, expected a table such as positive = 17"
        return
    owners: dict[int, str] = {}
    for owner, pin in pins.items():
        if isinstance(pin, bool) or not isinstance(pin, int) or not 0 <= pin <= HIGHEST_BCM_PIN:
            yield (owner,), f"{name}.{owner} is {pin!r}, expected a BCM pin number from 0 to {HIGHEST_BCM_PIN}"
        elif pin in owners:
            yield (owner,), f"{name}.{owner} is {pin}, which {owners[pin]} uses as well, expected a different pin"
        else:
            owners[pin] = owner


def rgb_problems(name: str, pins: Any) -> Problems:
    """Check the BCM pin numbers of an RGB LED by leg; an empty table means no RGB LED and is allowed."""
    example = "{ red = 17, green = 27, blue = 22 }"
    if not isinstance(pins, Mapping):
        yield (), f"{name} is {pins!r}, expected a table such as {example}"
        return
    for leg in pins:
        if leg not in RGB:
            yield (leg,), f"{name}.{leg}: an RGB LED has no such leg, expected {', '.join(RGB)}"
    missing = [leg for leg in RGB if leg not in pins]
    if pins and missing:
        yield (), f"{name} has no {', '.join(missing)}, expected a table such as {example}"
    yield from pin_problems(name, {leg: pin for leg, pin in pins.items() if leg in RGB})


def colour_problems(name: str, colours: Any) -> Problems:
    """Check a table of colours by class."""
    if not isinstance(colours, Mapping):
        yield (), f'{name} is {colours!r}, expected a table such as positive = "green"'
        return
    for label, colour in colours.items():
        expected = f"expected one of {', '.join(COLOURS)}, or for example '#ff8000'"
        if not isinstance(colour, str) or not (colour in COLOURS or _HEX.fullmatch(colour)):
            yield (label,), f"{name}.{label} is {colour!r}, {expected}"
        elif not any(rgb_levels(colour)):
            yield (label,), f"{name}.{label} is {colour!r}, which is dark, {expected}"
