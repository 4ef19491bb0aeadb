"""The command line `edge-mcnn`: its commands, and the edge where errors become lines and exit statuses.

Each command checks its options, calls the package that does the work, and prints. Heavy imports stand inside the
commands that need them, so that a Raspberry Pi needs no tensorflow; and a command is imported only when it is used, so
that `--help` responds immediately.
"""

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from device.errors import EdgeMcnnError
from device.system.display import displayable_lines
from device.system.streams.stdout import use_standard_output
from edge_mcnn.output import log_to_stderr, out

_DETECT, _WATCH = "Detect emotions", "Watch it and look back"
_DEVICE, _TRAIN = "Set up and check this machine", "Train your own model"


class _Listed(NamedTuple):
    """A command as `--help` lists it."""

    panel: str
    """Heading under which it stands."""
    place: str
    """Module and name of the function, or of the `Typer` with its subcommands."""
    summary: str
    """First paragraph of its own help."""


COMMANDS: Mapping[str, _Listed] = {
    "listen": _Listed(
        _DETECT, "detect.listen:listen_command", "Listen to the microphone and light the LED of each emotion."
    ),
    "learn": _Listed(_DETECT, "detect.learn:learn_command", "Adapt the predictions to your voice."),
    "mute": _Listed(
        _DETECT, "detect.mute:mute_command", "Close the microphone of the running device, or open it again."
    ),
    "classify": _Listed(_DETECT, "detect.classify:classify_command", "Detect the emotion in recordings."),
    "web": _Listed(
        _WATCH, "watch.web:web_command", "Serve a page that shows the device live, and the predictions of the past."
    ),
    "history": _Listed(
        _WATCH, "watch.history:history_command", "Show what the history contains, export it, or erase it."
    ),
    "events": _Listed(
        _WATCH,
        "watch.events:events_command",
        "Print what the running device does, as it happens: one JSON object per line.",
    ),
    "doctor": _Listed(
        _DEVICE, "setup.doctor:doctor_command", "Check everything that listening needs, and print how to fix problems."
    ),
    "microphones": _Listed(_DEVICE, "setup.microphones:microphones_command", "List the microphones of this machine."),
    "calibrate": _Listed(
        _DEVICE,
        "setup.calibrate:calibrate_command",
        "Measure the room and your voice, and set the level of the microphone.",
    ),
    "settings": _Listed(
        _DEVICE, "setup.settings:settings_command", "Print every setting with its meaning, or check a settings file."
    ),
    "fetch-speech-model": _Listed(
        _DEVICE,
        "setup.speech_model:fetch_speech_model_command",
        "Download and verify the Vosk model for speech recognition.",
    ),
    "benchmark": _Listed(_DEVICE, "setup.benchmark:benchmark_command", "Measure the speed and memory of this machine."),
    "status": _Listed(_DEVICE, "setup.status:status_command", "Print the state of the running daemon."),
    "lights": _Listed(_DEVICE, "setup.lights:lights_commands", "Test the lights, or show how to wire the LEDs."),
    "service": _Listed(
        _DEVICE, "setup.service:service_commands", "Run edge-mcnn as a service that starts with this machine."
    ),
    "mqtt": _Listed(
        _DEVICE, "setup.mqtt:mqtt_commands", "Remove this device from an MQTT broker and from Home Assistant."
    ),
    "record": _Listed(
        _TRAIN, "own_model.record:record_command", "Record labelled clips of your own voice to train on."
    ),
    "transcribe": _Listed(
        _TRAIN, "own_model.corpus:transcribe_command", "Transcribe the recordings of a corpus with Vosk."
    ),
    "pictures": _Listed(
        _TRAIN, "own_model.corpus:pictures_command", "Compute the spectrogram images of a corpus once."
    ),
    "train": _Listed(_TRAIN, "own_model.train:train_command", "Train a network on your own recordings."),
    "evaluate": _Listed(
        _TRAIN, "own_model.evaluate:evaluate_command", "Evaluate a model: audio + text, text only, and audio only."
    ),
    "convert": _Listed(
        _TRAIN,
        "own_model.convert:convert_command",
        "Convert a trained Keras model to the Model.tflite that the device runs.",
    ),
    "inspect": _Listed(
        _TRAIN, "own_model.inspect:inspect_command", "Show what a Model.tflite contains and where it runs."
    ),
}
"""The commands by their names, in the order of `--help`. The summaries stand here as well as in the commands, because
reading them there would import all commands."""


def imported_command(name: str) -> Any:
    """Import a command, one of `COMMANDS`: its function, or the `Typer` with its subcommands."""
    module, _, attribute = COMMANDS[name].place.partition(":")
    return getattr(import_module(f"edge_mcnn.{module}"), attribute)


class _ImportedWhenUsed(Mapping[str, Any]):
    """The commands by their names; each is imported when it is looked up."""

    def __init__(self) -> None:
        self._imported: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            command = imported_command(name)
            one = typer.Typer(**_SETTINGS)
            one.callback()(_main)
            if isinstance(command, typer.Typer):
                one.add_typer(command, name=name, rich_help_panel=COMMANDS[name].panel)
            else:
                one.command(name, rich_help_panel=COMMANDS[name].panel)(command)
            group: Any = typer.main.get_command(one)
            self._imported[name] = group.commands[name]
        return self._imported[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Commands(TyperGroup):
    """The commands, with errors about their usage displayable: those quote what the user typed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _ImportedWhenUsed()})

    def format_help(self, context: Any, formatter: Any) -> None:
        """Write the help as plain text, without rich, whose import takes longer than everything else together."""
        super(TyperGroup, self).format_help(context, formatter)

    def format_commands(self, _context: Any, formatter: Any) -> None:
        """List the commands under their headings, with their summaries; none is imported."""
        for panel in dict.fromkeys(listed.panel for listed in COMMANDS.values()):
            with formatter.section(panel):
                formatter.write_dl([(name, each.summary) for name, each in COMMANDS.items() if each.panel == panel])

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        """Parse the options that stand before the command; without anything, print the help."""
        if not arguments:
            out.line(context.get_help())
            context.exit(2)
        rest: list[str] = super().parse_args(context, arguments)
        return rest

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

_SETTINGS: Mapping[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "markdown",
}
app = typer.Typer(
    cls=_Commands,
    help="Detect the emotion in speech near this device and light the matching LED.\n\n"
    "No data leaves the device unless you configure it.",
    context_settings={"max_content_width": 100},
    **_SETTINGS,
)


@app.callback()
def _main(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log progress to standard error. Write it before the command.")
    ] = False,
) -> None:
    log_to_stderr(verbose=verbose)


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
