"""SVG drawings of the parts of a wiring diagram: header, wire, resistor, LEDs, button. Lengths are in SVG user units.

`device.outputs.wiring.svg` places them.
"""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from rich.color import Color
from rich.terminal_theme import TerminalTheme

from device.outputs.wiring.pinout import HEADER
from device.system.display import displayable_lines

INK = "#24292f"
FAINT = "#57606a"
BLACK = "#2b2f36"
DARK_RED = "#9c2a1f"
PITCH = 28
"""Distance from pin to pin of the header."""
ODD_X, EVEN_X, FIRST_Y = 150, 178, 112
"""Coordinates of the header's pins: x of the inner row and of the outer one, y of pins 1 and 2."""
BOARD_RIGHT, BOARD_BOTTOM = 242, 744
LONG_LEG, SHORT_LEG = 58, 26
RESISTOR_LENGTH = 96
BUTTON_LENGTH = 72
_BOARD_LEFT, _BOARD_TOP = 22, 38
_PIN = 9
_GOLD = "#d2b15c"
_METAL = "#8c949e"
# Colours of paint: a wire does not glow.
_PAINT = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [(43, 47, 54), (214, 48, 49), (38, 160, 75), (242, 190, 20), (41, 98, 220), (190, 50, 170), (0, 165, 190),
     (240, 240, 235)],
    [(120, 126, 134), (250, 120, 100), (135, 205, 80), (250, 225, 110), (100, 155, 255), (235, 125, 215),
     (110, 215, 225), (255, 255, 255)],
)  # fmt: skip
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def document(width: float, height: float, title: str, description: str, elements: Sequence[str]) -> str:
    """The complete SVG file, with a background, which dark pages need."""
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="title desc" font-family="{_FONT}">',
        f'<title id="title">{escaped(title)}</title>',
        f'<desc id="desc">{escaped(description)}</desc>',
        f'<rect width="{width:g}" height="{height:g}" rx="14" fill="#fbfaf6"/>',
        *elements,
        "</svg>\n",
    ))  # fmt: skip


def escaped(text: str) -> str:
    """Any text as XML can contain it, with control characters, which XML cannot contain, as visible escapes."""
    return escape(displayable_lines(text), {'"': "&quot;"})


def text(
    x: float, y: float, content: str, size: float, *, bold: bool = False, fill: str = INK, anchor: str = "start"
) -> str:
    """A line of text; `y` is its baseline, and `anchor` its point at `x`: start, middle or end."""
    weight = ' font-weight="bold"' if bold else ""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}"{weight}{place}>{escaped(content)}</text>'


def paint(name: str) -> str:
    """Colour of a wire or LED in SVG notation, from a colour as rich names it."""
    return Color.parse(name).get_truecolor(_PAINT).hex


def wire(path: str, colour: str) -> str:
    """An insulated wire along a path."""
    return (
        f'<path d="{path}" fill="none" stroke="{_darker(colour)}" stroke-width="6"/>'
        f'<path class="wire" d="{path}" fill="none" stroke="{colour}" stroke-width="3.6"/>'
    )


def swatch(x: float, y: float, colour: str) -> str:
    """A circle in the colour of a light."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="8" fill="{colour}" stroke="{_METAL}"/>'


def panel(x: float, y: float, width: float, height: float) -> str:
    """A white panel for remarks."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="10" fill="#ffffff" stroke="#d0d7de"/>'


def joint(x: float, y: float, colour: str) -> str:
    """A joint of wires."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="6" fill="{colour}" stroke="{_darker(colour)}" stroke-width="1.2"/>'


def pin_place(pin: int) -> tuple[float, float]:
    """Coordinates of the centre of a pin of the header."""
    return (ODD_X if pin % 2 else EVEN_X), FIRST_Y + (pin - 1) // 2 * PITCH


def board() -> list[str]:
    """The edge of a Raspberry Pi with the header, from above, with marks that show which end is which."""
    left, right, top, bottom = _BOARD_LEFT, BOARD_RIGHT, _BOARD_TOP, BOARD_BOTTOM
    tooth = (bottom - top) / 32
    torn = " ".join(f"L{left + 9 * (step % 2)},{bottom - step * tooth:g}" for step in range(1, 32))
    hole = right - 32
    last = FIRST_Y + 19 * PITCH
    parts = [
        f'<rect x="52" y="{top - 18}" width="56" height="40" rx="5" fill="#30353d"/>',
        f'<path d="M{left},{bottom} {torn} L{left},{top} H{right - 14} Q{right},{top} {right},{top + 14} '
        f'V{bottom - 14} Q{right},{bottom} {right - 14},{bottom} Z" fill="#1d6b45"/>',
        *(f'<circle cx="{hole}" cy="{y}" r="10" fill="#fbfaf6" stroke="{_GOLD}" stroke-width="5"/>'
          for y in (top + 32, last + 44)),
        *(f'<rect x="{x}" y="{bottom - 46}" width="64" height="62" rx="3" fill="#d3d8df" stroke="#8c949e"/>'
          for x in (44, 120)),
        text(80, top + 20, "microSD card", 11, fill="#d7efe1", anchor="middle"),
        *(text(x, bottom - 11, "USB", 12, bold=True, fill=FAINT, anchor="middle") for x in (76, 152)),
        '<rect x="40" y="330" width="44" height="84" rx="4" fill="#b9bfc8" stroke="#8c949e"/>',
        f'<text transform="translate(54 {FIRST_Y + 480}) rotate(-90)" font-size="15" font-weight="bold" '
        'fill="#d7efe1">Raspberry Pi</text>',
        f'<text transform="translate(71 {FIRST_Y + 480}) rotate(-90)" font-size="11" '
        'fill="#d7efe1">from above</text>',
        f'<rect x="{ODD_X - 14}" y="{FIRST_Y - 14}" width="{EVEN_X - ODD_X + 28}" height="{19 * PITCH + 28}" rx="3" '
        'fill="#1b1e23"/>',
    ]  # fmt: skip
    return [*parts, text(ODD_X, FIRST_Y - 32, "pin 1", 12, bold=True, fill="#ffffff", anchor="middle"),
            f'<path d="M{ODD_X - 5},{FIRST_Y - 26} h10 l-5,8 Z" fill="#ffffff"/>']  # fmt: skip


def pins(used: Mapping[int, str]) -> list[str]:
    """The pins of the header with their functions; used pins have the colour of their wire."""
    parts = []
    for pin, name in enumerate(HEADER, 1):
        x, y = pin_place(pin)
        colour = used.get(pin, _GOLD)
        ring = 'stroke="#ffffff" stroke-width="1.6"' if pin in used else 'stroke="#8a7233"'
        if pin == 1:
            parts.append(f'<rect x="{x - _PIN}" y="{y - _PIN}" width="{2 * _PIN}" height="{2 * _PIN}" '
                         f'fill="{colour}" {ring}/>')  # fmt: skip
        else:
            parts.append(f'<circle cx="{x}" cy="{y}" r="{_PIN}" fill="{colour}" {ring}/>')
        parts.append(text(x, y + 3.4, str(pin), 9.5, bold=True, fill=_text_colour(colour), anchor="middle"))
        side = -1 if pin % 2 else 1
        anchor = "end" if pin % 2 else "start"
        if pin in used:
            width = 7.2 * len(name) + 9
            near = x + side * 18
            parts.append(f'<rect x="{min(near, near + side * width):g}" y="{y - 8}" width="{width:g}" height="16" '
                         f'rx="4" fill="{colour}" stroke="{_darker(colour)}"/>')  # fmt: skip
            parts.append(
                text(near + side * 4, y + 3.8, name, 10.5, bold=True, fill=_text_colour(colour), anchor=anchor)
            )
        else:
            parts.append(text(x + side * 18, y + 3.6, name, 10, fill="#b9dcc8", anchor=anchor))
    return parts


def resistor(x: float, y: float) -> str:
    """A resistor of 330 ohms, 5 %: orange, orange, brown, gold; from `x` to the right, with its legs."""
    bands = ((26, "#f07f13", 9), (37, "#f07f13", 7), (47, "#7a3f16", 7), (62, "#c79a2b", 9))
    return (
        f'<g transform="translate({x:g} {y:g})"><path d="M0,0 H{RESISTOR_LENGTH}" stroke="{_METAL}" stroke-width="3"/>'
        '<path d="M18,0 C18,-12 32,-11 36,-7.5 H60 C64,-11 78,-12 78,0 C78,12 64,11 60,7.5 H36 C32,11 18,12 18,0 Z" '
        'fill="#ecd6a6" stroke="#a58b58"/>'
        + "".join(
            f'<rect x="{at}" y="{-half}" width="5.5" height="{2 * half}" fill="{colour}"/>'
            for at, colour, half in bands
        )
        + "</g>"
    )


def led(x: float, y: float, colour: str, *, cathode_right: bool, size: float = 1) -> str:
    """An LED whose legs end at height `y`: the long one LONG_LEG away, that of the flat side SHORT_LEG away."""
    dark = _darker(colour)
    legs = f'fill="none" stroke="{_METAL}" stroke-width="3"'
    return (
        f'<g transform="translate({x:g} {y:g}) scale({size if cathode_right else -size:g} {size:g})">'
        f'<circle cy="-40" r="29" fill="{colour}" opacity="0.13"/>'
        f'<path d="M-6,-20 V-4 Q-6,0 -10,0 H-{LONG_LEG}" {legs}/><path d="M6,-20 V-4 Q6,0 10,0 H{SHORT_LEG}" {legs}/>'
        f'<path d="M-13,-24 V-43 A13,13 0 0 1 13,-43 V-24 Z" fill="{colour}" stroke="{dark}"/>'
        f'<path d="M-8,-25 V-34 H-4 V-25 Z M1,-25 L-2,-38 H8 V-25 Z" fill="{dark}" opacity="0.55"/>'
        '<path d="M-8.5,-31 V-42 A9,9 0 0 1 -3,-50" fill="none" stroke="#ffffff" stroke-width="2.4" opacity="0.8" '
        'stroke-linecap="round"/>'
        f'<path d="M13,-25 H-14 Q-17,-25 -17,-22 V-18 H13 Z" fill="{colour}" stroke="{dark}"/></g>'
    )


def button(x: float, y: float) -> str:
    """A push-button from the side, whose contacts at `x` and BUTTON_LENGTH to the right are at height `y`."""
    legs = f'fill="none" stroke="{_METAL}" stroke-width="3"'
    right = BUTTON_LENGTH
    return (
        f'<g transform="translate({x:g} {y:g})"><path d="M0,0 H20 M{right - 20},0 H{right}" {legs}/>'
        f'<rect x="14" y="-16" width="{right - 28}" height="26" rx="3" fill="#3a4049" stroke="#1b1e23"/>'
        f'<rect x="{right / 2 - 9:g}" y="-26" width="18" height="10" rx="2" fill="#6b7280" stroke="#1b1e23"/>'
        f'<path d="M20,2 h8 m8,-9 h-16 m16,9 h8" transform="translate({right / 2 - 32:g} 0)" fill="none" '
        'stroke="#d7dce3" stroke-width="2"/></g>'
    )


def rgb_led(x: float, rows: Sequence[float], *, common: int) -> str:
    """An RGB LED that lies on its side with its legs to the left.

    Args:
        x: left edge of its body.
        rows: heights at which its legs end, from the top.
        common: index of the longest leg.
    """
    middle = (rows[0] + rows[-1]) / 2
    legs = "".join(
        f'<path d="M{x:g},{middle + 8 * (number - 1.5):g} h-10 L{x - 44:g},{row:g} '
        f'H{x - rgb_leg(number == common):g}" fill="none" stroke="{_METAL}" stroke-width="3"/>'
        for number, row in enumerate(rows)
    )
    return (
        f'{legs}<g transform="translate({x:g} {middle:g})"><circle cx="30" r="48" fill="#9aa7ff" opacity="0.10"/>'
        '<path d="M6,-21 H32 A21,21 0 0 1 32,21 H6 Z" fill="#f3f5fb" stroke="#8c949e"/>'
        '<circle cx="33" cy="-8" r="7" fill="#ff3b30" opacity="0.75"/><circle cx="26" cy="5" r="7" fill="#27c24c" '
        'opacity="0.75"/><circle cx="40" cy="5" r="7" fill="#2f6bff" opacity="0.75"/>'
        '<rect x="-2" y="-26" width="9" height="52" rx="2.5" fill="#e6e9f0" stroke="#8c949e"/></g>'
    )


def rgb_leg(longest: bool) -> float:
    """Distance from the body of an RGB LED to the end of a leg."""
    return 118 if longest else 84


def _darker(colour: str) -> str:
    return "#" + "".join(f"{int(int(colour[start : start + 2], 16) * 0.62):02x}" for start in (1, 3, 5))


def _text_colour(colour: str) -> str:
    """Colour of text that is readable on a colour."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#1b1e23" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
