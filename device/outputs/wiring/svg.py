"""A wiring diagram in SVG, for a web page or to print: a Raspberry Pi's header with LEDs and buttons.

Wires leave the header one above the other, each at a different height, and keep that order up to their ends, so that
none hides another; only the legs of an RGB LED have a fixed order. LEDs, buttons to ground and buttons to 3V3 are
groups one above the other, each with a wire of its own that they share; wires of different groups may cross.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size

from device.outputs.gpio.leds import colour_of
from device.outputs.wiring import svg_symbols as symbols
from device.outputs.wiring.pinout import HEADER, RESISTOR, Connections, connections, other_side
from device.settings.buttons import Button
from device.settings.leds import COLOURS
from device.settings.schema import LightsSettings

_MARGIN = 22
_TOP = 92
"""First height below the heading."""
_FAN_LEFT = symbols.BOARD_RIGHT + 8
_LED_HEIGHT, _WIRE_HEIGHT, _LEG_HEIGHT = 84, 44, 46
_LEGEND_HEIGHT, _LEGEND_WIDTH = 188, 452
_COLOUR_HEIGHT = 28
_BEFORE_RESISTOR = 8
_NAME_CELLS = 32
_BUTTON_HEIGHT, _BETWEEN_GROUPS = 58, 14
_BUTTON_COLOURS = ("#6f42c1", "#0b7285")
_RGB_LEGS = ("red", "", "green", "blue")
"""Their usual order; the one without a name is the common one, which is the longest."""
_SHARED = {"cathode": "ground", "anode": "3.3 V"}


@dataclass(frozen=True)
class _Wire:
    """A wire from a pin of the header to an LED or a button."""

    pin: int
    end: str
    """Class, leg or button that it leads to; empty for the wire that all of them share."""
    colour: str
    row: float
    """Height at which the wire ends."""


@dataclass(frozen=True)
class _Group:
    """The wires of the LEDs, or of buttons, one above the other."""

    wires: Sequence[_Wire]
    """Their heights are below the top of the group."""
    height: float
    buttons: bool


@dataclass(frozen=True)
class _Drawing:
    """The LEDs or buttons at the ends of the wires."""

    elements: Sequence[str]
    right: float
    """Right edge."""
    bottom: float
    """Lower edge."""


def wiring_svg(settings: LightsSettings, labels: Sequence[str], buttons: Sequence[Button] = ()) -> str:
    """Content of the SVG file.

    Args:
        settings: pins, and whether the LEDs share their cathode or their anode.
        labels: classes of the model.
        buttons: the buttons.

    Raises:
        LightsError: a class has no pin or colour, or a button shares its pin.
    """
    found = connections(settings, labels, buttons)
    colour = {found.common: symbols.BLACK if settings.common == "cathode" else symbols.DARK_RED}
    colour |= {pin: symbols.paint(found.colours[end]) for pin, end in found.ends.items()}
    groups = [_rgb_group(found, colour) if settings.rgb else _led_group(found, colour), *_button_groups(found)]
    colour |= {wire.pin: wire.colour for group in groups for wire in group.wires}
    groups = _stacked(groups)
    wires = [wire for group in groups for wire in group.wires]
    farthest = max(abs(wire.row - _leaves_at(wire.pin)) for wire in wires)
    fan_right = _FAN_LEFT + max(120.0, 0.6 * farthest)
    drawings = [_drawing(settings, labels, group, fan_right) for group in groups]
    width = max(*(each.right for each in drawings), fan_right + _LEGEND_WIDTH) + _MARGIN
    below = 0 if _is_low(colour) else 28 + _LEGEND_HEIGHT
    height = max(symbols.BOARD_BOTTOM + 38, max(each.bottom for each in drawings) + below + _MARGIN)
    legend_y = height - _LEGEND_HEIGHT - _MARGIN if below else _TOP
    return symbols.document(
        width, height,
        f"Wiring of {', '.join(labels)} on the header of a Raspberry Pi",
        _description(settings, found),
        [*symbols.board(), *_heading(settings),
         *(symbols.wire(_path(wire, fan_right), wire.colour) for wire in wires),
         *(element for each in drawings for element in each.elements),
         *symbols.pins(colour), *_legend(settings, fan_right, legend_y)],
    )  # fmt: skip


def _leaves_at(pin: int) -> float:
    """Height at which the wire of a pin leaves the header: from the inner row, between the pins of the outer one."""
    _, y = symbols.pin_place(pin)
    return y + (symbols.PITCH / 2 if pin % 2 else 0)


def _led_group(found: Connections, colour: Mapping[int, str]) -> _Group:
    return _group(found.ends, colour, _LED_HEIGHT, buttons=False)


def _button_groups(found: Connections) -> list[_Group]:
    names = sorted(found.named.items())
    colours = {pin: colour for (pin, _), colour in zip(names, _BUTTON_COLOURS, strict=False)}
    groups = []
    for each in found.buttons:
        shared = symbols.BLACK if HEADER[each.common - 1] == "GND" else symbols.DARK_RED
        colour = {each.common: shared, **{pin: colours[pin] for pin in each.ends}}
        groups.append(_group(each.ends, colour, _BUTTON_HEIGHT, buttons=True))
    return groups


def _group(ends: Mapping[int, str], colour: Mapping[int, str], step: float, *, buttons: bool) -> _Group:
    """Wires to LEDs or buttons, and the one that they share, in the order in which they leave the header."""
    order = sorted(colour, key=_leaves_at)
    below: list[float] = []
    for pin in order:
        height = step if pin in ends else _WIRE_HEIGHT
        below.append(below[-1] + height if below else height - _WIRE_HEIGHT / 2)
    wires = [_Wire(pin, ends.get(pin, ""), colour[pin], row) for pin, row in zip(order, below, strict=True)]
    return _Group(wires, below[-1], buttons)


def _stacked(groups: Sequence[_Group]) -> list[_Group]:
    """The groups one above the other, in the order in which fewest of their wires cross, at their final heights."""
    ordered = sorted(groups, key=lambda group: _middle([wire.pin for wire in group.wires]))
    height = sum(group.height for group in ordered) + (len(ordered) - 1) * (_WIRE_HEIGHT / 2 + _BETWEEN_GROUPS)
    top = _top([wire.pin for group in ordered for wire in group.wires], height)
    placed = []
    for group in ordered:
        wires = [replace(wire, row=top + wire.row) for wire in group.wires]
        placed.append(replace(group, wires=wires))
        top += group.height + _WIRE_HEIGHT / 2 + _BETWEEN_GROUPS
    return placed


def _rgb_group(found: Connections, colour: Mapping[int, str]) -> _Group:
    """Wires to an RGB LED, which is turned so that fewer wires cross."""
    pin_of = {**{end: pin for pin, end in found.ends.items()}, "": found.common}
    order = min(
        ([pin_of[leg] for leg in legs] for legs in (_RGB_LEGS, _RGB_LEGS[::-1])),
        key=lambda pins: sum(
            _leaves_at(upper) > _leaves_at(lower) for at, upper in enumerate(pins) for lower in pins[at:]
        ),
    )
    wires = [
        _Wire(pin, found.ends.get(pin, ""), colour[pin], _WIRE_HEIGHT / 2 + number * _LEG_HEIGHT)
        for number, pin in enumerate(order)
    ]
    return _Group(wires, 3 * _LEG_HEIGHT, buttons=False)


def _top(pins: Collection[int], height: float) -> float:
    """Top of the LEDs: centred on the pins, as far as the legend leaves room."""
    lowest = math.inf if _is_low(pins) else symbols.BOARD_BOTTOM - _LEGEND_HEIGHT - height - 40
    return max(_highest(pins), min(_middle(pins) - height / 2, lowest))


def _highest(pins: Collection[int]) -> float:
    return _TOP + _LEGEND_HEIGHT + 24 if _is_low(pins) else _TOP


def _is_low(pins: Collection[int]) -> bool:
    """Whether the pins are nearer to the USB ports; the legend goes to the other end then."""
    return _middle(pins) > (_leaves_at(1) + _leaves_at(40)) / 2


def _middle(pins: Collection[int]) -> float:
    return sum(map(_leaves_at, pins)) / len(pins)


def _path(wire: _Wire, fan_right: float) -> str:
    """Path of a wire from its pin to its row; all bend alike, so that their order is the same everywhere."""
    x, y = symbols.pin_place(wire.pin)
    lane = _leaves_at(wire.pin)
    start = f"M{x},{y} C{x + 3},{lane} {x + 8},{lane} {x + 16},{lane} " if lane != y else f"M{x},{y} "
    bend = (fan_right - _FAN_LEFT) / 2
    return f"{start}H{_FAN_LEFT} c{bend:g},0 {bend:g},{wire.row - lane:g} {2 * bend:g},{wire.row - lane:g}"


def _drawing(settings: LightsSettings, labels: Sequence[str], group: _Group, x: float) -> _Drawing:
    if group.buttons:
        return _buttons(group.wires, x)
    return _rgb_led(settings, labels, group.wires, x) if settings.rgb else _leds(settings, group.wires, x)


def _buttons(wires: Sequence[_Wire], x: float) -> _Drawing:
    """Draw buttons, the wire that they share and their names."""
    left = x + _BEFORE_RESISTOR
    rail_x = left + symbols.BUTTON_LENGTH + 14
    name_x = rail_x + 20
    shared = next(wire for wire in wires if not wire.end)
    elements = [symbols.wire(f"M{rail_x:g},{wires[0].row:g} V{wires[-1].row:g}", shared.colour)]
    right = 0.0
    for wire in wires:
        if wire.end:
            elements += [
                symbols.wire(f"M{x:g},{wire.row:g} H{left + 4:g}", wire.colour),
                symbols.wire(f"M{left + symbols.BUTTON_LENGTH - 4:g},{wire.row:g} H{rail_x:g}", shared.colour),
                symbols.button(left, wire.row),
            ]
            name = wire.end
        else:
            elements.append(symbols.wire(f"M{x:g},{wire.row:g} H{rail_x:g}", wire.colour))
            name = "ground" if HEADER[wire.pin - 1] == "GND" else "3.3 V"
        where = f"{HEADER[wire.pin - 1]}, pin {wire.pin}"
        elements += [
            symbols.joint(rail_x, wire.row, shared.colour),
            symbols.text(name_x, wire.row - 3, name, 18, bold=True),
            symbols.text(name_x, wire.row + 16, where, 13, fill=symbols.FAINT),
        ]
        right = max(right, name_x + 11 * cell_len(name), name_x + 8 * len(where))
    return _Drawing(elements, right, wires[-1].row + 20)


def _leds(settings: LightsSettings, wires: Sequence[_Wire], x: float) -> _Drawing:
    """Draw resistors, LEDs, the wire that they share and their names."""
    led_x = x + _BEFORE_RESISTOR + symbols.RESISTOR_LENGTH + symbols.LONG_LEG
    rail_x = led_x + symbols.LONG_LEG + 22
    name_x = rail_x + 26
    shared = next(wire for wire in wires if not wire.end)
    elements = [symbols.wire(f"M{rail_x:g},{wires[0].row:g} V{wires[-1].row:g}", shared.colour)]
    right = 0.0
    for wire in wires:
        if wire.end:
            elements += _led(settings, wire, shared.colour, x, led_x, rail_x)
            name, name_y = _shortened(wire.end), wire.row - 30
        else:
            elements.append(symbols.wire(f"M{x:g},{wire.row:g} H{rail_x:g}", wire.colour))
            name, name_y = _SHARED[settings.common], wire.row - 3
        where = f"{HEADER[wire.pin - 1]}, pin {wire.pin}"
        elements += [
            symbols.joint(rail_x, wire.row, shared.colour),
            symbols.text(name_x, name_y, name, 18, bold=True),
            symbols.text(name_x, name_y + 19, where, 13, fill=symbols.FAINT),
        ]
        right = max(right, name_x + 11 * cell_len(name), name_x + 8 * len(where))
    return _Drawing(elements, right, wires[-1].row + 20)


def _led(settings: LightsSettings, wire: _Wire, shared: str, x: float, led_x: float, rail_x: float) -> list[str]:
    """Draw a resistor and an LED from `x` to the shared wire, with wire where their legs do not reach."""
    cathode_right = settings.common == "cathode"
    left, right = (symbols.LONG_LEG, symbols.SHORT_LEG) if cathode_right else (symbols.SHORT_LEG, symbols.LONG_LEG)
    elements = [*_resistor(wire, x), symbols.wire(f"M{led_x + right:g},{wire.row:g} H{rail_x:g}", shared)]
    if left < symbols.LONG_LEG:
        elements.append(symbols.wire(f"M{led_x - symbols.LONG_LEG - 4:g},{wire.row:g} H{led_x - left:g}", wire.colour))
    return [*elements, symbols.led(led_x, wire.row, wire.colour, cathode_right=cathode_right)]


def _resistor(wire: _Wire, x: float) -> list[str]:
    left = x + _BEFORE_RESISTOR
    return [
        symbols.wire(f"M{x:g},{wire.row:g} H{left + 4:g}", wire.colour),
        symbols.resistor(left, wire.row),
        symbols.text(
            left + symbols.RESISTOR_LENGTH / 2, wire.row - 16, RESISTOR, 12, fill=symbols.FAINT, anchor="middle"
        ),
    ]


def _rgb_led(settings: LightsSettings, labels: Sequence[str], wires: Sequence[_Wire], x: float) -> _Drawing:
    """Draw resistors, the RGB LED, and the colours of the classes."""
    after_resistor = x + _BEFORE_RESISTOR + symbols.RESISTOR_LENGTH - 4
    led_x = after_resistor + 56 + symbols.rgb_leg(longest=True)
    elements = []
    for wire in wires:
        leg = led_x - symbols.rgb_leg(longest=not wire.end)
        elements += _resistor(wire, x) if wire.end else []
        elements.append(symbols.wire(f"M{after_resistor if wire.end else x:g},{wire.row:g} H{leg:g}", wire.colour))
    common = next(number for number, wire in enumerate(wires) if not wire.end)
    elements.append(symbols.rgb_led(led_x, [wire.row for wire in wires], common=common))
    name_x = led_x + 124
    names = [_shortened(label) for label in labels]
    middle = (wires[0].row + wires[-1].row) / 2
    top = max(_highest([wire.pin for wire in wires]) + 10, middle - _COLOUR_HEIGHT * (len(labels) - 1) / 2)
    rows = [top + _COLOUR_HEIGHT * number for number in range(len(labels))]
    for label, name, row in zip(labels, names, rows, strict=True):
        colour = colour_of(settings, label) or ""
        elements.append(symbols.swatch(name_x - 18, row, COLOURS.get(colour, colour)))
        elements.append(symbols.text(name_x, row + 5.5, name, 16, bold=True))
    return _Drawing(elements, name_x + 10 * max(map(cell_len, names)), max(wires[-1].row, rows[-1]) + 20)


def _heading(settings: LightsSettings) -> list[str]:
    what = f"One RGB LED, common {settings.common}" if settings.rgb else "One LED per class"
    x = _FAN_LEFT + 24
    return [
        symbols.text(x, 50, what, 20, bold=True),
        symbols.text(x, 71, "Pin 1 is at the microSD card's end, in the inner row.", 13, fill=symbols.FAINT),
    ]


def _legend(settings: LightsSettings, x: float, y: float) -> list[str]:
    """Draw, at a larger size, what is easily mixed up."""
    return [
        symbols.panel(x, y, _LEGEND_WIDTH, _LEGEND_HEIGHT),
        *(_rgb_led_legend(settings, x, y) if settings.rgb else _led_legend(settings, x, y)),
        symbols.resistor(x + 20, y + 154),
        symbols.text(x + 130, y + 151, f"{RESISTOR}, either way round:", 15, bold=True),
        symbols.text(x + 130, y + 171, "orange, orange, brown, gold", 15),
    ]


def _led_legend(settings: LightsSettings, x: float, y: float) -> list[str]:
    cathode = settings.common == "cathode"
    middle, side = x + 112, 1 if cathode else -1
    to_pin, to_shared = ("Long leg", "Short leg, flat side")[::side]
    return [
        symbols.led(middle, y + 108, symbols.paint("red"), cathode_right=cathode, size=1.45),
        symbols.text(middle - side * 60, y + 126, "long", 13, fill=symbols.FAINT, anchor="middle"),
        symbols.text(middle + side * 26, y + 126, "short", 13, fill=symbols.FAINT, anchor="middle"),
        symbols.text(middle + side * 26, y + 80, "flat", 13, fill=symbols.FAINT, anchor="start" if cathode else "end"),
        *_lines(
            x + 226, y + 36,
            (f"{to_pin}:", "to the resistor and its pin", f"{to_shared}:", f"to {_SHARED[settings.common]}"),
            bold=(0, 2),
        ),
    ]  # fmt: skip


def _rgb_led_legend(settings: LightsSettings, x: float, y: float) -> list[str]:
    lines = (
        f"Longest leg: to {_SHARED[settings.common]}, without a resistor",
        "On its one side: red. On the other: green, then blue.",
        "Is yours in another order? Light up leg by leg with",
        "edge-mcnn lights test",
    )
    return _lines(x + 20, y + 36, lines, bold=(0,))


def _lines(x: float, y: float, lines: Sequence[str], *, bold: Sequence[int]) -> list[str]:
    return [symbols.text(x, y + 23 * number, line, 15, bold=number in bold) for number, line in enumerate(lines)]


def _description(settings: LightsSettings, found: Connections) -> str:
    """Description of every wire in words."""
    short, long = ("short", "long") if settings.common == "cathode" else ("long", "short")
    to = {pin: f"{end} leg" if settings.rgb else f"{long} leg of {end}" for pin, end in sorted(found.ends.items())}
    wires = [f"Pin {pin}, {HEADER[pin - 1]}: through {RESISTOR} to the {leg}." for pin, leg in to.items()]
    shared = f"the common {settings.common}" if settings.rgb else f"the {short} legs of all LEDs"
    wires.append(f"Pin {found.common}, {HEADER[found.common - 1]}: to {shared}.")
    for group in found.buttons:
        wires += [
            f"Pin {pin}, {HEADER[pin - 1]}: to one side of the button: {name}." for pin, name in group.ends.items()
        ]
        wires.append(f"Pin {group.common}, {HEADER[group.common - 1]}: to the {other_side(group)}.")
    return " ".join(wires)


def _shortened(name: str) -> str:
    if cell_len(name) <= _NAME_CELLS:
        return name
    return f"{set_cell_size(name, _NAME_CELLS - 1).rstrip()}\u2026"
