"""Reads corpora of acted emotional speech: recordings in `flac/`, with emotion and speaker from `labels.csv`."""

import csv
from dataclasses import dataclass
from pathlib import Path

from device.errors import TrainingError

_COLUMNS = ("file", "speaker", "emotion")


@dataclass(frozen=True)
class ActedCorpus:
    """A corpus of acted speech: which folder it is in, and how its speakers are numbered."""

    folder: str
    """Name of its folder below the data folder."""
    title: str
    """Name of the corpus, for messages and tables."""
    emotions: tuple[str, ...]
    """Emotions that its table has."""
    speaker_prefix: str | None = None
    """What precedes the number in a speaker's name; None numbers the speakers from 1 in the order of their names."""


_EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful")
RAVDESS = ActedCorpus("ravdess", "RAVDESS", (*_EMOTIONS, "calm", "disgust", "surprised"), "actor")
"""English, 20 actors, two sentences. Odd numbers are men and even ones women."""
NEMO = ActedCorpus("nemo", "nEMO", (*_EMOTIONS, "surprised"))
"""Polish, nine speakers, varied sentences."""
EMO_DB = ActedCorpus("emodb", "EMO-DB", (*_EMOTIONS, "disgust", "boredom"))
"""German, ten speakers, ten sentences; for measuring only, because its terms of use do not name a licence."""


@dataclass(frozen=True)
class ActedRecording:
    """A recording of acted speech."""

    path: str
    """Path of the recording, relative to the corpus."""
    speaker: int
    """Number of the speaker, from 1."""
    emotion: str
    """Emotion, as the table names it."""


def read_acted_speech(folder: Path, corpus: ActedCorpus) -> list[ActedRecording]:
    """Read the recordings of a corpus, in the order of `labels.csv`.

    Args:
        folder: folder of the corpus, with `labels.csv` and `flac/`.
        corpus: which corpus it is.

    Raises:
        TrainingError: there is no `labels.csv` with the columns file, speaker and emotion, or a speaker's name or an
            emotion is not one of this corpus.
    """
    table = folder / "labels.csv"
    rows = _rows(table)
    order = {name: number for number, name in enumerate(sorted({row["speaker"] for row in rows}), 1)}
    found = []
    for row in rows:
        speaker = order[row["speaker"]] if corpus.speaker_prefix is None else _number(row, corpus, table)
        if not row["speaker"]:
            raise TrainingError(f"{table}: {row['file']} has no speaker", fix="use the corpus's own CSV")
        if row["emotion"] not in corpus.emotions:
            raise TrainingError(
                f"{table}: the emotion of {row['file']} is {row['emotion']!r}, expected one of "
                f"{', '.join(corpus.emotions)}",
                fix="use the corpus's own CSV",
            )
        found.append(ActedRecording(f"flac/{row['file']}", speaker, row["emotion"]))
    return found


def _number(row: dict[str, str], corpus: ActedCorpus, table: Path) -> int:
    prefix = corpus.speaker_prefix or ""
    number = row["speaker"].removeprefix(prefix)
    if not (number.isascii() and number.isdigit()):
        raise TrainingError(
            f"{table}: the speaker of {row['file']} is {row['speaker']!r}, expected {prefix}01 and so on",
            fix="use the corpus's own CSV",
        )
    return int(number)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            f"{path}: cannot be read ({error})", fix="name the folder that holds the corpus's own CSV"
        ) from None
    if not rows or any(row.get(column) is None for row in rows for column in _COLUMNS):
        raise TrainingError(
            f"{path}: expected rows with the columns {', '.join(_COLUMNS)}", fix="use the corpus's own CSV"
        )
    return rows
