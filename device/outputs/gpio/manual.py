"""Lights switched by hand, to try them: LEDs one by one, or lamps drawn in the terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live

from device.errors import LightsError
from device.outputs.gpio.leds import GpioLights, colour_of, patterns
from device.outputs.lights import kind_of
from device.outputs.terminal.prediction_rows import lamps
from device.outputs.wiring.pinout import where
from device.settings.leds import RGB
from device.settings.schema import LightsSettings


@dataclass(frozen=True)
class Lamp:
    """Something that can be lit by itself."""

    name: str
    """Of the class, or of a leg of the RGB LED."""
    told: str | None
    """What is to be seen elsewhere; None if it is drawn on this terminal."""
    light: Callable[[], None]
    """Light it and nothing else. Does not wait."""


@contextmanager
def open_lamps(
    settings: LightsSettings, labels: Sequence[str], console: Console
) -> Iterator[tuple[Sequence[Lamp], Sequence[Lamp]]]:
    """The lamps, dark at the end: those of the classes, and those that only a test of the wiring lights before them.

    Args:
        settings: kind, pins, colours.
        labels: classes of the model.
        console: where lights in the terminal are drawn.

    Raises:
        LightsError: the LEDs cannot be driven, or there are to be no lights.
    """
    kind = kind_of(settings)
    if kind == "none":
        raise LightsError("lights.kind is none; say --lights gpio or --lights terminal")
    if kind == "gpio":
        with GpioLights(settings, labels) as leds:
            yield _of_classes(settings, labels, leds), _of_legs(settings, leds)
        return
    with _drawn(labels, console) as drawn:
        yield drawn, ()


@contextmanager
def _drawn(labels: Sequence[str], console: Console) -> Iterator[list[Lamp]]:
    if not console.is_terminal or console.is_dumb_terminal:
        yield [Lamp(label, "", lambda: None) for label in labels]
        return

    def lit(label: str) -> Callable[[], None]:
        return lambda: live.update(lamps(labels, label), refresh=True)

    with Live(lamps(labels, None), console=console, auto_refresh=False) as live:
        try:
            yield [Lamp(label, None, lit(label)) for label in labels]
        finally:
            live.update(lamps(labels, None), refresh=True)


def _of_classes(settings: LightsSettings, labels: Sequence[str], leds: GpioLights) -> list[Lamp]:
    def lit(label: str) -> Callable[[], None]:
        return lambda: leds.hold(patterns(settings, labels)[label])

    def told(label: str) -> str:
        return f"{colour_of(settings, label)}" if settings.rgb else where(settings.pins[label])

    return [Lamp(label, told(label), lit(label)) for label in labels]


def _of_legs(settings: LightsSettings, leds: GpioLights) -> list[Lamp]:
    def lit(leg: str) -> Callable[[], None]:
        return lambda: leds.hold(tuple(float(other == leg) for other in RGB))

    return [Lamp(leg, f"the leg at {where(settings.rgb[leg])}", lit(leg)) for leg in RGB] if settings.rgb else []
