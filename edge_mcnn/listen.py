"""The command `edge-mcnn listen`; what it does can be called in `device.daemon.daemon`."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from device.loading import LoadedModels
    from device.outputs.lights import Lights
    from device.outputs.terminal.screen import Screen
    from device.settings.schema import Settings


class LightsKind(StrEnum):
    """Values of `--lights`."""

    AUTO = "auto"
    GPIO = "gpio"
    TERMINAL = "terminal"
    NONE = "none"


def listen_command(
    microphone: Annotated[
        str | None,
        typer.Option("--microphone", "-m", help="Its name or a part of it, as `edge-mcnn microphones` lists it."),
    ] = None,
    lights: Annotated[
        LightsKind | None,
        typer.Option("--lights", help="LEDs on the GPIO pins, lights drawn here, or what fits this machine (auto)."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per prediction and nothing else.")
    ] = False,
    words: Annotated[
        bool, typer.Option("--words", help="Write the words into plain output, too (a terminal always shows them).")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="If there is no microphone, wait until one is plugged in. A service does.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option("--model", help="A bundle made by `edge-mcnn convert`. Default: the one that ships.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings in a TOML file; options here win over it.")
    ] = None,
) -> None:
    """Listen to the microphone and light a light for each utterance.

    Speak, pause, and the light of your mood comes on: LEDs on a Raspberry Pi (BCM pins 17 positive, 27 neutral, 22
    negative unless the settings say otherwise). A terminal shows all that goes on: the level, the words as they are
    heard, the lights, and the picture that the network sees; a file or a pipe gets a line per answer. Ctrl-C ends it.
    Sound stays in memory and is never stored. A microphone that is lost meanwhile is waited for: all LEDs flash
    together until it is back.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in `edge_mcnn.main`: before numpy is imported
    from device.daemon.daemon import Daemon
    from device.daemon.status import socket_path
    from device.daemon.systemd import Systemd
    from device.outputs.publishers import publishers
    from device.settings.toml import read_settings
    from device.system.stderr import silence_c_libraries

    settings = read_settings(config, os.environ)
    if model is not None:
        settings = replace(settings, classifier=replace(settings.classifier, model=str(model)))
    if microphone is not None:
        settings = replace(settings, microphone=replace(settings.microphone, name=microphone))
    if lights is not None:
        settings = replace(settings, lights=replace(settings.lights, kind=lights.value))
    if json and settings.lights.kind == "terminal":
        raise typer.BadParameter("--json and lights in the terminal would write over each other; take --lights none")
    with ExitStack() as stack:
        screen = None if json else _screen(settings, stack)
        if screen is not None or not logging.getLogger().isEnabledFor(logging.INFO):
            silence_c_libraries()
        Daemon(
            settings,
            load=partial(_load, settings, screen),
            show=partial(_open_lights, settings, screen),
            tell=_teller(settings, screen, json=json, words=words),
            announce=_announce,
            patient=wait,
            systemd=Systemd(),
            status_socket=socket_path(),
            publishers=publishers(settings, _announce),
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
    return LoadedModels.load(settings, _announce)


def _open_lights(settings: "Settings", screen: "Screen | None", labels: Sequence[str]) -> "Lights":
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


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
