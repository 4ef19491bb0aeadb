"""The command `edge-mcnn record`; what it does can be called in `device.recording_session`."""

import logging
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from device.recorder.clip_folder import ClipFolder
    from device.recorder.session import RecordingPlan
    from device.settings.schema import Settings
import shlex
from collections.abc import Mapping


def record_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Where the clips go, and clips.csv, the table of them; made if missing.",
            show_default=False,
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Names of the classes.", show_default="those of the clips that are there already"
        ),
    ] = None,
    clips: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many of each class, with those that are there already.")
    ] = 10,
    speaker: Annotated[
        str, typer.Option(help="Who speaks: with two or more, training keeps whole speakers for validation.")
    ] = "",
    microphone: Annotated[
        str | None,
        typer.Option("--microphone", "-m", help="Its name or a part of it, as `edge-mcnn microphones` lists it."),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sentences to read aloud, one per line; each class reads the same ones."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings in a TOML file.")] = None,
    no_transcribe: Annotated[
        bool,
        typer.Option(
            "--no-transcribe",
            help="Do not write down what Vosk hears; the sentences of --prompts are, if there are any.",
        ),
    ] = False,
) -> None:
    """Record clips of your own voice, class by class, to train on.

    **This writes sound to the disk**, into the folder that you name, because you ask for it; no other command keeps
    what the microphone hears, and none sends it anywhere.

    A clip begins and ends as an utterance does for `listen`: speak, and pause. Then Enter keeps it, r does it again, n
    goes on with the next class, and q or Ctrl-C ends; what was kept is safe. Run it again to go on where it stopped.
    Where standard input is no terminal each clip is kept.

        edge-mcnn record my-voice --classes happy,calm,angry

        edge-mcnn train my-voice/clips.csv --network evidence --epochs 60 --output Model.h5
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in `edge_mcnn.main`: before numpy is imported
    from device.errors import RecordingError
    from device.recorder.clip_folder import ClipFolder
    from device.recorder.names import class_names, read_sentences, speaker_name
    from device.recorder.session import RecordingPlan
    from device.settings.toml import read_settings
    from device.system.stderr import silence_c_libraries

    settings = read_settings(config, os.environ)
    if microphone is not None:
        settings = replace(settings, microphone=replace(settings.microphone, name=microphone))
    wanted = class_names(classes) if classes is not None else ()
    sentences = read_sentences(prompts) if prompts is not None else ()
    who = speaker_name(speaker)
    if not logging.getLogger().isEnabledFor(logging.INFO):
        silence_c_libraries()
    unnamed = RecordingError(f"{folder}: no clips in it yet; name the classes: --classes happy,calm,angry")
    if not wanted and not folder.exists():
        raise unnamed
    with ClipFolder(folder, _announce) as opened:
        there = [label for label in opened.counts() if label not in wanted]
        if not wanted and not there:
            raise unnamed
        if wanted and there:
            _announce(f"{opened.table} has {', '.join(there)} as well: added to the classes")
        _record(settings, RecordingPlan((*wanted, *there), clips, who, sentences, not no_transcribe), opened)


def _record(settings: "Settings", plan: "RecordingPlan", folder: "ClipFolder") -> None:
    from rich.console import Console

    from device.audio.silero_vad import VoiceDetector
    from device.errors import AudioError
    from device.loading import load_transcriber
    from device.recorder.recorder import Recorder
    from device.recorder.session import Session
    from device.recorder.take import TakeListener
    from device.recorder.ui import RecorderDisplay
    from device.system.terminal_mode import Keyboard

    display = RecorderDisplay(Console(highlight=False))
    asks = sys.stdin is not None and sys.stdin.isatty()
    counts = folder.counts()
    if all(counts[label] >= plan.clips for label in plan.classes):
        display.print(
            f"all clips are there, {plan.clips} of each class; to record more name more: --clips {2 * plan.clips}"
        )
    else:
        display.print(f"What you say is written to disk, to {folder.path}, and sent nowhere.", "bold yellow")
        if asks:
            display.print("After each clip: Enter keeps it, r does it again, n goes to the next class, q ends.")
        transcriber = load_transcriber(settings, _announce) if plan.transcribed else None
        detector = VoiceDetector(settings.endpoint.gate_dbfs)
        listener = TakeListener(settings.endpoint, detector, transcriber)
        with ExitStack() as stack:
            keyboard = stack.enter_context(Keyboard(sys.stdin.fileno())) if asks else None
            stack.enter_context(display)
            session = Session(plan, folder, listener, display, keyboard)
            recorder = Recorder(settings, session, display)
            try:
                recorder.run()
            except AudioError as error:
                if recorder.stuck:
                    stack.close()
                    _leave(error)
                raise
    counts = folder.counts()
    of_each = {label: counts[label] for label in plan.classes}
    for line in next_steps(folder.table, of_each, words=folder.has_transcripts):
        display.print(line)


def _leave(error: Exception) -> None:
    """End the process although a thread hangs in the sound system; what was kept is on the disk."""
    _announce(f"edge-mcnn: {error}")
    sys.stdout.flush()
    os._exit(1)


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_FEW = 10
_UNEVEN = 1.5
"""Times as many clips as of another class."""
_MANY, _EPOCHS = 200, 60
"""With fewer clips an epoch has so few steps that the usual 13 leave a network that says the same to everything."""


def next_steps(table: Path, counts: Mapping[str, int], *, words: bool) -> list[str]:
    """Lines for the user.

    Args:
        table: of the clips.
        counts: clips of each class, those without any included.
        words: whether the words of any clip are known; training needs some.
    """
    lines = [f"{table.parent}: {', '.join(f'{count} {label}' for label, count in counts.items())}"]
    if not any(counts.values()):
        return [*lines, "no clip was kept, so there is nothing to train on yet"]
    few = [label for label, count in counts.items() if count < _FEW]
    if few:
        lines.append(f"few clips of {', '.join(few)}: {_FEW} of each are little, 30 are better; run it again to go on")
    if sum(count > 1 for count in counts.values()) < 2:
        return [*lines, "training needs two classes, with two clips each, at least"]
    if max(counts.values()) > _UNEVEN * min(counts.values()):
        lines.append("the classes are uneven: record more of the rare ones, or train with --balanced")
    epochs = ["--epochs", str(_EPOCHS)] if sum(counts.values()) < _MANY else []
    network = ["--network", "evidence", *epochs, "--output", "Model.h5"]
    if words:
        return [*lines, f"next: {shlex.join(['edge-mcnn', 'train', str(table), *network])}"]
    heard = str(table.with_name("transcripts.csv"))
    return [
        *lines,
        f"next: {shlex.join(['edge-mcnn', 'transcribe', str(table), '--output', heard])}",
        f"then: {shlex.join(['edge-mcnn', 'train', heard, '--text', 'vosk', *network])}",
    ]
