"""`edge-mcnn listen`. From Python: `device.daemon.daemon`."""

import logging
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_mcnn.detect.page_process import PageProcess
from edge_mcnn.options import (
    Config,
    Json,
    Lights,
    ListenLights,
    Microphone,
    Model,
    limit_arithmetic_threads,
    load_settings,
    require_memory_for_speech,
)
from edge_mcnn.output import out
from edge_mcnn.watch.web import offer_history, require_page_packages

if TYPE_CHECKING:
    from device.daemon.self_check import SelfCheck
    from device.loading import LoadedModels
    from device.outputs.event_stream.stream import EventStream
    from device.outputs.terminal.screen import Screen
    from device.recognition.vosk_loading import SpeechModelLoading
    from device.settings.schema import Settings


def listen_command(
    microphone: Microphone = None,
    lights: Lights = None,
    json: Json = False,
    words: Annotated[
        bool,
        typer.Option("--words", help="Include the transcript in plain output; a terminal always shows it."),
    ] = False,
    partial_lines: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="With --json, also print lines while someone speaks; `final` is false in these. "
            "None where one run of the network takes 20 ms or more.",
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="If there is no microphone, wait until one is plugged in, as the service does."),
    ] = False,
    web: Annotated[
        bool, typer.Option("--web", help="Also serve the page of `edge-mcnn web`, in a process of its own.")
    ] = False,
    model: Model = None,
    config: Config = None,
) -> None:
    """Listen to the microphone and light the LED of each emotion.

    Speak: the light of the detected emotion comes on, as soon as it is clear or after the pause at the latest. On a
    Raspberry Pi these are LEDs on the BCM pins 17 (positive), 27 (neutral) and 22 (negative), unless the settings name
    others; `edge-mcnn lights wiring --model emotions` shows those of the seven emotions. A terminal also shows the
    input level, the words as they are recognised, and the spectrogram image that the network classifies. A file or a
    pipe receives one line per prediction; with --json each line is a JSON object. Ctrl-C ends the command.

    Was a prediction wrong? In a terminal press the number of the right class, from 1 to 9 in the order in which the
    classes are shown: the device learns it at once, for your voice, and the light changes. Press another number to
    replace that correction. What was learnt is in the voice profile, see `profile` in docs/settings.md.

    The key m mutes: the microphone is closed until m is pressed again, or `edge-mcnn mute off` is run.

    Audio stays in memory and is never stored. If the microphone is lost, all LEDs flash together until it is back.

    For example:

        edge-mcnn listen
        edge-mcnn listen --microphone USB --lights terminal
        edge-mcnn listen --lights none --json | jq .label
        edge-mcnn listen --lights none --json --partial
        edge-mcnn listen --web
    """
    limit_arithmetic_threads()
    require_memory_for_speech()
    settings = load_settings(config, model=model, microphone=microphone, lights=lights)
    if partial_lines and not json:
        raise typer.BadParameter("--partial is for --json: add it, or leave out --partial")
    if json and settings.lights.kind == "terminal":
        raise typer.BadParameter("--json and lights in the terminal would overwrite each other: add --lights none")
    from device.recognition.vosk_loading import start_loading

    # First, because it takes longest and leaves the rest of the CPU to what follows.
    speech_model = start_loading(settings.transcriber.speech_model, settings.transcriber.search)

    from device.daemon.control import control_socket_path
    from device.daemon.controls import Controls, mute_file
    from device.daemon.daemon import Daemon
    from device.daemon.status import socket_path
    from device.daemon.systemd import Systemd
    from device.event_client import own_event_socket
    from device.outputs.create import create_outputs, create_screen
    from device.outputs.event_stream.stream import EventStream
    from device.system.streams.stderr import silence_c_libraries

    if web:
        require_page_packages()
        if sys.stdin is not None and sys.stdin.isatty():
            offer_history(settings, config)

    controls = Controls(settings.mute, mute_file())
    with ExitStack() as stack:
        if web:
            stack.enter_context(PageProcess(config, out.announce))
        screen = None if json else create_screen(settings, controls)
        if screen is not None:
            stack.enter_context(screen)
        if screen is not None or not logging.getLogger().isEnabledFor(logging.INFO):
            silence_c_libraries()
        event_socket = own_event_socket()
        events = None if event_socket is None else stack.enter_context(EventStream(event_socket, settings, controls))
        outputs = create_outputs(
            settings,
            screen,
            out.announce,
            lambda error: daemon.stop(error),
            controls,
            json=json,
            words=words,
            partial_lines=partial_lines,
            events=events,
        )
        daemon = Daemon(
            settings,
            partial(_load, settings, screen, events, speech_model),
            outputs,
            out.announce,
            patient=wait,
            open_ahead=speech_model is not None,  # else it is fetched first, which may take minutes
            systemd=Systemd(),
            status_socket=socket_path(),
            controls=controls,
            control_socket=control_socket_path(),
            self_check=_self_check(config, model=model, microphone=microphone, lights=lights),
        )
        daemon.run()


def _self_check(
    config: Path | None, *, model: Path | None, microphone: str | None, lights: ListenLights | None
) -> "SelfCheck | None":
    """Return what runs `doctor` with the same settings; None if they cannot be read again, as from a pipe."""
    from device.daemon.self_check import SelfCheck

    command = [sys.executable, "-m", "edge_mcnn", "doctor", "--json"]
    if config is not None:
        if not config.is_file():
            return None
        command += ["--config", str(config)]
    options = {
        "EDGE_MCNN_CLASSIFIER_MODEL": model,
        "EDGE_MCNN_MICROPHONE_NAME": microphone,
        "EDGE_MCNN_LIGHTS_KIND": lights,
    }
    given = {name: str(value) for name, value in options.items() if value is not None}
    return SelfCheck(command, {**os.environ, **given})


def _load(
    settings: "Settings",
    screen: "Screen | None",
    events: "EventStream | None",
    speech_model: "SpeechModelLoading | None",
) -> "LoadedModels":
    from device.adaptation.profile_path import profile_path
    from device.loading import LoadedModels
    from device.recognition.speech_model.fetch import is_speech_model, speech_model_path

    # Fetching the speech model draws a bar of its own: the screen comes after it.
    if screen is not None and (settings.transcriber.speech_model or is_speech_model(speech_model_path())):
        screen.begin()
    profile = profile_path(settings.classifier.profile)
    models = LoadedModels.load(settings, out.announce, profile=profile, speech_model=speech_model)
    if events is not None:
        events.loaded(models.companions.front_end)
    return models
