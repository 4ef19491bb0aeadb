"""The commands `edge-mcnn lights ...`; what they do can be called in `device.showing`."""

import contextlib
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from device.outputs.gpio.manual import Lamp
    from device.settings.schema import LightsSettings

lights = typer.Typer(help="Try the lights, or see how to wire the LEDs.", no_args_is_help=True)


class Kind(StrEnum):
    """Values of `--lights`."""

    GPIO = "gpio"
    TERMINAL = "terminal"


_Model = Annotated[
    Path | None, typer.Option("--model", help="The bundle whose classes are shown. Default: the one that ships.")
]
_Config = Annotated[
    Path | None, typer.Option("--config", help="Settings in a TOML file; the service's: /etc/edge-mcnn/config.toml.")
]
_Lights = Annotated[
    Kind | None, typer.Option("--lights", help="LEDs on the GPIO pins, or lights drawn here. Default: as in `listen`.")
]


@lights.command("test")
def each_command(
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=3600, help="How long each is on.")] = 1.0,
    lights: _Lights = None,
    model: _Model = None,
    config: _Config = None,
) -> None:
    """Light each LED in turn and name it; Ctrl-C switches off.

    An RGB LED shows its three legs first, then the colour of each class. The service must not run meanwhile, since it
    has the pins: sudo systemctl stop edge-mcnn.
    """
    from rich.console import Console

    from device.outputs.gpio.manual import open_lamps

    settings, labels = _wanted(lights, model, config)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    _end_at_sigterm()
    with open_lamps(settings, labels, console) as (classes, legs):
        for lamp in (*legs, *classes):
            lamp.light()
            _name(lamp, [each.name for each in (*legs, *classes)])
            threading.Event().wait(seconds)


@lights.command("set")
def set_command(
    label: Annotated[str, typer.Argument(help="A class of the model.")],
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.1, max=86400, help="For so long. Default: until Ctrl-C.")
    ] = None,
    lights: _Lights = None,
    model: _Model = None,
    config: _Config = None,
) -> None:
    """Switch the light of one class on, and off again at Ctrl-C."""
    from rich.console import Console

    from device.errors import LightsError
    from device.outputs.gpio.manual import open_lamps

    settings, labels = _wanted(lights, model, config)
    if label not in labels:
        raise LightsError(f"there is no class {label!r}; the model knows {', '.join(labels)}")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    _end_at_sigterm()
    # Ctrl-C is how it is meant to end.
    with contextlib.suppress(KeyboardInterrupt), open_lamps(settings, labels, console) as (classes, _):
        lamp = classes[labels.index(label)]
        lamp.light()
        _name(lamp, [label])
        threading.Event().wait(seconds)


@lights.command("wiring")
def wiring_command(
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE.svg", help="Draw it into a file, as a picture for a browser or to print."),
    ] = None,
    model: _Model = None,
    config: _Config = None,
) -> None:
    """Draw the 40-pin header and what hangs on it: pins, classes, resistors, ground.

    edge-mcnn lights wiring --config my.toml --svg wiring.svg
    """
    from rich.console import Console

    from device.outputs.wiring.text import WIDTH, plain, wiring

    if svg is not None and svg.suffix != ".svg":
        raise typer.BadParameter(f"--svg {svg}: the name of a picture ends in .svg")
    settings, labels = _wanted(None, model, config)
    if svg is not None:
        _save(svg, settings, labels)
        return
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pager has room for the picture
        console.width = max(console.width, WIDTH)
    with console.capture() as capture:
        console.print(wiring(settings, labels, console.width))
    print(plain(capture.get(), console.encoding), end="")


def _save(svg: Path, settings: "LightsSettings", labels: Sequence[str]) -> None:
    from device.errors import LightsError
    from device.outputs.wiring.svg import wiring_svg

    picture = wiring_svg(settings, labels)
    try:
        svg.write_text(picture, "utf-8")
    except OSError as error:
        raise LightsError(f"{svg}: cannot be written ({error.strerror}); name another file") from None
    print(f"saved {svg}")


def _wanted(kind: Kind | None, model: Path | None, config: Path | None) -> tuple["LightsSettings", Sequence[str]]:
    """Settings of the lights, and the classes of the model."""
    from device.loading import open_bundle
    from device.settings.toml import read_settings

    settings = read_settings(config, os.environ)
    if model is not None:
        settings = replace(settings, classifier=replace(settings.classifier, model=str(model)))
    if kind is not None:
        settings = replace(settings, lights=replace(settings.lights, kind=kind.value))
    return settings.lights, open_bundle(settings).companions.labels


def _name(lamp: "Lamp", names: Sequence[str]) -> None:
    if lamp.told is not None:
        print(f"{lamp.name:{max(map(len, names))}}  {lamp.told}".rstrip(), flush=True)


def _end_at_sigterm() -> None:
    """As at Ctrl-C, so that no LED stays on."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
