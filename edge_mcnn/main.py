"""The command line `edge-mcnn`: its commands, and the edge where errors become lines and exit statuses.

Each command checks its options, calls the package that does the work, and prints. Heavy imports stand inside the
commands that need them, so that `--help` responds immediately and a Raspberry Pi needs no tensorflow.
"""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from device.errors import EdgeMcnnError
from device.system.display import DisplayableFormatter, displayable_lines
from device.system.streams.stdout import use_standard_output
from edge_mcnn.detect.classify import classify_command
from edge_mcnn.detect.learn import learn_command
from edge_mcnn.detect.listen import listen_command
from edge_mcnn.detect.mute import mute_command
from edge_mcnn.output import out
from edge_mcnn.own_model.convert import convert_command
from edge_mcnn.own_model.corpus import pictures_command, transcribe_command
from edge_mcnn.own_model.evaluate import evaluate_command
from edge_mcnn.own_model.inspect import inspect_command
from edge_mcnn.own_model.record import record_command
from edge_mcnn.own_model.train import train_command
from edge_mcnn.setup.benchmark import benchmark_command
from edge_mcnn.setup.calibrate import calibrate_command
from edge_mcnn.setup.doctor import doctor_command
from edge_mcnn.setup.lights import lights_commands
from edge_mcnn.setup.microphones import microphones_command
from edge_mcnn.setup.mqtt import mqtt_commands
from edge_mcnn.setup.service import service_commands
from edge_mcnn.setup.settings import settings_command
from edge_mcnn.setup.speech_model import fetch_speech_model_command
from edge_mcnn.setup.status import status_command
from edge_mcnn.watch.events import events_command

_DETECT, _WATCH = "Detect emotions", "Watch it and look back"
_DEVICE, _TRAIN = "Set up and check this machine", "Train your own model"


class _Commands(TyperGroup):
    """The commands, with errors about their usage displayable: those quote what the user typed."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the options that stand before the command."""
        with _displayable_usage_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, context: Any) -> Any:
        """Parse the rest of the command line and run the command."""
        with _displayable_usage_errors():
            return super().invoke(context)


@contextmanager
def _displayable_usage_errors() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = displayable_lines(error.message)
        raise


_UsageError: Any = typer.BadParameter.__base__
"""Base of all errors that typer itself finds in a command line; typer exports only the most common one."""

app = typer.Typer(
    cls=_Commands,
    help="Detect the emotion in speech near this device and light the matching LED.\n\n"
    "No data leaves the device unless you configure it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _main(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log progress to standard error. Write it before the command.")
    ] = False,
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(DisplayableFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])


app.command("listen", rich_help_panel=_DETECT)(listen_command)
app.command("learn", rich_help_panel=_DETECT)(learn_command)
app.command("mute", rich_help_panel=_DETECT)(mute_command)
app.command("classify", rich_help_panel=_DETECT)(classify_command)
app.command("events", rich_help_panel=_WATCH)(events_command)
app.command("doctor", rich_help_panel=_DEVICE)(doctor_command)
app.command("microphones", rich_help_panel=_DEVICE)(microphones_command)
app.command("calibrate", rich_help_panel=_DEVICE)(calibrate_command)
app.add_typer(lights_commands, name="lights", rich_help_panel=_DEVICE)
app.command("settings", rich_help_panel=_DEVICE)(settings_command)
app.command("fetch-speech-model", rich_help_panel=_DEVICE)(fetch_speech_model_command)
app.command("benchmark", rich_help_panel=_DEVICE)(benchmark_command)
app.add_typer(service_commands, name="service", rich_help_panel=_DEVICE)
app.add_typer(mqtt_commands, name="mqtt", rich_help_panel=_DEVICE)
app.command("status", rich_help_panel=_DEVICE)(status_command)
app.command("record", rich_help_panel=_TRAIN)(record_command)
app.command("transcribe", rich_help_panel=_TRAIN)(transcribe_command)
app.command("pictures", rich_help_panel=_TRAIN)(pictures_command)
app.command("train", rich_help_panel=_TRAIN)(train_command)
app.command("evaluate", rich_help_panel=_TRAIN)(evaluate_command)
app.command("convert", rich_help_panel=_TRAIN)(convert_command)
app.command("inspect", rich_help_panel=_TRAIN)(inspect_command)


def main() -> None:
    """Run the command line; an error that the user can fix is printed without a traceback, with exit status 1."""
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")  # a terminal may lack the characters for quotation marks
    stdout = use_standard_output()
    try:
        try:
            app()
        finally:
            if stdout is not None:
                stdout.flush()
                stdout.raise_failure()
    except EdgeMcnnError as error:
        out.error(error)
        sys.exit(1)
    except BrokenPipeError:  # the reader of standard output has gone, so there is no one to report it to
        sys.stdout = None
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
