"""The command line, `edge-mcnn`. Thin: each command checks its options, calls what does the work, and prints.

Heavy imports stand inside the commands that need them, so that `--help` is instant and a Pi needs no tensorflow.
"""

import io
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device.errors import AudioError, EdgeMcnnError
from edge_mcnn.convert import convert_command
from edge_mcnn.corpus import pictures_command, transcribe_command
from edge_mcnn.doctor import doctor_command
from edge_mcnn.evaluate import evaluate_command
from edge_mcnn.inspect import inspect_command
from edge_mcnn.lights import lights as lights_commands
from edge_mcnn.listen import listen_command
from edge_mcnn.record import record_command
from edge_mcnn.service import service, status_command
from edge_mcnn.settings import settings_command
from edge_mcnn.train import train_command

if TYPE_CHECKING:
    from device.settings.schema import Settings

app = typer.Typer(
    help="Hear someone speak and light the LED of the emotion in it. Nothing leaves the device unasked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


Model = Annotated[
    Path | None, typer.Option("--model", help="A bundle made by `edge-mcnn convert`. Default: the one that ships.")
]
Config = Annotated[Path | None, typer.Option("--config", help="Settings in a TOML file; options here win over it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per prediction and nothing else.")]


@app.callback()
def _main(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say on standard error what is going on.")] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr)


app.command("listen")(listen_command)


@app.command()
def classify(
    recordings: Annotated[list[Path], typer.Argument(help="WAV or FLAC files of any rate and any number of channels.")],
    json: Json = False,
    model: Model = None,
    config: Config = None,
) -> None:
    """Answer recordings as if they were spoken into the microphone.

    Exit status: 0 if each recording got an answer, 1 if one could not be read or held no speech (the others are still
    done).
    """
    _one_thread_for_arithmetic()
    import time

    from rich.console import Console

    from device import loading as commands
    from device.outputs.json_lines import as_table
    from device.outputs.terminal.prediction_rows import Answer

    models = commands.LoadedModels.load(_settings(config, model), _announce)
    console = Console()
    failed = 0
    for path in recordings:
        try:
            for prediction in commands.classify(models, path):
                table = as_table(prediction, time.monotonic())
                if json:
                    _print_line({"file": str(path), **table})
                    continue
                where = f"{table['start_s']:.1f} s to {table['start_s'] + table['seconds']:.1f} s"
                console.print(f"[bold]{path.name}[/bold]  [dim]{where}[/dim]", highlight=False)
                console.print(Answer(models.classifier.labels, prediction))
                console.print()
        except AudioError as error:
            failed += 1
            _complain(error)
    if failed:
        raise typer.Exit(1)


@app.command()
def benchmark(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, max=600, help="Repeat for so long, on top of loading twice.")
    ] = 10.0,
    model: Model = None,
    config: Config = None,
) -> None:
    """Measure this machine: does it keep up with speech, how soon does it answer, what memory does it take.

    A clip that comes with it is heard, stage by stage; no microphone is needed. For true figures stop the service
    first: `sudo systemctl stop edge-mcnn`.

    Exit status: 0 if the machine keeps up and has memory to spare, 1 if not.
    """
    _one_thread_for_arithmetic()
    from edge_mcnn.benchmark import run

    run(_settings(config, model), seconds=seconds, json=json)


@app.command()
def microphones(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per microphone.")] = False,
) -> None:
    """List the microphones of this machine with their names and rates.

    Exit status: 0 if there is one, 1 if there is none.
    """
    from dataclasses import asdict

    from device.audio.microphone import list_microphones

    found = list_microphones()
    if not found:
        raise AudioError("no microphone found; plug one in (is this user in the group audio?)")
    if json:
        for each in found:
            _print_line(asdict(each))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "rate", "channels", "", box=None)
    for each in found:
        table.add_row(each.name, f"{each.rate} Hz", str(each.channels), "default" if each.is_default else "")
    Console().print(table)


@app.command()
def fetch_speech_model(
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A folder or zip that holds the model, for a machine without network."),
    ] = None,
) -> None:
    """Fetch the Vosk model that tells the words, and prove that it is the published one.

    It goes into your cache folder (68 MB), every file compared with its pinned SHA-256. Commands that hear words do
    this by themselves when it is missing.
    """
    from device.recognition.speech_model import fetch as speech_model

    _announce(f"speech model: {speech_model.fetch(source, announce=_announce)}")


app.command("doctor")(doctor_command)
app.command("status")(status_command)
app.command("settings")(settings_command)
app.add_typer(service, name="service")
app.command("record")(record_command)
app.add_typer(lights_commands, name="lights")
app.command("convert")(convert_command)
app.command("inspect")(inspect_command)
app.command("train")(train_command)
app.command("evaluate")(evaluate_command)
app.command("pictures")(pictures_command)
app.command("transcribe")(transcribe_command)


def main() -> None:
    """Entry point: what the user can mend becomes one line and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # lamps and quotation marks, in a terminal that has none
    try:
        app()
    except EdgeMcnnError as error:
        _complain(error)
        sys.exit(1)
    except BrokenPipeError:  # the reader of our lines went away: nothing to say and nobody to say it to
        sys.stdout = None
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _settings(config: Path | None, model: Path | None) -> "Settings":
    from device.settings.toml import read_settings

    settings = read_settings(config, os.environ)
    if model is not None:
        settings = replace(settings, classifier=replace(settings.classifier, model=str(model)))
    return settings


def _one_thread_for_arithmetic() -> None:
    """Before numpy is imported: its products are small here, and the threads that it would share them with never rest.

    They wait for the next product in a loop, at the cost of a whole core while someone speaks.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _complain(error: EdgeMcnnError) -> None:
    _announce(f"edge-mcnn: {' '.join(str(error).split())}")


def _print_line(table: dict[str, Any]) -> None:
    from device.outputs.json_lines import as_line

    print(as_line(table), flush=True)
