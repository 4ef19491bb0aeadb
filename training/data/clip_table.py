"""Reads and writes the CSV table of clips that a network is trained on; each line is checked before any work begins.

This module reads and writes text and paths only; it opens no recording.
"""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from device.bundle import label_problem
from device.errors import TrainingError
from device.front_end.tokens import normalise
from device.recorder.clip_table import COLUMNS, ORIGIN_COLUMNS, TRAINING_COLUMNS, TRANSCRIPT_COLUMN
from device.system.atomic_write import atomic_write
from device.system.display import displayable, shortened
from training.data.clips import TRAIN, Clip, ReadClips, Skipped, check_trainable, refuse_pointers, why_unusable
from training.data.finished_images import FinishedImages
from training.data.id_column import LabelKind, NamedRow, column_names, link_by_id, named_rows, names_files
from training.data.reading.csv_table import read_csv_table
from training.data.reading.linked_files import is_image
from training.data.split_names import USUAL, ambiguous_names, read_splits
from training.data.splits import complete_splits


def read_trainable_clips(table: Path, audio_root: Path | None = None, seed: int = 1) -> tuple[Clip, ...]:
    """Read a table and check that a network can be trained on it.

    Raises:
        TrainingError: `read_clip_table` or `check_trainable` raises it.
    """
    clips = read_clip_table(table, audio_root, seed).clips
    check_trainable(clips, str(table))
    return clips


def read_clip_table(
    table: Path | Mapping[Path, str],
    audio_root: Path | None = None,
    seed: int = 1,
    *,
    images: Path | None = None,
    label: LabelKind = "sentiment",
    audio: bool = True,
    text: bool = True,
) -> ReadClips:
    """Read a table with the columns audio, text and label; of the other columns those that a `Clip` has are read.

    Instead of audio it may have a column ID, or MELD's columns Dialogue_ID and Utterance_ID, with the names of the
    files, see `training.data.id_column`, which lists other names of the columns, too.

    Args:
        table: path of a CSV file in UTF-8 with a header line. An empty `audio` is a clip without audio, an empty `text`
            a clip without text; the columns split, speaker, dialogue, id and text_vosk may be missing. Or the tables
            of one corpus, at least one, each with the split of all its rows, empty if the table states it.
        audio_root: folder that relative audio paths start from, the table's own folder if None; or folder of the
            recordings that the column ID names.
        seed: seed of the splits, used for a table that has none.
        images: folder of the finished images that the column ID names, if it does not name recordings in `audio_root`.
        label: which of the columns Sentiment and Emotion is the label, where there is no column label.
        audio: whether recordings will be read. If not, the files need not exist and the column audio may be missing.
        text: whether the text will be read. If not, the column text may be missing.

    Returns:
        The clips, without those whose recording cannot be opened, and what the user should know about the reading.

    Raises:
        TrainingError: the table cannot be read, a line is wrong, or no recording can be opened.
    """
    tables = {table: ""} if isinstance(table, Path) else table
    needed = [*(["audio"] if audio else []), *(["text"] if text else []), "label"]
    rows = [row for table, split in tables.items() for row in _read_rows(table, split, label, needed)]
    values = list(dict.fromkeys(row.values["split"] for row in rows if row.values.get("split")))
    splits = read_splits(values)
    folder = audio_root or next(iter(tables)).parent
    finished = None
    if audio and not all("audio" in row.values for row in rows):
        finished = link_by_id(rows, splits, audio_root, images)
        values = values or list(dict.fromkeys(row.values["split"] for row in rows if row.values.get("split")))
        splits = read_splits(values)
    every = [_clip(row.values, row.where, folder, splits, has_splits=bool(values)) for row in rows]
    if audio and finished is None and any(is_image(clip.audio) for clip in every if clip.audio is not None):
        finished = FinishedImages(folder, None)
    skipped = _unusable(every, [row.where for row in rows]) if audio else {}
    clips, note = complete_splits([clip for clip in every if clip.audio not in skipped], seed)
    remarks = [f"split {value!r} is read as {splits[value]!r}" for value in ambiguous_names(values)]
    if finished is not None and finished.remark():
        remarks.append(finished.remark())
    return ReadClips(clips, note, tuple(remarks), tuple(skipped.values()), finished)


def split_tables(folder: Path) -> dict[Path, str]:
    """Return the CSV files in a folder that are named like splits, such as `train.csv`, with the split of each.

    Without one for training the result is empty, and so it is if the folder cannot be read.
    """
    try:
        files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".csv"]
    except OSError:
        return {}
    splits = read_splits(path.stem for path in files)
    found = {path: splits[path.stem] for path in files if path.stem in splits}
    return found if TRAIN in found.values() else {}


def write_clip_table(table: Path, clips: Sequence[Clip]) -> None:
    """Write a table that `read_clip_table` reads back as these clips, completely or not at all.

    Audio paths are written relative to the table's folder, so that corpus and table can move together.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written to; `table` is unchanged.
    """
    folder = table.parent.resolve()
    rows = []
    for clip in clips:
        audio = "" if clip.audio is None else os.path.relpath(clip.audio.resolve(), folder)
        rows.append(
            (audio, clip.text, clip.label, clip.split, clip.speaker, clip.dialogue, clip.id, clip.transcript or "")
        )
    _write(table, COLUMNS, rows)


def write_image_table(table: Path, clips: Sequence[Clip], images: Mapping[Path, str]) -> None:
    """Write a table whose column ID names the image of each clip, completely or not at all.

    Args:
        table: path of the file.
        clips: the clips; one whose recording has no image is left out.
        images: file name of the image of each recording.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written to; `table` is unchanged.
    """
    columns = ("ID", *(name for name in COLUMNS if name not in ("audio", "id", TRANSCRIPT_COLUMN)))
    rows = [
        (
            images.get(clip.audio, "") if clip.audio else "",
            clip.text,
            clip.label,
            clip.split,
            clip.speaker,
            clip.dialogue,
        )
        for clip in clips
        if clip.audio is None or clip.audio in images
    ]
    _write(table, columns, rows)


def _write(table: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    content = io.StringIO(newline="")
    csv.writer(content).writerows([columns, *rows])
    try:
        with atomic_write(table) as stream:
            stream.write(content.getvalue().encode())
    except UnicodeEncodeError as error:
        raise TrainingError(
            f"{table}: {error.object!r} cannot be written in UTF-8", fix="rename that recording"
        ) from None
    except OSError as error:
        raise TrainingError(
            f"{table}: cannot be written ({error.strerror})", fix="free some space or choose another place"
        ) from None


def _read_rows(table: Path, split: str, label: LabelKind, needed: Sequence[str]) -> list[NamedRow]:
    content = read_csv_table(table, ",".join(TRAINING_COLUMNS))
    names = column_names(content.header, label)
    rows = named_rows(content.header, names, content.rows)
    linked = "audio" in needed and "audio" not in names and names_files(content.header, names)
    _check_header(content.header, names, [name for name in needed if name != "audio" or not linked], table)
    content.require_rows("clip")
    for row in rows:
        if split:
            row.values["split"] = split
    return rows


def _check_header(header: Sequence[str], names: Sequence[str], needed: Sequence[str], table: Path) -> None:
    repeated = [name for name in COLUMNS if names.count(name) > 1]
    if repeated:
        raise TrainingError(
            f"{displayable(table)}, line 1: column {repeated[0]} appears {names.count(repeated[0])} times",
            fix="rename one",
        )
    for name in header:
        twins = [other for other in header if other != name and other.lower() == name.lower()]
        if twins and name.lower() in COLUMNS:
            both = f"{displayable(name)} and {displayable(twins[0])}"
            raise TrainingError(
                f"{displayable(table)}, line 1: columns {both} differ only in case",
                fix="rename or remove the one that is not meant",
            )
    missing = [name for name in needed if name not in names]
    if missing:
        raise TrainingError(
            f"{displayable(table)}, line 1: no column {', '.join(missing)} "
            f"(found: {', '.join(map(displayable, header))})",
            fix=f"name {', '.join(needed)} in the first line, and split if there are splits",
        )


def _clip(row: dict[str, str], where: str, audio_root: Path, splits: Mapping[str, str], *, has_splits: bool) -> Clip:
    label, split = row["label"], row.get("split", "")
    recording, text = row.get("audio", ""), row.get("text", "")
    if problem := label_problem(label):
        raise TrainingError(
            f"{where}: label {shortened(label)} {problem}", fix="give the class a short name in plain text, on one line"
        )
    if has_splits and split not in splits:
        raise TrainingError(f"{where}: split is {shortened(split)}", fix=f"use one of {', '.join(USUAL)}")
    if not recording and not normalise(text):
        raise TrainingError(f"{where}: neither audio nor text", fix="give at least one of them or delete the row")
    audio = audio_root / recording if recording else None
    origin = {name: row.get(name, "") for name in ORIGIN_COLUMNS}
    transcript = None if audio is None else row.get(TRANSCRIPT_COLUMN)
    return Clip(audio, text, label, splits.get(split, ""), **origin, transcript=transcript)


def _unusable(clips: Sequence[Clip], places: Sequence[str]) -> dict[Path | None, Skipped]:
    """Return the recordings that cannot be opened.

    Args:
        clips: clips of a table.
        places: file and line of each, for messages.

    Raises:
        TrainingError: no recording can be opened, so the folder that the paths start from is probably wrong.
    """
    fix = "correct the path, or give the folder that it starts from, --audio-root"
    reasons: dict[Path, str] = {}
    skipped: dict[Path | None, Skipped] = {}
    first = None
    for clip, where in zip(clips, places, strict=True):
        if clip.audio is None or clip.audio in reasons:
            continue
        reasons[clip.audio] = reason = why_unusable(clip.audio)
        if reason:
            place = f"{where.rpartition(', ')[2]} of the table"
            skipped[clip.audio] = Skipped.unopened(clip.audio, reason, place)
            first = first or f"{where}: {reason}: {clip.audio}"
    if first is not None and len(skipped) == len(reasons):
        refuse_pointers(places[0].rpartition(", ")[0], list(skipped.values()))
        raise TrainingError(first, fix=fix)
    return skipped
