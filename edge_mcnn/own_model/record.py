"""`edge-mcnn record`. From Python: `device.recorder`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from device.errors import RecordingError
from device.system.display import shell_quoted
from edge_mcnn.guided_session import has_keyboard, run_session
from edge_mcnn.options import Config, Microphone, limit_arithmetic_threads, load_settings, require_memory_for_speech
from edge_mcnn.output import out
from edge_mcnn.paths import input_file, output_folder

if TYPE_CHECKING:
    from device.recorder.clip_collection import RecordingPlan
    from device.recorder.clip_folder import ClipFolder
    from device.settings.schema import Settings

_FEW_CLIPS = 10
_UNEVEN_RATIO = 1.5
"""From this ratio of clips between the largest and the smallest class, uneven classes are worth a warning."""
_MANY_CLIPS, _EPOCHS_FOR_FEW_CLIPS = 200, 60
"""With fewer clips an epoch has so few steps that after the default 13 the network never predicts some classes."""


def record_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            parser=output_folder(),
            help="Folder for the clips and their table, clips.csv; it is created if it does not exist.",
            show_default=False,
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Names of the classes to record.",
            show_default="the classes of the clips in FOLDER",
        ),
    ] = None,
    clips: Annotated[
        int, typer.Option(min=1, max=100_000, help="Number of clips per class, including those already in FOLDER.")
    ] = 10,
    speaker: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Name of the person who speaks. With two or more speakers, training validates on speakers that it did "
            "not train on.",
        ),
    ] = "",
    microphone: Microphone = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=input_file("--prompts needs a text file with a sentence per line", pipes=True),
            help="Text file of sentences to read aloud, one per line; every class uses the same ones.",
        ),
    ] = None,
    config: Config = None,
    no_transcribe: Annotated[
        bool,
        typer.Option(
            "--no-transcribe",
            help="Do not transcribe the clips with Vosk. The sentences of --prompts are stored as text all the same.",
        ),
    ] = False,
) -> None:
    """Record labelled clips of your own voice to train on.

    **This command writes audio to the disk**, to the folder that you name. No other command stores what the
    microphone records, and none sends it anywhere.

    A clip starts and ends like an utterance of `listen`: speak, then pause. Then press Enter to save the clip, r to
    repeat it, n to go to the next class, or q to quit. Saved clips are safe even after Ctrl-C, and the same command
    continues where you stopped. If standard input is not a terminal, every clip is saved.

    For example:

        edge-mcnn record my-voice --classes happy,calm,angry
        edge-mcnn train my-voice/clips.csv --network evidence --epochs 60 --output Model.h5
    """
    limit_arithmetic_threads()
    require_memory_for_speech()
    from device.recorder.clip_collection import RecordingPlan
    from device.recorder.clip_folder import ClipFolder
    from device.recorder.names import class_names, read_sentences, speaker_name
    from device.system.streams.stderr import silence_c_libraries

    settings = load_settings(config, microphone=microphone)
    requested = class_names(classes) if classes is not None else ()
    sentences = read_sentences(prompts) if prompts is not None else ()
    name = speaker_name(speaker)
    if not logging.getLogger().isEnabledFor(logging.INFO):
        silence_c_libraries()
    no_classes = RecordingError(
        f"{folder}: contains no clips yet, so the classes are unknown",
        fix="name the classes: --classes happy,calm,angry",
    )
    if not requested and not folder.exists():
        raise no_classes
    with ClipFolder(folder, out.announce) as opened:
        others = [label for label in opened.counts() if label not in requested]
        if not requested and not others:
            raise no_classes
        if requested and others:
            out.announce(f"{opened.table} also contains {', '.join(others)}: added to the classes")
        _record(settings, RecordingPlan((*requested, *others), clips, name, sentences, not no_transcribe), opened)


def _record(settings: "Settings", plan: "RecordingPlan", folder: "ClipFolder") -> None:
    from device.loading import load_transcriber
    from device.recorder.clip_collection import ClipCollection
    from device.recorder.ui import RecorderDisplay

    display = RecorderDisplay(out.console(highlight=False))
    counts = folder.counts()
    if all(counts[label] >= plan.clips for label in plan.classes):
        display.print(
            f"all clips are recorded, {plan.clips} per class; to record more, raise --clips, for example: "
            f"--clips {2 * plan.clips}"
        )
    else:
        display.print(f"Your recordings are written to disk, to {folder.path}, and sent nowhere.", "bold yellow")
        if has_keyboard():
            display.print("After each clip: Enter saves it, r repeats it, n goes to the next class, q quits.")
        transcriber = load_transcriber(settings, out.announce) if plan.transcribed else None
        fault = run_session(settings, ClipCollection(plan, folder), transcriber, display)
        if fault is not None:
            fault.exit()
    counts = folder.counts()
    selected = {label: counts[label] for label in plan.classes}
    for line in next_steps(folder.table, selected, words=folder.has_transcripts):
        display.print(line)


def next_steps(table: Path, counts: Mapping[str, int], *, words: bool) -> list[str]:
    """Return lines for the user: whether the clips suffice, and which command comes next.

    Args:
        table: path of the table of the clips.
        counts: number of clips by class, including classes without clips.
        words: whether any clip has a transcript; training needs transcripts.
    """
    lines = [f"{table.parent}: {', '.join(f'{count} {label}' for label, count in counts.items())}"]
    if not any(counts.values()):
        return [*lines, "no clips were saved, so there is nothing to train on yet"]
    few = [label for label, count in counts.items() if count < _FEW_CLIPS]
    if few:
        lines.append(
            f"few clips of {', '.join(few)}: fewer than {_FEW_CLIPS} per class are rarely enough, 30 are better; run "
            "the same command again to add clips"
        )
    if sum(count > 1 for count in counts.values()) < 2:
        return [*lines, "training needs at least two classes with at least two clips each"]
    if max(counts.values()) > _UNEVEN_RATIO * min(counts.values()):
        lines.append("the classes are uneven: record more clips of the rare ones, or train with --balanced")
    epochs = ["--epochs", str(_EPOCHS_FOR_FEW_CLIPS)] if sum(counts.values()) < _MANY_CLIPS else []
    network = ["--network", "evidence", *epochs, "--output", "Model.h5"]
    if words:
        return [*lines, f"next: {_command('train', table, *network)}"]
    transcripts = table.with_name("transcripts.csv")
    return [
        *lines,
        f"next: {_command('transcribe', table, '--output', transcripts)}",
        f"then: {_command('train', transcripts, '--text', 'vosk', *network)}",
    ]


def _command(*arguments: str | Path) -> str:
    return " ".join(["edge-mcnn", *map(shell_quoted, arguments)])
