"""Options that several commands share, each defined once, and what every command does with them before it starts.

The help of every command imports this module, so it imports nothing heavy itself.
"""

import importlib.util
import os
import sys
import tempfile
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from device.errors import TrainingError
from device.system.display import shell_quoted
from edge_mcnn.paths import cache_folder, input_file, input_folder, input_path, model_file, reported_model

if TYPE_CHECKING:
    from device.settings.schema import Settings
    from training.data.corpus import Corpus


class ListenLights(StrEnum):
    """Values of `--lights` for `listen`."""

    AUTO = "auto"
    GPIO = "gpio"
    TERMINAL = "terminal"
    NONE = "none"


class ManualLights(StrEnum):
    """Values of `--lights` for `lights test` and `lights set`, which have nothing to do without any lights."""

    GPIO = "gpio"
    TERMINAL = "terminal"


class Target(StrEnum):
    """Values of `--target`."""

    SENTIMENT = "sentiment"
    EMOTION = "emotion"


class TextOption(StrEnum):
    """Values of `--text`."""

    REFERENCE = "reference"
    VOSK = "vosk"
    BOTH = "both"


SETTINGS = "name a settings file; to print one to start from: edge-mcnn settings --show"

_MODEL_HELP = (
    "Use this model instead of the one in the settings: sentiment (negative, neutral, positive) or emotions (MELD's "
    "seven), which ship with edge-mcnn, or a Model.tflite that `edge-mcnn convert` wrote. Without either: sentiment."
)
_CONFIG_HELP = (
    "Read the settings from this TOML file; environment variables and options override it. "
    "`edge-mcnn settings --show` prints a file to start from."
)
Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="NAME|FILE",
        parser=model_file(),
        help=_MODEL_HELP,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        parser=input_file(SETTINGS, pipes=True),
        help=_CONFIG_HELP,
    ),
]
ReportedModel = Annotated[
    Path | None, typer.Option("--model", metavar="NAME|FILE", parser=reported_model(), help=_MODEL_HELP)
]
"""`--model` of `doctor`, which reports an unusable file among its findings."""
ReportedConfig = Annotated[Path | None, typer.Option("--config", metavar="FILE", help=_CONFIG_HELP)]
"""`--config` of `doctor`, likewise."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")]
Microphone = Annotated[
    str | None,
    typer.Option(
        "--microphone",
        "-m",
        metavar="NAME",
        help="Use this microphone: its name or a part of it, as `edge-mcnn microphones` lists it.",
    ),
]
Lights = Annotated[
    ListenLights | None,
    typer.Option(
        "--lights",
        help="Where to show the emotion: LEDs on the GPIO pins, lights drawn in the terminal, no lights, or whichever "
        "fits this machine (auto).",
    ),
]
LightsByHand = Annotated[
    ManualLights | None,
    typer.Option(
        "--lights", help="LEDs on the GPIO pins, or lights drawn in the terminal. Default: the same as `listen` uses."
    ),
]

CorpusArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="TABLE.csv|FOLDER",
        parser=input_path("give a CSV table, or a folder with a folder of recordings per class", pipes=True),
        help="A CSV file in UTF-8 with one clip per row and the columns audio, text, label, split (train, "
        "validation or test; optional), and, if known, speaker and dialogue. Leave audio empty for a clip without a "
        "recording, text empty for a clip without a transcript. Instead of audio it may have a column ID that names "
        "the files, and the other columns may have the names that MELD gives them, such as Utterance and Sentiment. Or "
        "a folder that contains one folder of recordings per class, or one table per split.",
        show_default=False,
    ),
]
Meld = Annotated[
    Path | None,
    typer.Option(
        metavar="MELD.Raw",
        parser=input_folder("give the folder MELD.Raw, as the archive of MELD unpacks"),
        help="Use the MELD data set, as its archive unpacks, instead of a table or a folder.",
        show_default=False,
    ),
]
MeldTarget = Annotated[
    Target,
    typer.Option(
        help="With --meld, or a table with the columns Sentiment and Emotion: use the three sentiments or the seven "
        "emotions as classes."
    ),
]
AudioRoot = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        parser=input_folder("give the folder that the audio paths in the table start from"),
        help="Folder that relative audio paths in the table start from, or that holds the recordings which its column "
        "ID names.",
        show_default="the table's folder",
    ),
]
ImageCache = Annotated[
    Path | None,
    typer.Option(
        "--pictures",
        metavar="FOLDER",
        parser=cache_folder(),
        help="Read spectrogram images from this cache, as `edge-mcnn pictures` writes it; missing ones are computed "
        "and added. Training also caches the output of its frozen layers there. For a table that names images in its "
        "column ID: the folder of these images, of any size, computed by any program.",
        show_default="no cache",
    ),
]


VoiceProfile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        parser=input_file("name a voice profile that `edge-mcnn learn` wrote"),
        help="Adapt the predictions to this voice profile, as `edge-mcnn learn` wrote it.",
        show_default="none",
    ),
]


def load_settings(
    config: Path | None = None,
    *,
    model: Path | None = None,
    microphone: str | None = None,
    lights: ListenLights | ManualLights | None = None,
) -> "Settings":
    """Read the settings file and the environment, then apply the options of the command line, which override both.

    Raises:
        SettingsError: the file cannot be read, or it or the environment has an unknown key or a value that is not
            allowed.
    """
    from device.settings.toml import read_settings

    settings = read_settings(config, os.environ)
    if model is not None:
        settings = replace(settings, classifier=replace(settings.classifier, model=str(model)))
    if microphone is not None:
        settings = replace(settings, microphone=replace(settings.microphone, name=microphone))
    if lights is not None:
        settings = replace(settings, lights=replace(settings.lights, kind=lights.value))
    return settings


def limit_arithmetic_threads() -> None:
    """Let numpy compute on one thread. Call this before anything imports numpy.

    The products here are small, and numpy's other threads wait for the next one in a busy loop, which costs a
    complete core while someone speaks.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def require_memory_for_speech() -> None:
    """Check that memory is enough to load the speech model, before libraries are imported that fail in their own words.

    Raises:
        SpeechModelError: it is not enough.
    """
    from device.recognition.vosk_loading import require_memory

    require_memory()


def prepare_tensorflow() -> None:
    """Call this before anything imports tensorflow: hide its start-up remarks, which mean nothing to users.

    Raises:
        TrainingError: no folder for temporary files can be written to; tensorflow could not be imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise TrainingError(
            f"temporary files cannot be written ({error.strerror})",
            fix="free some space, or set the environment variable TMPDIR to another folder",
        ) from None


def typed_command() -> str:
    """Return the command as the user typed it, for model cards and reports."""
    return " ".join(["edge-mcnn", *map(shell_quoted, sys.argv[1:])])


def require(*packages: str, purpose: str = "training", extra: str = "train") -> None:
    """Check that packages of an extra are installed.

    Raises:
        TrainingError: a package is missing that `purpose`, such as "training", needs.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise TrainingError(
            f"{purpose} needs {missing[0]}, which is not installed", fix=f'run: pip install "edge-mcnn[{extra}]"'
        )


def open_selected_corpus(
    corpus: Path | None,
    meld: Path | None,
    target: Target,
    audio_root: Path | None,
    seed: int = 1,
    *,
    images: Path | None = None,
    audio: bool = True,
    text: bool = True,
) -> "Corpus":
    """Open the corpus that the command line names.

    Args:
        corpus: table, or folder of class folders.
        meld: folder of the MELD data set, instead of `corpus`.
        target: classes to use with `meld`, and with a table that has columns for both.
        audio_root: folder that relative audio paths in a table start from, or that holds the recordings which the
            table names by ID; None for the folder of the table.
        seed: draws the validation rows of a table without the column split.
        images: folder of the finished images that a table names by ID; None if the command accepts none.
        audio: whether the recordings will be read; they need not exist otherwise.
        text: whether the transcripts will be read.

    Raises:
        typer.BadParameter: the command line names no corpus, or two.
        TrainingError: the corpus cannot be read.
    """
    from training.data import corpus as corpora  # imports numpy

    if (corpus is None) == (meld is None):
        raise typer.BadParameter("name one corpus: a table, a folder of class folders, or MELD with --meld MELD.Raw")
    if meld is not None:
        return corpora.open_meld(meld, target.value, audio=audio)
    assert corpus is not None  # noqa: S101  # the check above; for the type checker
    return corpora.open_corpus(corpus, audio_root, seed, images=images, label=target.value, audio=audio, text=text)
