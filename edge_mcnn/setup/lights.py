"""`edge-mcnn lights test`, `set`, `off` and `wiring`.

From Python: `device.outputs.manual_lights`, `device.outputs.gpio.leds.switch_off`, `device.outputs.wiring`.
"""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from device.system.display import displayable
from device.system.signals import interrupted_by_signals
from edge_mcnn.options import Config, LightsByHand, ManualLights, Model, load_settings
from edge_mcnn.output import out
from edge_mcnn.paths import output_file

if TYPE_CHECKING:
    from device.outputs.manual_lights import ManualLight
    from device.settings.schema import Settings

lights_commands = typer.Typer(help="Test the lights, or show how to wire the LEDs.", no_args_is_help=True)


@lights_commands.command("test")
def light_each_command(
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, max=3600, help="Seconds that each light stays on.")
    ] = 1.0,
    lights: LightsByHand = None,
    model: Model = None,
    config: Config = None,
) -> None:
    """Switch on each LED in turn and print its name and pin.

    An RGB LED lights each of its three legs first, then shows the colour of each class. Ctrl-C switches everything
    off. Stop the service first, because it holds the pins: `sudo systemctl stop edge-mcnn`.

    Example: `edge-mcnn lights test --config /etc/edge-mcnn/config.toml`
    """
    from device.outputs.manual_lights import open_manual_lights
    from device.settings.buttons import configured_buttons

    settings, labels = _settings_and_labels(lights, model, config)
    buttons = configured_buttons(settings)
    console = out.console(highlight=False, soft_wrap=True)
    opened = open_manual_lights(settings.lights, labels, console, buttons)
    with interrupted_by_signals(), opened as (classes, legs):
        for light in (*legs, *classes):
            light.switch_on()
            _print_name(light, [each.name for each in (*legs, *classes)])
            threading.Event().wait(seconds)


@lights_commands.command("set")
def set_command(
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Class of the model, such as positive.")],
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0.1, max=86400, help="Seconds that the light stays on. Default: until Ctrl-C."),
    ] = None,
    lights: LightsByHand = None,
    model: Model = None,
    config: Config = None,
) -> None:
    """Switch on the light of one class until you press Ctrl-C.

    Example: `edge-mcnn lights set positive --seconds 5`
    """
    from device.errors import LightsError
    from device.outputs.manual_lights import open_manual_lights
    from device.settings.buttons import configured_buttons

    settings, labels = _settings_and_labels(lights, model, config)
    if label not in labels:
        raise LightsError(f"the model has no class {label!r}", fix=f"choose one of {', '.join(labels)}")
    console = out.console(highlight=False, soft_wrap=True)
    # Ctrl-C is the regular way to end this command.
    opened = open_manual_lights(settings.lights, labels, console, configured_buttons(settings))
    with contextlib.suppress(KeyboardInterrupt), interrupted_by_signals(), opened as (classes, _):
        light = next(light for light in classes if light.name == label)
        light.switch_on()
        _print_name(light, [label])
        threading.Event().wait(seconds)


@lights_commands.command("off")
def off_command(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing unless it fails, as the service needs it.")
    ] = False,
    model: Model = None,
    config: Config = None,
) -> None:
    """Switch off every LED of the model's classes, after a program was killed and left one on.

    A program that is killed or crashes cannot switch its LEDs off, and the kernel of a Raspberry Pi leaves them as
    they were. The service runs this command itself when it ends with an error; run it after `edge-mcnn listen` in a
    terminal was killed. It fails if a running program holds the pins.

    Example: `edge-mcnn lights off --config my.toml`
    """
    from device.bundle import bundle_path, read_bundle  # not open_bundle, which imports numpy
    from device.errors import BundleError
    from device.outputs.gpio.leds import switch_off
    from device.outputs.lights import light_kind
    from device.settings.buttons import configured_buttons
    from device.settings.leds import CLASS_PINS

    settings = load_settings(config, model=model)
    lights = settings.lights
    if (kind := light_kind(lights)) != "gpio":
        if not quiet:
            out.line(f"nothing to switch off: the lights on this machine are of the kind {kind}, not gpio")
        return
    try:
        labels = read_bundle(bundle_path(settings.classifier.model)).companions.labels
    except BundleError:
        labels = tuple(CLASS_PINS)  # a model that was removed may have left any of its LEDs on
    pins = switch_off(lights, labels, configured_buttons(settings))
    if not quiet:
        from device.outputs.wiring.pinout import header_pin, pin_description  # imports numpy

        width = max(map(len, pins), default=0)
        for name, pin in sorted(pins.items(), key=lambda each: header_pin(each[1])):
            out.line(f"off  {name:{width}}  {pin_description(pin)}")


@lights_commands.command("wiring")
def wiring_command(
    svg: Annotated[
        Path | None,
        typer.Option(
            "--svg",
            metavar="FILE.svg",
            parser=output_file(),
            help="Save the drawing to this file, for a browser or a printer.",
        ),
    ] = None,
    model: Model = None,
    config: Config = None,
) -> None:
    """Draw how to wire the LEDs, and the buttons in the settings, to the 40-pin header.

    The drawing shows pins, classes, resistors and ground.

    Example: `edge-mcnn lights wiring --config my.toml --svg wiring.svg`
    """
    from device.outputs.wiring.text import WIDTH, to_encoding, wiring
    from device.settings.buttons import configured_buttons

    if svg is not None and svg.suffix != ".svg":
        raise typer.BadParameter(f"--svg {svg}: the file name must end in .svg")
    settings, labels = _settings_and_labels(None, model, config)
    if svg is not None:
        _save(svg, settings, labels)
        return
    console = out.console(highlight=False)
    if not console.is_terminal:  # a file or a pager has room for the drawing
        console.width = max(console.width, WIDTH)
    with console.capture() as capture:
        console.print(wiring(settings.lights, labels, console.width, configured_buttons(settings)))
    out.rendered(to_encoding(capture.get(), console.encoding).removesuffix("\n"))


def _save(svg: Path, settings: "Settings", labels: Sequence[str]) -> None:
    from device.errors import LightsError
    from device.outputs.wiring.svg import wiring_svg
    from device.settings.buttons import configured_buttons
    from device.system.atomic_write import write_text
    from device.system.paths import explain

    drawing = wiring_svg(settings.lights, labels, configured_buttons(settings))
    try:
        write_text(svg, drawing)
    except OSError as error:
        fix = explain(error, svg).fix or "choose another file"
        raise LightsError(f"{svg}: cannot be written ({error.strerror})", fix=fix) from None
    out.line(f"saved {svg}")


def _settings_and_labels(
    lights: ManualLights | None, model: Path | None, config: Path | None
) -> tuple["Settings", Sequence[str]]:
    """Return the settings and the classes of the model."""
    from device.loading import open_bundle

    settings = load_settings(config, model=model, lights=lights)
    return settings, open_bundle(settings).companions.labels


def _print_name(light: "ManualLight", names: Sequence[str]) -> None:
    if light.description is not None:
        name, width = displayable(light.name), max(len(displayable(each)) for each in names)
        out.line(f"{name:{width}}  {light.description}".rstrip())
