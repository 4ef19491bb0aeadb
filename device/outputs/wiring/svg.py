"""A picture of the LEDs of the settings on a Raspberry Pi's header, as SVG: for a page, or to print.

Wires leave the header one above the other, each at a height of its own, and keep that order to where they end, so that
none hides another; only the legs of an RGB LED have an order of their own.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from device.outputs.gpio.leds import colour_of
from device.outputs.wiring import svg_symbols as parts
from device.outputs.wiring.pinout import HEADER, RESISTOR, Connections, connections
from device.settings.leds import COLOURS
from device.settings.schema import LightsSettings

_MARGIN = 22
_TOP = 92
"""Below the heading."""
_FAN_LEFT = parts.BOARD_RIGHT + 8
_LED_HEIGHT, _WIRE_HEIGHT, _LEG_HEIGHT = 84, 44, 46
_LEGEND_HEIGHT, _LEGEND_WIDTH = 188, 452
_COLOUR_HEIGHT = 28
_BEFORE_RESISTOR = 8
_NAME_CELLS = 32
_RGB_LEGS = ("red", "", "green", "blue")
"""In the order in which they usually stand; the nameless one is the common one, which is the longest."""
_SHARED = {"cathode": "ground", "anode": "3.3 V"}


@dataclass(frozen=True)
class _Wire:
    """From a pin of the header to the LEDs."""

    pin: int
    end: str
    """The class or the leg; empty for the wire that all share."""
    colour: str
    row: float
    """Height at which it ends."""


@dataclass(frozen=True)
class _Drawn:
    """What the wires lead to."""

    shown: Sequence[str]
    right: float
    bottom: float


def wiring_svg(settings: LightsSettings, labels: Sequence[str]) -> str:
    """The file.

    Args:
        settings: pins, and what the LEDs have in common.
        labels: classes of the model.

    Raises:
        LightsError: a class has no pin or colour.
    """
    hung = connections(settings, labels)
    colour = {hung.common: parts.BLACK if settings.common == "cathode" else parts.DARK_RED}
    colour |= {pin: parts.paint(hung.colours[end]) for pin, end in hung.ends.items()}
    wires = _rgb_wires(hung, colour) if settings.rgb else _led_wires(hung, colour)
    farthest = max(abs(wire.row - _leaves_at(wire.pin)) for wire in wires)
    fan_right = _FAN_LEFT + max(120.0, 0.6 * farthest)
    drawn = _rgb_led(settings, labels, wires, fan_right) if settings.rgb else _leds(settings, wires, fan_right)
    width = max(drawn.right, fan_right + _LEGEND_WIDTH) + _MARGIN
    below = 0 if _is_low(colour) else 28 + _LEGEND_HEIGHT
    height = max(parts.BOARD_BOTTOM + 38, drawn.bottom + below + _MARGIN)
    legend_y = height - _LEGEND_HEIGHT - _MARGIN if below else _TOP
    return parts.picture(
        width, height,
        f"Wiring of {', '.join(labels)} on the header of a Raspberry Pi",
        _described(settings, hung),
        [*parts.board(), *_heading(settings), *(parts.wire(_path(wire, fan_right), wire.colour) for wire in wires),
         *drawn.shown, *parts.pins(colour), *_legend(settings, fan_right, legend_y)],
    )  # fmt: skip


def _leaves_at(pin: int) -> float:
    """The height at which its wire leaves the header: those of the inner row between the pins of the outer one."""
    _, y = parts.pin_place(pin)
    return y + (parts.PITCH / 2 if pin % 2 else 0)


def _led_wires(hung: Connections, colour: Mapping[int, str]) -> list[_Wire]:
    order = sorted(colour, key=_leaves_at)
    below: list[float] = []
    for pin in order:
        step = _LED_HEIGHT if pin in hung.ends else _WIRE_HEIGHT
        below.append(below[-1] + step if below else step - _WIRE_HEIGHT / 2)
    top = _top(order, below[-1])
    return [_Wire(pin, hung.ends.get(pin, ""), colour[pin], top + row) for pin, row in zip(order, below, strict=True)]


def _rgb_wires(hung: Connections, colour: Mapping[int, str]) -> list[_Wire]:
    """The LED is turned as fewer wires cross."""
    pin_of = {**{end: pin for pin, end in hung.ends.items()}, "": hung.common}
    order = min(
        ([pin_of[leg] for leg in legs] for legs in (_RGB_LEGS, _RGB_LEGS[::-1])),
        key=lambda pins: sum(
            _leaves_at(upper) > _leaves_at(lower) for at, upper in enumerate(pins) for lower in pins[at:]
        ),
    )
    top = _top(order, 3 * _LEG_HEIGHT) + _WIRE_HEIGHT / 2
    return [
        _Wire(pin, hung.ends.get(pin, ""), colour[pin], top + number * _LEG_HEIGHT) for number, pin in enumerate(order)
    ]


def _top(pins: Collection[int], height: float) -> float:
    """Beside the middle of the pins, as far as the legend leaves room."""
    lowest = math.inf if _is_low(pins) else parts.BOARD_BOTTOM - _LEGEND_HEIGHT - height - 40
    return max(_highest(pins), min(_middle(pins) - height / 2, lowest))


def _highest(pins: Collection[int]) -> float:
    return _TOP + _LEGEND_HEIGHT + 24 if _is_low(pins) else _TOP


def _is_low(pins: Collection[int]) -> bool:
    """Whether the pins are nearer to the end of the USB ports, so that the legend had better be at the other."""
    return _middle(pins) > (_leaves_at(1) + _leaves_at(40)) / 2


def _middle(pins: Collection[int]) -> float:
    return sum(map(_leaves_at, pins)) / len(pins)


def _path(wire: _Wire, fan_right: float) -> str:
    """From the pin to the row; all bend alike, so that their order is the same everywhere."""
    x, y = parts.pin_place(wire.pin)
    lane = _leaves_at(wire.pin)
    start = f"M{x},{y} C{x + 3},{lane} {x + 8},{lane} {x + 16},{lane} " if lane != y else f"M{x},{y} "
    bend = (fan_right - _FAN_LEFT) / 2
    return f"{start}H{_FAN_LEFT} c{bend:g},0 {bend:g},{wire.row - lane:g} {2 * bend:g},{wire.row - lane:g}"


def _leds(settings: LightsSettings, wires: Sequence[_Wire], x: float) -> _Drawn:
    """Resistors, LEDs, what they share and their names."""
    led_x = x + _BEFORE_RESISTOR + parts.RESISTOR_LENGTH + parts.LONG_LEG
    rail_x = led_x + parts.LONG_LEG + 22
    name_x = rail_x + 26
    shared = next(wire for wire in wires if not wire.end)
    shown = [parts.wire(f"M{rail_x:g},{wires[0].row:g} V{wires[-1].row:g}", shared.colour)]
    right = 0.0
    for wire in wires:
        if wire.end:
            shown += _led(settings, wire, shared.colour, x, led_x, rail_x)
            name, name_y = _fitting(wire.end), wire.row - 30
        else:
            shown.append(parts.wire(f"M{x:g},{wire.row:g} H{rail_x:g}", wire.colour))
            name, name_y = _SHARED[settings.common], wire.row - 3
        where = f"{HEADER[wire.pin - 1]}, pin {wire.pin}"
        shown += [
            parts.joint(rail_x, wire.row, shared.colour),
            parts.text(name_x, name_y, name, 18, bold=True),
            parts.text(name_x, name_y + 19, where, 13, fill=parts.FAINT),
        ]
        right = max(right, name_x + 11 * cell_len(name), name_x + 8 * len(where))
    return _Drawn(shown, right, wires[-1].row + 20)


def _led(settings: LightsSettings, wire: _Wire, shared: str, x: float, led_x: float, rail_x: float) -> list[str]:
    """From `x` to the wire that all share: a resistor, the LED, and wire where their legs do not reach."""
    cathode_right = settings.common == "cathode"
    left, right = (parts.LONG_LEG, parts.SHORT_LEG) if cathode_right else (parts.SHORT_LEG, parts.LONG_LEG)
    shown = [*_resistor(wire, x), parts.wire(f"M{led_x + right:g},{wire.row:g} H{rail_x:g}", shared)]
    if left < parts.LONG_LEG:
        shown.append(parts.wire(f"M{led_x - parts.LONG_LEG - 4:g},{wire.row:g} H{led_x - left:g}", wire.colour))
    return [*shown, parts.led(led_x, wire.row, wire.colour, cathode_right=cathode_right)]


def _resistor(wire: _Wire, x: float) -> list[str]:
    left = x + _BEFORE_RESISTOR
    return [
        parts.wire(f"M{x:g},{wire.row:g} H{left + 4:g}", wire.colour),
        parts.resistor(left, wire.row),
        parts.text(left + parts.RESISTOR_LENGTH / 2, wire.row - 16, RESISTOR, 12, fill=parts.FAINT, anchor="middle"),
    ]


def _rgb_led(settings: LightsSettings, labels: Sequence[str], wires: Sequence[_Wire], x: float) -> _Drawn:
    """Resistors, the LED, and the colours of the classes."""
    after_resistor = x + _BEFORE_RESISTOR + parts.RESISTOR_LENGTH - 4
    led_x = after_resistor + 56 + parts.rgb_leg(longest=True)
    shown = []
    for wire in wires:
        leg = led_x - parts.rgb_leg(longest=not wire.end)
        shown += _resistor(wire, x) if wire.end else []
        shown.append(parts.wire(f"M{after_resistor if wire.end else x:g},{wire.row:g} H{leg:g}", wire.colour))
    common = next(number for number, wire in enumerate(wires) if not wire.end)
    shown.append(parts.rgb_led(led_x, [wire.row for wire in wires], common=common))
    name_x = led_x + 124
    names = [_fitting(label) for label in labels]
    middle = (wires[0].row + wires[-1].row) / 2
    top = max(_highest([wire.pin for wire in wires]) + 10, middle - _COLOUR_HEIGHT * (len(labels) - 1) / 2)
    rows = [top + _COLOUR_HEIGHT * number for number in range(len(labels))]
    for label, name, row in zip(labels, names, rows, strict=True):
        colour = colour_of(settings, label) or ""
        shown.append(parts.swatch(name_x - 18, row, COLOURS.get(colour, colour)))
        shown.append(parts.text(name_x, row + 5.5, name, 16, bold=True))
    return _Drawn(shown, name_x + 10 * max(map(cell_len, names)), max(wires[-1].row, rows[-1]) + 20)


def _heading(settings: LightsSettings) -> list[str]:
    what = f"One RGB LED, common {settings.common}" if settings.rgb else "One LED per class"
    x = _FAN_LEFT + 24
    return [
        parts.text(x, 50, what, 20, bold=True),
        parts.text(x, 71, "Pin 1 is at the microSD card's end, in the inner row.", 13, fill=parts.FAINT),
    ]


def _legend(settings: LightsSettings, x: float, y: float) -> list[str]:
    """What must not be mixed up, larger."""
    return [
        parts.panel(x, y, _LEGEND_WIDTH, _LEGEND_HEIGHT),
        *(_about_rgb_led(settings, x, y) if settings.rgb else _about_led(settings, x, y)),
        parts.resistor(x + 20, y + 154),
        parts.text(x + 130, y + 151, f"{RESISTOR}, either way round:", 15, bold=True),
        parts.text(x + 130, y + 171, "orange, orange, brown, gold", 15),
    ]


def _about_led(settings: LightsSettings, x: float, y: float) -> list[str]:
    cathode = settings.common == "cathode"
    middle, side = x + 112, 1 if cathode else -1
    to_pin, to_shared = ("Long leg", "Short leg, flat side")[::side]
    return [
        parts.led(middle, y + 108, parts.paint("red"), cathode_right=cathode, size=1.45),
        parts.text(middle - side * 60, y + 126, "long", 13, fill=parts.FAINT, anchor="middle"),
        parts.text(middle + side * 26, y + 126, "short", 13, fill=parts.FAINT, anchor="middle"),
        parts.text(middle + side * 26, y + 80, "flat", 13, fill=parts.FAINT, anchor="start" if cathode else "end"),
        *_lines(
            x + 226, y + 36,
            (f"{to_pin}:", "to the resistor and its pin", f"{to_shared}:", f"to {_SHARED[settings.common]}"),
            bold=(0, 2),
        ),
    ]  # fmt: skip


def _about_rgb_led(settings: LightsSettings, x: float, y: float) -> list[str]:
    lines = (
        f"Longest leg: to {_SHARED[settings.common]}, without a resistor",
        "On its one side: red. On the other: green, then blue.",
        "Is yours in another order? It lights up leg by leg with",
        "edge-mcnn lights test",
    )
    return _lines(x + 20, y + 36, lines, bold=(0,))


def _lines(x: float, y: float, lines: Sequence[str], *, bold: Sequence[int]) -> list[str]:
    return [parts.text(x, y + 23 * number, line, 15, bold=number in bold) for number, line in enumerate(lines)]


def _described(settings: LightsSettings, hung: Connections) -> str:
    """Every wire in words."""
    short, long = ("short", "long") if settings.common == "cathode" else ("long", "short")
    to = {pin: f"{end} leg" if settings.rgb else f"{long} leg of {end}" for pin, end in sorted(hung.ends.items())}
    told = [f"Pin {pin}, {HEADER[pin - 1]}: through {RESISTOR} to the {leg}." for pin, leg in to.items()]
    shared = f"the common {settings.common}" if settings.rgb else f"the {short} legs of all LEDs"
    return " ".join([*told, f"Pin {hung.common}, {HEADER[hung.common - 1]}: to {shared}."])


def _fitting(name: str) -> str:
    if cell_len(name) <= _NAME_CELLS:
        return name
    return f"{set_cell_size(name, _NAME_CELLS - 1).rstrip()}\u2026"
