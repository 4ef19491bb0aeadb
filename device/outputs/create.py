"""Creates the outputs that the settings and the options of `edge-mcnn listen` choose.

It imports each implementation only where it is used; no implementation imports this module.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from device.adaptation.profile_path import NO_PROFILE
from device.outputs.base import Light, Monitor, Output
from device.outputs.calm import Calm
from device.outputs.commands import Commands
from device.outputs.fan_out import Outputs
from device.outputs.lights import light_kind, usable_buttons
from device.settings.buttons import configured_buttons
from device.settings.schema import Settings

if TYPE_CHECKING:
    from device.outputs.terminal.screen import Screen


def create_outputs(
    settings: Settings,
    screen: Monitor | None,
    announce: Callable[[str], None],
    stop: Callable[[BaseException], None],
    commands: Commands,
    *,
    json: bool,
    words: bool,
    partial_lines: bool = False,
    events: Monitor | None = None,
) -> Outputs:
    """All outputs of the daemon.

    Args:
        settings: settings of the daemon.
        screen: the screen, if there is one; without it, standard output gets a line for each prediction, unless the
            settings choose no lights.
        announce: prints a line about what goes wrong and when it works again; called from any thread.
        stop: ends the daemon with an error; called from any thread.
        commands: what users may change while the daemon runs.
        json: whether the lines are JSON objects, whatever the lights.
        words: whether plain lines quote the words that were spoken.
        partial_lines: whether there are also JSON objects for an utterance that goes on.
        events: publishes what happens as it happens; None if nothing does.

    Raises:
        PublishingError: an output can never work with these settings.
    """
    kind = light_kind(settings.lights)
    light: Light | None = None
    others: list[Output] = []
    buttons = configured_buttons(settings)
    if kind == "gpio":
        from device.outputs.gpio.leds import GpioLeds

        light = GpioLeds(settings.lights, settings.mute, buttons, on_error=stop)
    if usable_buttons(settings):
        from device.outputs.gpio.buttons import Buttons

        others.append(Buttons(buttons, commands, announce, stop))
    elif buttons:
        names = " and ".join(map(str, buttons))
        announce(f"buttons: {names} cannot be used, because this machine is no Raspberry Pi")
    others += create_publishers(settings, announce, commands)
    if json or (screen is None and kind != "none"):
        from device.outputs.json_lines import LineOutput, as_line, as_plain_line

        ascii_only = sys.stdout is not None and not sys.stdout.encoding.lower().startswith("utf")
        line = partial(as_line, ascii_only=ascii_only) if json else partial(as_plain_line, words=words)
        others.append(LineOutput(line, announce, stop, sys.stdout, partial=json and partial_lines))
    monitors = [monitor for monitor in (screen, events) if monitor is not None]
    # Muted in the middle of a sentence: from the same moment on, a muted device shows nothing of it.
    calm, previews = Calm(settings.lights), settings.lights.preview
    return Outputs(light, monitors, others, calm, previews=previews, muted=lambda: commands.muted)


def create_publishers(
    settings: Settings, announce: Callable[[str], None], commands: Commands | None = None
) -> list[Output]:
    """The outputs that pass predictions on to other programs: those under `[mqtt]` and `[publish]`.

    Args:
        settings: settings of the daemon.
        announce: prints a line about what goes wrong and when it works again; called from any thread.
        commands: what users may change while the daemon runs; None if there is no daemon.

    Raises:
        PublishingError: one of them can never work with these settings.
    """
    found: list[Output] = []
    if settings.mqtt.host:
        from device.outputs.mqtt.output import MqttOutput

        found.append(MqttOutput(settings.mqtt, announce, commands))
    if settings.publish.command:
        from device.outputs.command import CommandOutput

        found.append(CommandOutput(settings.publish, announce))
    return found


def create_screen(settings: Settings, commands: Commands | None = None) -> "Screen | None":
    """The screen, if standard output is a terminal that can be drawn on and the settings choose any light.

    Args:
        settings: settings of the daemon.
        commands: what keys do; None to read no keys.
    """
    from device.system.streams.console import SafeConsole

    output = sys.stdout
    if (
        output is None
        or not output.isatty()
        or not SafeConsole().is_interactive
        or light_kind(settings.lights) == "none"
    ):
        return None
    from device.outputs.terminal.screen import Screen

    # Its own file: at the end of the process Python waits for `sys.stdout`, which a paused terminal (Ctrl-S) delays.
    own = os.fdopen(os.dup(output.fileno()), "w", encoding=output.encoding, errors="replace", newline="")
    console = SafeConsole(file=own, highlight=False)
    return Screen(
        console,
        gate_dbfs=settings.endpoint.gate_dbfs,
        hold_s=settings.lights.hold_s,
        commands=commands,
        learns=settings.classifier.profile != NO_PROFILE,
    )
