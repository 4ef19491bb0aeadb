"""Reads RAVDESS: its speech recordings in `flac/`, with sentiment and actor from the table `labels.csv`."""

import csv
from dataclasses import dataclass
from pathlib import Path

from device.errors import TrainingError

_COLUMNS = ("file", "speaker", "sentiment")


@dataclass(frozen=True)
class RavdessClip:
    """A recording of RAVDESS that has a sentiment."""

    recording: str
    """Path of the recording, relative to the corpus."""
    actor: int
    """Number of the actor, from 1; odd numbers are men, even ones women."""
    sentiment: str
    """Sentiment: negative, neutral or positive."""


def read_ravdess(folder: Path) -> list[RavdessClip]:
    """Read the recordings of RAVDESS that have a sentiment, in the order of `labels.csv`.

    Raises:
        TrainingError: there is no `labels.csv` with the columns file, speaker and sentiment, or a speaker is not an
            actor.
    """
    clips = []
    for row in _rows(folder / "labels.csv"):
        if row["sentiment"]:
            number = row["speaker"].removeprefix("actor")
            if not (number.isascii() and number.isdigit()):
                raise TrainingError(
                    f"{folder / 'labels.csv'}: the speaker of {row['file']} is {row['speaker']!r}, "
                    "expected actor01 and so on",
                    fix="use the corpus's own CSV",
                )
            clips.append(RavdessClip(f"flac/{row['file']}", int(number), row["sentiment"]))
    return clips


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            f"{path}: cannot be read ({error})", fix="name the folder that holds the corpus's own CSV"
        ) from None
    if not rows or any(rows[0].get(column) is None for column in _COLUMNS):
        raise TrainingError(
            f"{path}: expected rows with the columns {', '.join(_COLUMNS)}", fix="use the corpus's own CSV"
        )
    return rows
