"""The SVG diagram: every wire is followed from its pin to its end."""

import math
import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.errors import LightsError
from device.outputs.wiring.pinout import HEADER, RESISTOR, connections, header_pin
from device.outputs.wiring.svg import wiring_svg
from device.settings.buttons import Button
from device.settings.leds import CLASS_COLOURS, RGB
from device.settings.schema import LightsSettings

SVG = "{http://www.w3.org/2000/svg}"
THREE = ("negative", "neutral", "positive")
SEVEN = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
PITCH = 28.0
PIN_RADIUS = 9.0
STEP = 3.0
"""Approximate length of the steps in which a path is followed."""
BOARD_RIGHT = 242.0
WIRE = 6.0
"""Thickness of a wire, with its edge."""

Point = tuple[float, float]


class Diagram:
    """The visible parts of the file."""

    def __init__(self, of: LightsSettings, labels: tuple[str, ...], buttons: Sequence[Button] = ()) -> None:
        self.root = ET.fromstring(wiring_svg(of, labels, buttons))  # noqa: S314  # our own output
        self.texts = [(float(e.get("x", "nan")), float(e.get("y", "nan")), "".join(e.itertext()), e)
                      for e in self.root.iter(f"{SVG}text")]  # fmt: skip
        self.places = {int(text): (x, y - 3.4) for x, y, text, e in self.texts if e.get("font-size") == "9.5"}
        """Centre of each pin by its printed number."""
        self.wires = [points(e.get("d", "")) for e in self.root.iter(f"{SVG}path") if e.get("class") == "wire"]
        self.from_header = {self._pin(wire[0]): wire for wire in self.wires if self._pin(wire[0])}

    def _pin(self, start: Point) -> int:
        return next((pin for pin, place in self.places.items() if math.dist(start, place) < 1), 0)

    def at(self, y: float) -> list[str]:
        """Texts at this height beside the board, from left to right."""
        texts = sorted((x, text) for x, height, text, _ in self.texts if abs(height - y) < 0.1 and x > BOARD_RIGHT)
        return [text for _, text in texts]


def points(path: str) -> list[Point]:
    """Points of a path of M, H, V, h, C and c commands, in short steps."""
    found: list[Point] = []
    for command, arguments in re.findall(r"([MHVhCc])([^MHVhCc]*)", path):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arguments)]
        x, y = found[-1] if found else (0.0, 0.0)
        if command == "M":
            found.append((numbers[0], numbers[1]))
            continue
        if command in "Cc":
            base = (x, y) if command == "c" else (0.0, 0.0)
            curve = [(x, y), *((base[0] + a, base[1] + b) for a, b in zip(numbers[::2], numbers[1::2], strict=True))]
        else:
            end = {"H": (numbers[0], y), "V": (x, numbers[0]), "h": (x + numbers[0], y)}[command]
            curve = [(x + (end[0] - x) * third / 3, y + (end[1] - y) * third / 3) for third in range(4)]
        steps = max(2, int(sum(math.dist(a, b) for a, b in pairwise(curve)) / STEP))
        for step in range(1, steps + 1):
            t = step / steps
            shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            found.append((sum(s * p[0] for s, p in zip(shares, curve, strict=True)),
                          sum(s * p[1] for s, p in zip(shares, curve, strict=True))))  # fmt: skip
    return found


def distances(one: list[Point], other: list[Point]) -> NDArray[np.float64]:
    """Distance of each point of one line to the nearest point of the other."""
    between = np.asarray(one)[:, None] - np.asarray(other)[None]
    nearest: NDArray[np.float64] = np.hypot(between[..., 0], between[..., 1]).min(axis=1)
    return nearest


@st.composite
def pins(draw: st.DrawFn) -> dict[str, int]:
    chosen = draw(st.lists(st.integers(0, 27), min_size=2, max_size=9, unique=True))
    return {f"class {number}": pin for number, pin in enumerate(chosen)}


@settings(max_examples=25, deadline=None)
@given(pins(), st.sampled_from(["cathode", "anode"]))
def test_each_wire_leads_from_its_pin_to_its_led_and_hides_no_other(pins: dict[str, int], common: str) -> None:
    of = LightsSettings(pins=pins, common=common)
    diagram = Diagram(of, tuple(pins))
    shared = connections(of, tuple(pins)).common
    assert set(diagram.from_header) == {shared, *(header_pin(pin) for pin in pins.values())}
    for label, pin in pins.items():
        end = diagram.from_header[header_pin(pin)][-1][1]
        assert diagram.at(end - 30) == [label]
        assert diagram.at(end - 11)[-1] == f"GPIO{pin}, pin {header_pin(pin)}"
        assert diagram.at(end - 16) == [RESISTOR]
    assert HEADER[shared - 1] == {"cathode": "GND", "anode": "3V3"}[common]
    end = diagram.from_header[shared][-1][1]
    assert diagram.at(end - 3)[-1] == {"cathode": "ground", "anode": "3.3 V"}[common]
    assert diagram.at(end + 16)[-1] == f"{HEADER[shared - 1]}, pin {shared}"
    for one, other in combinations(diagram.from_header.values(), 2):
        assert distances(one, other).min() > WIRE
    for pin, wire in diagram.from_header.items():
        others = [diagram.places[other] for other in range(1, 41) if other != pin]
        assert distances(others, wire).min() > PIN_RADIUS + WIRE / 2, "touches a pin"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 27), min_size=5, max_size=11, unique=True),
    st.sampled_from(["cathode", "anode"]),
    st.sampled_from(["low", "high"]),
    st.sampled_from(["low", "high"]),
    st.booleans(),
)
def test_each_button_leads_to_ground_or_3_3_volts(
    pins: list[int], common: str, mute: str, learn: str, rgb: bool
) -> None:
    buttons = [Button("mute", pins[0], mute), Button("learn", pins[1], learn)]
    labels = tuple(f"class {number}" for number in pins[2:])
    of = LightsSettings(
        common=common, pins=dict(zip(labels, pins[2:], strict=True)), colours=dict.fromkeys(labels, "red"),
        rgb=dict(zip(RGB, pins[2:5], strict=True)) if rgb else {},
    )  # fmt: skip
    found = connections(of, labels, buttons)
    diagram = Diagram(of, labels, buttons)
    assert len({found.common, *(group.common for group in found.buttons)}) == len(found.buttons) + 1, (
        "no wire is shared"
    )
    assert set(diagram.from_header) == {
        *found.ends, found.common, *found.named, *(group.common for group in found.buttons),
    }  # fmt: skip
    for group in found.buttons:
        name = HEADER[group.common - 1]
        assert (name == "GND") == (
            group.ends == {header_pin(each.pin): each.name for each in buttons if each.active == "low"}
        )
        ends = {pin: diagram.from_header[pin][-1][1] for pin in (*group.ends, group.common)}
        for pin, end in ends.items():
            label = group.ends.get(pin, {"GND": "ground", "3V3": "3.3 V"}[name])
            assert diagram.at(end - 3)[-1] == label
            assert diagram.at(end + 16)[-1] == f"{HEADER[pin - 1]}, pin {pin}"
        [rail] = [
            wire for wire in diagram.wires
            if wire[0][0] == wire[-1][0] and (wire[0][1], wire[-1][1]) == (min(ends.values()), max(ends.values()))
        ]  # fmt: skip
        joined = [wire for wire in diagram.wires if wire[-1][0] == rail[0][0] and wire[0][1] == wire[-1][1]]
        assert {*ends.values()} <= {wire[0][1] for wire in joined}, "each one reaches the shared wire"
    for one, other in combinations(diagram.from_header.values(), 2):
        assert np.mean(distances(one, other) < WIRE) < 0.4, "they may cross, not run along each other"
    height = float(diagram.root.get("height", ""))
    [legend] = [e for e in diagram.root.iter(f"{SVG}rect") if e.get("stroke") == "#d0d7de"]
    left, top, wide, high = (float(legend.get(name, "")) for name in ("x", "y", "width", "height"))
    for x, y in (point for wire in diagram.wires for point in wire):
        assert 0 < y < height
        assert x <= left or not top - 20 < y < top + high + 24 or x > left + wide
    description = diagram.root.findtext(f"{SVG}desc") or ""
    assert description.count("Pin ") == len(diagram.from_header)
    assert "to one side of the button: that was wrong." in description


def test_groups_are_stacked_so_that_no_led_is_behind_a_button() -> None:
    """In each group one wire is below the other; the groups are as far apart as their parts are high."""
    diagram = Diagram(LightsSettings(), THREE, [Button("mute", 4, "low"), Button("learn", 24, "high")])
    rows = sorted((wire[-1][1], pin) for pin, wire in diagram.from_header.items())
    leds = {header_pin(pin) for pin in (17, 27, 22)}
    for (above, _), (below, pin) in pairwise(rows):
        assert below - above >= (84 if pin in leds else 36)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 27), min_size=3, max_size=3, unique=True), st.sampled_from(["cathode", "anode"]))
def test_the_legs_of_an_rgb_led(pins: list[int], common: str) -> None:
    of = LightsSettings(rgb=dict(zip(RGB, pins, strict=True)), common=common)
    found = connections(of, THREE)
    diagram = Diagram(of, THREE)
    ends = {found.ends.get(pin, "common"): wire[-1][1] for pin, wire in diagram.from_header.items()}
    order = sorted(ends, key=lambda end: ends[end])
    assert order in (["red", "common", "green", "blue"], ["blue", "green", "common", "red"])
    reach = {end: max(x for wire in diagram.wires for x, y in wire if y == wire[0][1] == row)
             for end, row in ends.items()}  # fmt: skip
    assert reach["common"] < min(reach[leg] for leg in RGB), "the longest leg meets its wire first"
    for one, other in combinations(diagram.from_header.values(), 2):
        along = STEP * np.count_nonzero(distances(one, other) < WIRE)
        assert along < 90, "they may cross, not run along each other"
    for end, row in ends.items():
        assert (diagram.at(row - 16) == [RESISTOR]) == (end != "common")


@pytest.mark.parametrize(("red", "blue", "first"), [(17, 22, "red"), (22, 17, "blue")])
def test_an_rgb_led_is_turned_so_that_fewer_wires_cross(red: int, blue: int, first: str) -> None:
    of = LightsSettings(rgb={"red": red, "green": 27, "blue": blue})
    diagram = Diagram(of, THREE)
    found = connections(of, THREE)
    upper = min(diagram.from_header, key=lambda pin: diagram.from_header[pin][-1][1])
    assert found.ends[upper] == first
    wires = diagram.from_header.values()
    crossings = sum((a[0][1] - b[0][1]) * (a[-1][1] - b[-1][1]) < 0 for a, b in combinations(wires, 2))
    assert crossings == {"red": 1, "blue": 2}[first]


def test_the_wire_to_ground_is_black() -> None:
    for common, colour in (("cathode", "#2b2f36"), ("anode", "#9c2a1f")):
        of = LightsSettings(common=common)
        paths = [e for e in Diagram(of, THREE).root.iter(f"{SVG}path") if e.get("class") == "wire"]
        x, y = Diagram(of, THREE).places[connections(of, THREE).common]
        [shared] = [e for e in paths if (e.get("d") or "").startswith(f"M{x:g},{y:g} ")]
        assert shared.get("stroke") == colour


def test_leds_at_the_lower_end_do_not_make_the_diagram_higher() -> None:
    high, low = (Diagram(LightsSettings(pins={"a": a, "b": b}), ("a", "b")) for a, b in ((4, 17), (20, 21)))
    assert high.root.get("height") == low.root.get("height")


def test_the_header_is_seen_from_above() -> None:
    diagram = Diagram(LightsSettings(), THREE)
    for pin, name in enumerate(HEADER, 1):
        x, y = diagram.places[pin]
        assert (x, y) == (diagram.places[1 if pin % 2 else 2][0], diagram.places[1][1] + (pin - 1) // 2 * PITCH)
        [side] = {name_x > x for name_x, name_y, text, _ in diagram.texts if text == name and abs(name_y - y - 3.7) < 1
                  and abs(name_x - x) < PITCH}  # fmt: skip
        assert side == (pin % 2 == 0), "inner names to the left, outer ones at the board's edge"
    [card] = [y for _, y, text, _ in diagram.texts if text == "microSD card"]
    [usb, _] = [y for _, y, text, _ in diagram.texts if text == "USB"]
    assert card < diagram.places[1][1] < diagram.places[39][1] < usb
    [mark] = [x for x, y, text, _ in diagram.texts if text == "pin 1"]
    assert mark == diagram.places[1][0]


def test_the_bands_of_the_resistor_match_its_value() -> None:
    diagram = Diagram(LightsSettings(), THREE)
    value = {"#f07f13": 3, "#7a3f16": 1}  # orange, brown
    bands = [e.get("fill", "") for e in diagram.root.iter(f"{SVG}rect") if e.get("width") == "5.5"]
    assert len(bands) == 4 * 4, "three resistors, and one in the legend"
    tens, ones, power, tolerance = bands[:4]
    assert f"{(10 * value[tens] + value[ones]) * 10 ** value[power]} \u03a9" == RESISTOR
    assert tolerance not in value


@pytest.mark.parametrize(("common", "sign"), [("cathode", "1"), ("anode", "-1")])
def test_the_flat_side_is_where_the_current_leaves(common: str, sign: str) -> None:
    """An LED has its long leg at the left, where the resistor is; with a common anode it is turned round."""
    diagram = Diagram(LightsSettings(common=common), THREE)
    turned = re.findall(r"scale\((-?1) 1\)", ET.tostring(diagram.root, "unicode"))
    assert turned == [sign] * 3
    texts = [text for _, _, text, _ in diagram.texts]
    at = texts.index("to the resistor and its pin")
    assert texts[at - 1] == {"cathode": "Long leg:", "anode": "Short leg, flat side:"}[common]
    assert texts[at + 1] == {"cathode": "Short leg, flat side:", "anode": "Long leg:"}[common]
    assert texts[at + 2] == {"cathode": "to ground", "anode": "to 3.3 V"}[common]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), min_size=2, max_size=5, unique=True))
def test_any_names(labels: list[str]) -> None:
    pins = {label: number + 5 for number, label in enumerate(labels)}
    for of in (LightsSettings(pins=pins), LightsSettings(rgb={"red": 1, "green": 2, "blue": 3},
                                                         colours=dict.fromkeys(labels, "red"))):  # fmt: skip
        diagram = Diagram(of, tuple(labels))
        assert diagram.root.tag == f"{SVG}svg"
        title, description = (diagram.root.find(f"{SVG}{name}") for name in ("title", "desc"))
        assert title is not None and title.text and title.text.startswith("Wiring of ")  # noqa: PT018  # for mypy
        assert description is not None
        assert (description.text or "").count("Pin ") == len(diagram.from_header)


def test_names_are_escaped_and_long_ones_shortened() -> None:
    long = "so tired that nothing at all helps, not even coffee"
    labels = ("<b>&amp;\"'", long, "\u6096\u3057\u3044")
    diagram = Diagram(LightsSettings(pins=dict(zip(labels, (17, 27, 22), strict=True))), labels)
    texts = [text for _, _, text, _ in diagram.texts]
    assert "<b>&amp;\"'" in texts
    assert "so tired that nothing at all he\u2026" in texts
    assert "\u6096\u3057\u3044" in texts
    description = diagram.root.findtext(f"{SVG}desc") or ""
    assert f"Pin 13, GPIO27: through 330 \u03a9 to the long leg of {long}." in description
    assert "Pin 9, GND: to the short legs of all LEDs." in description


def test_a_button_on_the_pin_of_an_led() -> None:
    with pytest.raises(LightsError, match=r"^GPIO27 belongs to the LED of neutral and to the button of \[mute\]"):
        wiring_svg(LightsSettings(), THREE, [Button("mute", 27, "low")])


@pytest.mark.parametrize("rgb", [{}, {"red": 17, "green": 27, "blue": 22}, {"red": 26, "green": 20, "blue": 21}])
@pytest.mark.parametrize(
    "pins", [(17, 27), (21, 20), (2, 21), (4, 17, 27, 22, 10, 9, 11), (5, 6, 13, 19, 26), range(28)]
)
def test_everything_is_inside_the_diagram_and_nothing_behind_the_legend(
    rgb: dict[str, int], pins: Sequence[int]
) -> None:
    labels = tuple(f"{number} of some classes" for number in range(len(pins)))
    of = LightsSettings(pins=dict(zip(labels, pins, strict=True)), rgb=rgb, colours=dict.fromkeys(labels, "#804000"))
    diagram = Diagram(of, labels)
    width, height = (float(diagram.root.get(side, "")) for side in ("width", "height"))
    [legend] = [e for e in diagram.root.iter(f"{SVG}rect") if e.get("stroke") == "#d0d7de"]
    left, top, wide, high = (float(legend.get(name, "")) for name in ("x", "y", "width", "height"))
    for wire in diagram.wires:
        for x, y in wire:
            assert 0 < x < width
            assert 0 < y < height
            assert x <= left or not top - 20 < y < top + high + 70 or x > left + wide, "an LED is 70 high"
    named = [(x, y, text) for x, y, text, _ in diagram.texts if text in labels]
    assert len(named) == len(labels)
    for x, y, text in named:
        assert x + 8 * len(text) < width
        assert y < top or y > top + high + 16
        assert y < height
    if rgb:
        assert sum(e.get("fill") == "#804000" for e in diagram.root.iter(f"{SVG}circle")) == len(labels)


def test_colours_of_the_classes() -> None:
    fills = [e.get("fill") for e in Diagram(LightsSettings(rgb={"red": 1, "green": 2, "blue": 3}), SEVEN).root.iter()]
    assert CLASS_COLOURS["fear"] == "magenta"
    assert "#ff00ff" in fills


def test_classes_without_a_pin() -> None:
    with pytest.raises(LightsError) as caught:
        wiring_svg(LightsSettings(pins={"neutral": 27}), SEVEN)
    assert caught.value.message.startswith("no pin for anger")
    assert caught.value.fix.startswith("write pins = ")
