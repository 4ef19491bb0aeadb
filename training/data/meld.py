"""Reads MELD in its published layout: the folder `MELD.Raw` with three folders of films and three CSV files.

Row and film are linked by `dia<Dialogue_ID>_utt<Utterance_ID>`. The archives unpack in more than one way, so folders
and CSVs are searched for in the folder itself and in the folders inside it.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from device.errors import TrainingError
from device.system.paths import require_folder
from training.data.clips import TEST, TRAIN, VALIDATION, Clip, Skipped, refuse_pointers, why_unusable
from training.data.reading.csv_table import read_csv_text

Target = Literal["sentiment", "emotion"]
"""Which annotation of MELD is the label."""
SUFFIXES = (".wav", ".flac", ".mp4")
"""File name endings in order of preference: the first existing file of an utterance is its recording."""
LABELS: dict[Target, tuple[str, ...]] = {
    "sentiment": ("negative", "neutral", "positive"),
    "emotion": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
}
"""Classes of each target."""
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
_FIX = "use MELD's original file"


@dataclass(frozen=True)
class _Part:
    """The folder and the table of one split."""

    split: str
    folder: str
    table: str


_PARTS = (
    _Part(TRAIN, "train_splits", "train_sent_emo.csv"),
    _Part(VALIDATION, "dev_splits_complete", "dev_sent_emo.csv"),
    _Part(TEST, "output_repeated_splits_test", "test_sent_emo.csv"),
)


def read_meld(
    folder: Path, target: Target = "sentiment", *, audio: bool = True
) -> tuple[tuple[Clip, ...], tuple[Skipped, ...]]:
    """Read MELD's clips, linked to their films.

    Args:
        folder: path of `MELD.Raw`, unpacked; its test part may be missing altogether.
        target: whether the label is the sentiment (3 classes) or the emotion (7).
        audio: whether recordings will be read. If not, they need not exist: the three CSVs are enough.

    Returns:
        The clips whose recording can be opened, and the recordings that are missing or cannot be opened.

    Raises:
        TrainingError: a CSV or a folder is missing or is not MELD's, or no recording exists at all.
    """
    require_folder(folder, TrainingError, fix="give the folder MELD.Raw, unpacked")
    clips: list[Clip] = []
    missing: list[Skipped] = []
    for part in _PARTS:
        if part.split == TEST and not (_places(folder, part.table) or _places(folder, part.folder)):
            continue  # training does not need it, so the other two parts are enough
        table = _find(folder, part.table)
        recordings = _find(folder, part.folder) if audio else folder / part.folder
        for line, row in _rows(table):
            clip = _clip(row, f"{table}, line {line}", part, recordings, target)
            reason = why_unusable(clip.audio) if audio and clip.audio is not None else ""
            if reason:
                missing.append(Skipped.unopened(clip.audio or folder, reason))
            else:
                clips.append(clip)
    if not clips:
        refuse_pointers(str(folder), missing)
        raise TrainingError(
            f"{folder}: none of the {len(missing)} recordings is there, the first should be {missing[0].recording}",
            fix="unpack MELD's train.tar.gz, dev.tar.gz and test.tar.gz",
        )
    return tuple(clips), tuple(missing)


def _places(folder: Path, name: str) -> list[Path]:
    places = (folder / name, *sorted(folder.glob(f"*/{name}")))
    return [path for path in places if os.path.exists(path)]  # noqa: PTH110  # `Path.exists` raises in closed folders


def _find(folder: Path, name: str) -> Path:
    found = _places(folder, name)
    if not found:
        packed = sorted(path.name for path in folder.glob("*.tar.gz"))
        fix = f"unpack {', '.join(packed)} there" if packed else "give the folder MELD.Raw, unpacked"
        raise TrainingError(f"{folder}: no {name} in it", fix=fix)
    return found[0]


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(read_csv_text(table, _FIX))
    try:
        absent = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
        if absent:
            raise TrainingError(f"{table}, line 1: no column {', '.join(absent)}, so not MELD's own CSV", fix=_FIX)
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise TrainingError(f"{table}, line {reader.line_num}: not valid CSV ({error})", fix=_FIX) from None
    if not rows:
        raise TrainingError(f"{table}: no rows below the header", fix=_FIX)
    yield from rows


def _name(row: dict[str, str]) -> str:
    return f"dia{int(row['Dialogue_ID'])}_utt{int(row['Utterance_ID'])}"


def _clip(row: dict[str, str], where: str, part: _Part, recordings: Path, target: Target) -> Clip:
    if None in row.values() or None in row:
        raise TrainingError(f"{where}: the number of values differs from that of the columns", fix=_FIX)
    label = row[target.capitalize()].strip().lower()
    if label not in LABELS[target]:
        raise TrainingError(f"{where}: {target} is {label!r}, expected one of {', '.join(LABELS[target])}", fix=_FIX)
    try:
        name = _name(row)
    except ValueError:
        raise TrainingError(f"{where}: Dialogue_ID and Utterance_ID must be integers", fix=_FIX) from None
    files = [recordings / f"{name}{suffix}" for suffix in SUFFIXES]
    usable = (file for file in files if not why_unusable(file))
    existing = (file for file in files if os.path.lexists(file))
    return Clip(
        audio=next(usable, None) or next(existing, files[-1]),
        text=" ".join(row["Utterance"].split()),
        label=label,
        split=part.split,
        speaker=row["Speaker"].strip(),
        dialogue=f"{part.split}/dia{int(row['Dialogue_ID'])}",  # MELD counts dialogues from 0 in each split
        id=f"{part.split}/{name}",
    )
