"""RAVDESS, its speech in `flac/` and a table `labels.csv` of it: which recordings have a sentiment, and by whom."""

import csv
from dataclasses import dataclass
from pathlib import Path

from device.errors import TrainingError

_COLUMNS = ("file", "speaker", "sentiment")


@dataclass(frozen=True)
class RavdessClip:
    """A recording of RAVDESS that has a sentiment."""

    recording: str
    """Its path below the corpus."""
    actor: int
    """From 1; odd numbers are men, even ones women."""
    sentiment: str
    """negative, neutral or positive."""


def read_ravdess(folder: Path) -> list[RavdessClip]:
    """The recordings of RAVDESS that have a sentiment, in the order of `labels.csv`.

    Raises:
        TrainingError: no `labels.csv` with the columns file, speaker and sentiment, or a speaker that is no actor.
    """
    clips = []
    for row in _rows(folder / "labels.csv"):
        if row["sentiment"]:
            number = row["speaker"].removeprefix("actor")
            if not (number.isascii() and number.isdigit()):
                raise TrainingError(
                    f"{folder / 'labels.csv'}: the speaker of {row['file']} is {row['speaker']!r}, expected actor01 "
                    "and so on; is it the corpus's own CSV?"
                )
            clips.append(RavdessClip(f"flac/{row['file']}", int(number), row["sentiment"]))
    return clips


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            f"{path}: cannot be read ({error}); give the folder that holds the corpus's own CSV"
        ) from None
    if not rows or any(rows[0].get(column) is None for column in _COLUMNS):
        raise TrainingError(
            f"{path}: expected rows with the columns {', '.join(_COLUMNS)}; is it the corpus's own CSV?"
        )
    return rows
