"""How a corpus is named on the command line; the commands `train`, `evaluate`, `pictures` and `transcribe` share it."""

import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from device.errors import TrainingError

if TYPE_CHECKING:
    from training.data.corpus import Corpus


class Target(StrEnum):
    """Values of `--target`."""

    SENTIMENT = "sentiment"
    EMOTION = "emotion"


class TextOption(StrEnum):
    """Values of `--text`."""

    REFERENCE = "reference"
    VOSK = "vosk"
    BOTH = "both"


CorpusArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[TABLE.csv|FOLDER]",
        help="CSV in UTF-8 with the columns audio, text, label, split (train or validation; may be missing), and if "
        "known speaker and dialogue, one row per clip. Leave audio empty for words without sound, text empty for sound "
        "without words. Or a folder that holds a folder of recordings for each class.",
        show_default=False,
    ),
]
Meld = Annotated[
    Path | None,
    typer.Option(metavar="MELD.Raw", help="The folder of MELD as it comes, instead of a table.", show_default=False),
]
MeldTarget = Annotated[Target, typer.Option(help="With --meld: tell three sentiments or seven emotions.")]
AudioRoot = Annotated[
    Path | None,
    typer.Option(help="Folder that audio paths in the table start from.", show_default="the table's folder"),
]


def require(*packages: str, by: str = "training") -> None:
    """Check that packages of the extra `train` are there.

    Raises:
        TrainingError: one that is needed `by` what the user asks for is not installed.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise TrainingError(f'{by} needs {missing[0]}, which is not installed: pip install "edge-mcnn[train]"')


def opened(
    corpus: Path | None,
    meld: Path | None,
    target: Target,
    audio_root: Path | None,
    seed: int = 1,
    *,
    audio: bool = True,
    text: bool = True,
) -> "Corpus":
    """Open the corpus that the user named; `audio` and `text` say what of it will be read, see `open_corpus`.

    Raises:
        typer.BadParameter: none or two of them were named.
        TrainingError: it cannot be read.
    """
    from training.data.corpus import open_corpus, open_meld  # numpy comes with them

    if (corpus is None) == (meld is None):
        raise typer.BadParameter("name one corpus: a table, a folder of class folders, or MELD with --meld MELD.Raw")
    if meld is not None:
        return open_meld(meld, target.value, audio=audio)
    assert corpus is not None  # noqa: S101  # the check above; for the type checker
    return open_corpus(corpus, audio_root, seed, audio=audio, text=text)
