"""The columns of a table as people write them, and files that are linked by a column ID instead of a column audio.

The published tutorial has a table with the columns of MELD, such as `Utterance` and `Sentiment`, and a column `ID` with
the name of the image file of each sample. Here such a table gets the columns of a clip table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from device.errors import TrainingError
from device.recorder.clip_table import COLUMNS
from training.data.finished_images import FinishedImages, open_finished_images
from training.data.folder_tree import SUFFIXES
from training.data.reading.csv_table import CsvRow
from training.data.reading.linked_files import Link, LinkedFiles
from training.data.split_names import read_splits

LabelKind = Literal["sentiment", "emotion"]
"""Which column is the label of a table that has both."""
_SPELLINGS = {
    "text": ("utterance", "sentence", "transcript", "transcription"),
    "label": ("class",),
    "dialogue": ("dialogue_id",),
}
"""Other names of columns, in lower case; case never counts."""
_MELD_ID = ("dialogue_id", "utterance_id")
"""Columns that name a clip of MELD together."""
_FIX = (
    "name the folder of the recordings with --audio-root, or, for `train` and `evaluate`, that of finished images with "
    "--pictures"
)


@dataclass(frozen=True)
class NamedRow:
    """A row of a table by the names of a clip table's columns."""

    where: str
    """File and line, for messages."""
    values: dict[str, str]
    """Values by column; columns of other names are there under their own name."""


def column_names(header: Sequence[str], label: LabelKind) -> tuple[str, ...]:
    """Return the name that each column has in a clip table, or its own if it has none there.

    Args:
        header: names of the columns in the file.
        label: which of the columns Sentiment and Emotion is the label, where there is no column label.
    """
    names = list(header)
    lower = [name.lower() for name in header]
    other = "emotion" if label == "sentiment" else "sentiment"
    for column in COLUMNS:
        if column in names:
            continue
        spellings = (column, *_SPELLINGS.get(column, ()), *((label, other) if column == "label" else ()))
        place = next((lower.index(spelling) for spelling in spellings if spelling in lower), None)
        if place is not None:
            names[place] = column
    return tuple(names)


def named_rows(header: Sequence[str], names: Sequence[str], rows: Sequence[CsvRow]) -> list[NamedRow]:
    """Return the rows by the names of the columns; rows of MELD without a column ID get the ID of their recording.

    Args:
        header: names of the columns in the file.
        names: result of `column_names`.
        rows: the rows of the file.
    """
    lower = [name.lower() for name in header]
    found = [NamedRow(row.where, dict(zip(names, row.values, strict=True))) for row in rows]
    if "id" not in names and _is_meld(lower):
        dialogue, utterance = (lower.index(column) for column in _MELD_ID)
        for named, row in zip(found, rows, strict=True):
            named.values["id"] = f"dia{row.values[dialogue]}_utt{row.values[utterance]}"
    return found


def names_files(header: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether a table has a column ID, or the columns of MELD that replace it.

    Args:
        header: names of the columns in the file.
        names: result of `column_names`.
    """
    return "id" in names or _is_meld([name.lower() for name in header])


def _is_meld(lower: Sequence[str]) -> bool:
    return all(column in lower for column in _MELD_ID)


def link_by_id(
    rows: Sequence[NamedRow],
    splits: Mapping[str, str],
    audio_root: Path | None,
    images: Path | None,
) -> FinishedImages | None:
    """Fill the column audio of rows that name their file in the column ID, in place.

    Args:
        rows: rows with the column ID; a row with an empty one gets no file.
        splits: the split of each value of the column split.
        audio_root: folder of recordings; None if the user names none.
        images: folder of finished images, used if the user names no recordings.

    Returns:
        The folder of the images if the files are images, else None. If the rows have no split, and the files are in
        folders named like splits, the rows have those splits afterwards.

    Raises:
        TrainingError: no folder is named, it cannot be used, or an ID names no file in it, or two.
    """
    finished = None
    if audio_root is not None:
        files = LinkedFiles.inside(audio_root, SUFFIXES, "recordings", _FIX)
    elif images is not None:
        files, finished = open_finished_images(images)
    else:
        table = rows[0].where.rpartition(", ")[0]
        raise TrainingError(f"{table}: no column audio, and no folder for the files that its IDs name", fix=_FIX)
    linked = [row for row in rows if row.values.get("id")]
    named_like_splits = read_splits(files.folder_names())

    def splits_of(path: PurePosixPath) -> set[str]:
        return {named_like_splits[part] for part in path.parts[:-1] if part in named_like_splits}

    def link(row: NamedRow) -> Link:
        split = splits.get(row.values.get("split", ""))
        return Link(row.values["id"], row.where, None if split is None else lambda path: splits_of(path) == {split})

    # Two rows of a corpus may have one recording. Where another program made the images, a repeated ID is a mistake.
    by_edge_mcnn = finished is not None and finished.settings is not None
    found = files.find([link(row) for row in linked], shared=by_edge_mcnn)
    of_folders = [splits_of(each.inside) for each in found]
    has_splits = any(row.values.get("split") for row in rows)
    take_splits = not has_splits and len(linked) == len(rows) and all(len(of_folder) == 1 for of_folder in of_folders)
    for row, each, of_folder in zip(linked, found, of_folders, strict=True):
        row.values["audio"] = str(each.file.absolute())
        if take_splits:
            [row.values["split"]] = of_folder
    return finished
