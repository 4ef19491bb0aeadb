"""A wiring diagram in characters: a Raspberry Pi's header with the LEDs and buttons of the settings.

Marks differ in shape, not only in colour.
"""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from device.outputs.gpio.leds import colour_of
from device.outputs.wiring.pinout import HEADER, RESISTOR, Connections, connections, other_side
from device.settings.buttons import Button
from device.settings.schema import LightsSettings
from device.system.display import displayable

WIDTH = 79
"""Columns of the diagram."""
_NAME_CELLS = 12
_WIRE_CELLS = 15
_ASCII = str.maketrans("\u25cf\u25cb\u2500\u25b7\u25c1\u03a9", "*o-><R")
"""ASCII characters for the others; parts lists also write 330 R."""


def wiring(
    settings: LightsSettings, labels: Sequence[str], width: int, buttons: Sequence[Button] = ()
) -> RenderableType:
    """The diagram, and below it every wire in words; the words alone where the diagram does not fit.

    Args:
        settings: pins, and whether the LEDs share their cathode or their anode.
        labels: classes of the model.
        width: columns of the output.
        buttons: the buttons.

    Raises:
        LightsError: a class has no pin or colour, or a button shares its pin.
    """
    found = connections(settings, labels, buttons)
    parts: list[RenderableType] = [Text(_title(settings), style="bold"), ""]
    if width >= WIDTH:
        parts += [_diagram(settings, found), ""]
    parts += [_words(settings, found), *_colours(settings, labels), *_about_buttons(found)]
    return Group(*parts)


def to_encoding(text: str, encoding: str) -> str:
    """The diagram with the characters that an encoding contains."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII)
    return text


def _title(settings: LightsSettings) -> str:
    what = f"one RGB LED, common {settings.common}" if settings.rgb else "one LED per class"
    return f"{what[0].upper()}{what[1:]}. Pin 1 is at the SD card's end, in the inner row."


def _diagram(settings: LightsSettings, found: Connections) -> Text:
    names = {**found.ends, **found.named, found.common: settings.common if settings.rgb else "all LEDs"}
    names |= {group.common: "buttons" for group in found.buttons}
    buttons = {pin: HEADER[group.common - 1] for group in found.buttons for pin in group.ends}
    diagram = Text(no_wrap=True, overflow="ignore")
    for pin, function in enumerate(HEADER, 1):
        on_the_left = pin % 2 == 1
        end = names.get(pin, "")
        line, dot = ("\u2500", "\u25cf") if end else (" ", "\u25cb")
        wire = line * _WIRE_CELLS
        if pin in found.ends:
            wire = _wire(settings, on_the_left=on_the_left)
        elif pin in buttons:
            wire = _button_wire(buttons[pin], on_the_left=on_the_left)
        style, name = found.colours[end] if pin in found.ends else "", _shortened(end)
        if on_the_left:
            diagram.append(f"{' ' * (_NAME_CELLS - cell_len(name))}{name}", style=style)
            diagram.append(f" {wire}{function:{line}>6} {pin:>2} {dot} ")
        else:
            diagram.append(f"{dot} {pin:<2} {function:{line}<6}{wire} ")
            diagram.append(name, style=style)
            diagram.rstrip()
            diagram.append("\n")
    diagram.rstrip()
    return diagram


def _wire(settings: LightsSettings, *, on_the_left: bool) -> str:
    """The parts from the shared wire to the pin, in the direction of the current; for an RGB LED, from its leg."""
    resistor = f"[{RESISTOR}]"
    if settings.rgb:
        return resistor.center(_WIRE_CELLS, "\u2500")
    shared = "GND" if settings.common == "cathode" else "3V3"
    away = settings.common == "cathode"
    led = "|\u25c1" if on_the_left == away else "\u25b7|"
    return f"{shared}\u2500{led}\u2500{resistor}\u2500" if on_the_left else f"\u2500{resistor}\u2500{led}\u2500{shared}"


def _button_wire(shared: str, *, on_the_left: bool) -> str:
    """The button between the shared wire and the pin."""
    button = "\u2500\u2500[button]\u2500\u2500"
    return f"{shared}{button}" if on_the_left else f"{button}{shared}"


def _shortened(name: str) -> str:
    """The name in as many cells as the diagram has; letters of some scripts need two cells each."""
    name = displayable(name)
    return name if cell_len(name) <= _NAME_CELLS else f"{set_cell_size(name, _NAME_CELLS - 1).rstrip()}."


def _words(settings: LightsSettings, found: Connections) -> Table:
    short, long = ("short", "long") if settings.common == "cathode" else ("long", "short")
    table = Table.grid(padding=(0, 2))
    for pin, end in sorted(found.ends.items()):
        leg = f"{end} leg" if settings.rgb else f"{long} leg of {end}"
        table.add_row(f"pin {pin:>2}", HEADER[pin - 1], RESISTOR, Text(displayable(leg)))
    leg = f"common {settings.common}, the longest leg" if settings.rgb else f"{short} legs of all LEDs"
    table.add_row(f"pin {found.common:>2}", HEADER[found.common - 1], "", leg)
    for group in found.buttons:
        for pin, name in sorted(group.ends.items()):
            table.add_row(f"pin {pin:>2}", HEADER[pin - 1], "", f"one side of the button: {name}")
        table.add_row(f"pin {group.common:>2}", HEADER[group.common - 1], "", other_side(group))
    return table


def _about_buttons(found: Connections) -> list[RenderableType]:
    if not found.buttons:
        return []
    return ["", "A button needs no resistor. If it has four legs, use two at opposite corners."]


def _colours(settings: LightsSettings, labels: Sequence[str]) -> list[RenderableType]:
    if not settings.rgb:
        return []
    listed = ", ".join(f"{label} {colour_of(settings, label)}" for label in labels)
    return ["", Text(displayable(f"Colours: {listed}."))]
