"""Lights switched by hand, for `edge-mcnn lights test` and `set`: LEDs one by one, or lights drawn in the terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live

from device.errors import LightsError
from device.outputs.gpio.leds import GpioLeds, class_patterns, colour_of
from device.outputs.lights import light_kind
from device.outputs.terminal.prediction_rows import lights_row
from device.outputs.wiring.pinout import header_pin, pin_description
from device.settings.buttons import Button
from device.settings.leds import RGB
from device.settings.schema import LightsSettings


@dataclass(frozen=True)
class ManualLight:
    """A light that can be switched on alone."""

    name: str
    """Name of the class, or of a leg of the RGB LED."""
    description: str | None
    """What to look for elsewhere; None if the light is drawn on this terminal."""
    switch_on: Callable[[], None]
    """Switches this light on and every other one off. Does not wait."""


@contextmanager
def open_manual_lights(
    settings: LightsSettings, labels: Sequence[str], console: Console, buttons: Sequence[Button] = ()
) -> Iterator[tuple[Sequence[ManualLight], Sequence[ManualLight]]]:
    """The lights of the classes, and those that only a test of the wiring lights before them; all off at the end.

    LEDs come in the order of their pins on the header, in which the wiring diagram shows them; lights in the terminal,
    and the colours of an RGB LED, in the order of the classes.

    Args:
        settings: kind, pins, colours.
        labels: classes of the model.
        console: where lights in the terminal are drawn.
        buttons: buttons, none of which may have the pin of an LED.

    Raises:
        LightsError: the LEDs cannot be driven, a button has the pin of one, or the settings choose no lights.
    """
    kind = light_kind(settings)
    if kind == "none":
        raise LightsError("lights.kind is none", fix="add --lights gpio or --lights terminal")
    if kind == "gpio":
        leds = GpioLeds(settings, buttons=buttons)
        try:
            leds.open(labels)
            yield _class_lights(settings, labels, leds), _leg_lights(settings, leds)
        finally:
            leds.close(0)
        return
    with _drawn(labels, console) as drawn:
        yield drawn, ()


@contextmanager
def _drawn(labels: Sequence[str], console: Console) -> Iterator[list[ManualLight]]:
    if not console.is_terminal or console.is_dumb_terminal:
        yield [ManualLight(label, "", lambda: None) for label in labels]
        return

    def draw(label: str) -> Callable[[], None]:
        return lambda: live.update(lights_row(labels, label), refresh=True)

    with Live(lights_row(labels, None), console=console, auto_refresh=False) as live:
        try:
            yield [ManualLight(label, None, draw(label)) for label in labels]
        finally:
            live.update(lights_row(labels, None), refresh=True)


def _class_lights(settings: LightsSettings, labels: Sequence[str], leds: GpioLeds) -> list[ManualLight]:
    patterns = class_patterns(settings, labels)

    def hold(label: str) -> Callable[[], None]:
        return lambda: leds.hold(patterns[label])

    def description(label: str) -> str:
        return f"{colour_of(settings, label)}" if settings.rgb else pin_description(settings.pins[label])

    ordered = labels if settings.rgb else sorted(labels, key=lambda label: header_pin(settings.pins[label]))
    return [ManualLight(label, description(label), hold(label)) for label in ordered]


def _leg_lights(settings: LightsSettings, leds: GpioLeds) -> list[ManualLight]:
    def hold(leg: str) -> Callable[[], None]:
        return lambda: leds.hold(tuple(float(other == leg) for other in RGB))

    if not settings.rgb:
        return []
    ordered = sorted(RGB, key=lambda leg: header_pin(settings.rgb[leg]))
    return [ManualLight(leg, f"the leg at {pin_description(settings.rgb[leg])}", hold(leg)) for leg in ordered]
