"""`edge-mcnn listen`. From Python: `device.daemon.daemon`."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_mcnn.options import Config, Json, Lights, Microphone, Model, limit_arithmetic_threads, load_settings
from edge_mcnn.output import out

if TYPE_CHECKING:
    from device.loading import LoadedModels
    from device.outputs.lights import Lights as OpenLights
    from device.outputs.terminal.screen import Screen
    from device.settings.schema import Settings


def listen_command(
    microphone: Microphone = None,
    lights: Lights = None,
    json: Json = False,
    words: Annotated[
        bool,
        typer.Option("--words", help="Include the transcript in plain output; a terminal always shows it."),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="If there is no microphone, wait until one is plugged in, as the service does."),
    ] = False,
    model: Model = None,
    config: Config = None,
) -> None:
    """Listen to the microphone and light the LED of each emotion.

    Speak, then pause: the light of the detected emotion comes on. On a Raspberry Pi these are LEDs on the BCM pins 17
    (positive), 27 (neutral) and 22 (negative), unless the settings name others. A terminal also shows the input
    level, the words as they are recognised, and the spectrogram image that the network classifies. A file or a pipe
    receives one line per prediction; with --json each line is a JSON object. Ctrl-C ends the command.

    Audio stays in memory and is never stored. If the microphone is lost, all LEDs flash together until it is back.

    For example:

        edge-mcnn listen
        edge-mcnn listen --microphone USB --lights terminal
        edge-mcnn listen --lights none --json | jq .label
    """
    limit_arithmetic_threads()
    from device.daemon.daemon import Daemon
    from device.daemon.status import socket_path
    from device.daemon.systemd import Systemd
    from device.outputs.publishers import publishers
    from device.system.stderr import silence_c_libraries

    settings = load_settings(config, model=model, microphone=microphone, lights=lights)
    if json and settings.lights.kind == "terminal":
        raise typer.BadParameter("--json and lights in the terminal would overwrite each other: add --lights none")
    with ExitStack() as stack:
        screen = None if json else _screen(settings, stack)
        if screen is not None or not logging.getLogger().isEnabledFor(logging.INFO):
            silence_c_libraries()
        Daemon(
            settings,
            load=partial(_load, settings, screen),
            show=partial(_open_lights, settings, screen),
            tell=_teller(settings, screen, json=json, words=words),
            announce=out.announce,
            patient=wait,
            systemd=Systemd(),
            status_socket=socket_path(),
            publishers=publishers(settings, out.announce),
            observer=screen,
        ).run()


def _screen(settings: "Settings", stack: ExitStack) -> "Screen | None":
    """If standard output is a terminal that can be drawn on, and is to show anything."""
    from rich.console import Console

    from device.outputs.lights import kind_of

    output = sys.stdout
    if output is None or not output.isatty() or not Console().is_interactive or kind_of(settings.lights) == "none":
        return None
    from device.outputs.terminal.screen import Screen

    # A file of its own: at the end of the process Python waits for its own, which a held terminal would make long.
    own = os.fdopen(os.dup(output.fileno()), "w", encoding=output.encoding, errors="replace", newline="")
    console = Console(file=own, highlight=False, markup=False)
    return stack.enter_context(Screen(console, gate_dbfs=settings.endpoint.gate_dbfs, hold_s=settings.lights.hold_s))


def _load(settings: "Settings", screen: "Screen | None") -> "LoadedModels":
    from device.loading import LoadedModels
    from device.recognition.speech_model import fetch as speech_model

    # Fetching the speech model draws a bar of its own: the screen comes after it.
    if screen is not None and (
        settings.transcriber.speech_model or speech_model.is_present(speech_model.default_path())
    ):
        screen.begin()
    return LoadedModels.load(settings, out.announce)


def _open_lights(settings: "Settings", screen: "Screen | None", labels: Sequence[str]) -> "OpenLights":
    from device.outputs.lights import open_lights

    lights = open_lights(settings.lights, labels)
    if screen is not None:
        screen.classes(labels)
        screen.begin()
    return lights


def _teller(
    settings: "Settings", screen: "Screen | None", *, json: bool, words: bool
) -> Callable[[dict[str, Any]], None]:
    """What becomes of the table of an answer."""
    from device.outputs.json_lines import as_line, as_plain_line
    from device.outputs.lights import kind_of

    if json:
        return lambda table: print(as_line(table), flush=True)
    if screen is not None or kind_of(settings.lights) == "none":
        return lambda table: None
    return lambda table: print(as_plain_line(table, words=words), flush=True)
