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
from device.system.display import shortened
from training.data.clips import Clip, ReadClips, Skipped, check_trainable, why_unusable
from training.data.csv_table import read_csv_table
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
    table: Path, audio_root: Path | None = None, seed: int = 1, *, audio: bool = True, text: bool = True
) -> ReadClips:
    """Read a table with the columns audio, text and label; of the other columns those that a `Clip` has are read.

    Args:
        table: path of a CSV file in UTF-8 with a header line. An empty `audio` is a clip without audio, an empty `text`
            a clip without text; the columns split, speaker, dialogue, id and text_vosk may be missing.
        audio_root: folder that relative audio paths start from; the table's own folder if None.
        seed: seed of the splits, used for a table that has none.
        audio: whether recordings will be read. If not, the files need not exist and the column audio may be missing.
        text: whether the text will be read. If not, the column text may be missing.

    Returns:
        The clips, without those whose recording cannot be opened, and what the user should know about the reading.

    Raises:
        TrainingError: the table cannot be read, a line is wrong, or no recording can be opened.
    """
    needed = [*(["audio"] if audio else []), *(["text"] if text else []), "label"]
    rows = _read_rows(table, needed)
    values = list(dict.fromkeys(row["split"] for _, row in rows if row.get("split")))
    splits = read_splits(values)
    every = [_clip(row, where, audio_root or table.parent, splits, has_splits=bool(values)) for where, row in rows]
    skipped = _unusable(every, [where for where, _ in rows]) if audio else {}
    clips, note = complete_splits([clip for clip in every if clip.audio not in skipped], seed)
    remarks = tuple(f"split {value!r} is read as {splits[value]!r}" for value in ambiguous_names(values))
    return ReadClips(clips, note, remarks, tuple(skipped.values()))


def write_clip_table(table: Path, clips: Sequence[Clip]) -> None:
    """Write a table that `read_clip_table` reads back as these clips, completely or not at all.

    Audio paths are written relative to the table's folder, so that corpus and table can move together.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written to; `table` is unchanged.
    """
    folder = table.parent.resolve()
    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow(COLUMNS)
    for clip in clips:
        audio = "" if clip.audio is None else os.path.relpath(clip.audio.resolve(), folder)
        writer.writerow(
            (audio, clip.text, clip.label, clip.split, clip.speaker, clip.dialogue, clip.id, clip.transcript or "")
        )
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


def _read_rows(table: Path, needed: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Return for each row its file and line, for messages, and its values by column."""
    content = read_csv_table(table, ",".join(TRAINING_COLUMNS))
    _check_header(content.header, needed, table)
    content.require_rows("clip")
    return [(row.where, dict(zip(content.header, row.values, strict=True))) for row in content.rows]


def _check_header(header: Sequence[str], needed: Sequence[str], table: Path) -> None:
    repeated = [name for name in COLUMNS if header.count(name) > 1]
    if repeated:
        raise TrainingError(
            f"{table}, line 1: column {repeated[0]} is there {header.count(repeated[0])} times", fix="rename one"
        )
    missing = [name for name in needed if name not in header]
    if missing:
        raise TrainingError(
            f"{table}, line 1: no column {', '.join(missing)} (found: {', '.join(header)})",
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
            skipped[clip.audio] = Skipped(clip.audio, f"{reason} ({where.rpartition(', ')[2]} of the table)")
            first = first or f"{where}: {reason}: {clip.audio}"
    if first is not None and len(skipped) == len(reasons):
        raise TrainingError(first, fix=fix)
    return skipped
