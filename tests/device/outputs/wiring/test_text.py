"""The diagram in characters, compared with the header that gpiozero describes."""

from collections.abc import Sequence
from io import StringIO

import pytest
from gpiozero.pins.mock import MockFactory
from rich.console import Console

from device.errors import LightsError
from device.outputs.wiring.pinout import HEADER, header_pin
from device.outputs.wiring.text import WIDTH, to_encoding, wiring
from device.settings.buttons import Button
from device.settings.leds import HIGHEST_BCM_PIN
from device.settings.schema import LightsSettings

THREE = ("negative", "neutral", "positive")
SEVEN = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def drawn(
    settings: LightsSettings, labels: tuple[str, ...] = THREE, width: int = 80, buttons: Sequence[Button] = ()
) -> list[str]:
    output = StringIO()
    console = Console(file=output, width=width, color_system=None)
    console.print(wiring(settings, labels, width, buttons))
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    return lines


def row(lines: list[str], pin: int) -> str:
    """The line of the diagram with a pin of the header."""
    left = pin - 1 + pin % 2
    [line] = [line for line in lines if f" {left} \u25cf" in line or f" {left} \u25cb" in line]
    return line


def test_the_header_is_that_of_a_raspberry_pi() -> None:
    header = MockFactory().board_info.headers["J8"]
    for number, name in enumerate(HEADER, 1):
        assert header.pins[number].name == name, number
    assert sorted(header_pin(bcm) for bcm in range(HIGHEST_BCM_PIN + 1)) == sorted(
        number for number, name in enumerate(HEADER, 1) if name.startswith("GPIO")
    )


def test_every_led_of_the_defaults() -> None:
    lines = drawn(LightsSettings())
    assert row(lines, 11) == "    positive GND\u2500|\u25c1\u2500[330 \u03a9]\u2500GPIO17 11 \u25cf \u25cb 12 GPIO18"
    assert row(lines, 13).startswith("     neutral GND\u2500|\u25c1\u2500[330 \u03a9]\u2500GPIO27 13 \u25cf")
    assert row(lines, 15).startswith("    negative GND\u2500|\u25c1\u2500[330 \u03a9]\u2500GPIO22 15 \u25cf")
    assert row(lines, 9).startswith("    all LEDs \u2500")
    assert sum(line.count("\u25cf") for line in lines) == 4
    assert sum(line.count("\u25cb") for line in lines) == 36
    assert "pin 11  GPIO17  330 \u03a9  long leg of positive" in lines
    assert "pin  9  GND            short legs of all LEDs" in lines


def test_a_pin_on_the_right() -> None:
    lines = drawn(LightsSettings(pins={**LightsSettings().pins, "neutral": 18}))
    assert row(lines, 12).endswith("\u25cf \u25cf 12 GPIO18\u2500[330 \u03a9]\u2500\u25b7|\u2500GND neutral")


def test_leds_connected_to_3_3_volts_are_turned_round() -> None:
    lines = drawn(LightsSettings(pins={**LightsSettings().pins, "neutral": 18}, common="anode"))
    assert row(lines, 11).startswith("    positive 3V3\u2500\u25b7|\u2500[330 \u03a9]\u2500GPIO17 11 \u25cf")
    assert row(lines, 12).endswith("12 GPIO18\u2500[330 \u03a9]\u2500|\u25c1\u25003V3 neutral")
    assert "3V3 17 \u25cf" in row(lines, 17)
    assert "pin 11  GPIO17  330 \u03a9  short leg of positive" in lines
    assert "pin 17  3V3            long legs of all LEDs" in lines


@pytest.mark.parametrize(("common", "pin"), [("cathode", 9), ("anode", 17)])
def test_an_rgb_led(common: str, pin: int) -> None:
    lines = drawn(LightsSettings(rgb={"red": 17, "green": 27, "blue": 22}, common=common))
    for header, leg in [(11, "red"), (13, "green"), (15, "blue")]:
        assert row(lines, header).startswith(
            f"{leg:>12} \u2500\u2500\u2500\u2500[330 \u03a9]\u2500\u2500\u2500\u2500GPIO"
        )
    assert row(lines, pin).startswith(f"{common:>12} \u2500")
    assert sum(line.count("\u25cf") for line in lines) == 4
    assert lines[-1] == "Colours: negative red, neutral white, positive green."


def test_seven_classes_and_long_names() -> None:
    pins = {label: pin for pin, label in enumerate(SEVEN, 20)}
    lines = drawn(LightsSettings(pins={**pins, "positive": 17}), SEVEN)
    assert sum(line.count("\u25cf") for line in lines) == 8
    assert not any("positive" in line for line in lines), "not a class of this model"
    long = "so tired that nothing helps"
    lines = drawn(LightsSettings(pins={"a": 4, long: 17}), ("a", long))
    assert row(lines, 11).startswith("so tired th. GND")
    assert f"pin 11  GPIO17  330 \u03a9  long leg of {long}" in lines


def test_the_seven_emotions_have_default_pins() -> None:
    lines = drawn(LightsSettings(), SEVEN)
    assert sum(line.count("\u25cf") for line in lines) == 8
    assert "pin 16  GPIO23  330 \u03a9  long leg of joy" in lines


def test_brackets_in_a_name_are_not_markup() -> None:
    lines = drawn(LightsSettings(pins={"[/red]": 4, "[bold]": 17}), ("[/red]", "[bold]"))
    assert row(lines, 11).startswith("      [bold] GND")
    assert any(line.endswith("long leg of [/red]") for line in lines)


def test_a_narrow_terminal_gets_the_words() -> None:
    lines = drawn(LightsSettings(), width=WIDTH - 1)
    assert not any("\u25cf" in line for line in lines)
    assert "pin 11  GPIO17  330 \u03a9  long leg of positive" in lines


def test_an_encoding_with_few_characters() -> None:
    text = "\n".join(drawn(LightsSettings()))
    assert to_encoding(text, "utf-8") == text
    for poor in ("ascii", "latin-1", "no such encoding"):
        assert to_encoding(text, poor).isascii()
        assert "    positive GND-|<-[330 R]-GPIO17 11 * o 12 GPIO18" in to_encoding(text, poor)


def test_classes_without_a_pin_or_colour() -> None:
    with pytest.raises(LightsError) as caught:
        wiring(LightsSettings(pins={"neutral": 27}), SEVEN, 80)
    assert caught.value.message == "no pin for anger, disgust, fear, joy, sadness, surprise"
    with pytest.raises(LightsError) as caught:
        wiring(LightsSettings(rgb={"red": 1, "green": 2, "blue": 3}), ("joy", "tired"), 80)
    assert caught.value.message == "no colour for tired"
    assert caught.value.fix.startswith('write colours = { tired = "red" } under [lights]')


def test_a_button_to_ground_and_one_to_3_3_volts() -> None:
    lines = drawn(LightsSettings(), buttons=[Button("mute", 23, "low"), Button("learn", 26, "high")])
    assert row(lines, 16).endswith("\u25cf 16 GPIO23\u2500\u2500[button]\u2500\u2500GND mute")
    assert row(lines, 37).startswith("that was wr. 3V3\u2500\u2500[button]\u2500\u2500GPIO26 37 \u25cf")
    assert row(lines, 14).endswith("\u25cf 14 GND" + 18 * "\u2500" + " buttons")
    assert row(lines, 17).startswith("     buttons " + 18 * "\u2500" + "3V3 17 \u25cf")
    assert sum(line.count("\u25cf") for line in lines) == 8
    assert lines[-8:] == [
        "pin 15  GPIO22  330 \u03a9  long leg of negative",
        "pin  9  GND            short legs of all LEDs",
        "pin 16  GPIO23         one side of the button: mute",
        "pin 14  GND            other side of the button: mute",
        "pin 37  GPIO26         one side of the button: that was wrong",
        "pin 17  3V3            other side of the button: that was wrong",
        "",
        "A button needs no resistor. If it has four legs, use two at opposite corners.",
    ]


def test_two_buttons_share_a_ground_that_no_led_has() -> None:
    buttons = [Button("mute", 18, "low"), Button("learn", 15, "low")]
    lines = drawn(LightsSettings(pins=dict(zip(THREE, (14, 4, 17), strict=True))), buttons=buttons)
    assert "pin  9  GND            short legs of all LEDs" in lines
    assert "pin 14  GND            other side of the buttons: that was wrong, mute" in lines
    assert to_encoding(row(lines, 12), "ascii").endswith("* 12 GPIO18--[button]--GND mute")


def test_without_buttons_the_diagram_mentions_none() -> None:
    assert not any("button" in line for line in drawn(LightsSettings()))


def test_a_class_with_the_name_of_a_button() -> None:
    lines = drawn(LightsSettings(pins={"mute": 17, "b": 27}), ("mute", "b"), buttons=[Button("mute", 23, "low")])
    assert "pin 11  GPIO17  330 \u03a9  long leg of mute" in lines
    assert "pin 16  GPIO23         one side of the button: mute" in lines


def test_a_button_on_the_pin_of_an_led() -> None:
    with pytest.raises(LightsError, match=r"^GPIO17 belongs to the LED of positive and to the button of \[mute\]"):
        wiring(LightsSettings(), THREE, 80, [Button("mute", 17, "low")])
