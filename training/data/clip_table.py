"""The table of clips that a network is trained on: a CSV file, checked line by line before any work begins.

This module reads and writes words and paths only; it opens no recording.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from device.errors import TrainingError
from device.front_end.tokens import normalise
from device.recorder.clip_table import COLUMNS, ORIGIN_COLUMNS, TRAINING_COLUMNS, TRANSCRIPT_COLUMN
from device.system.atomic_write import atomic_write
from training.data.clips import SPLIT_NAMES, Clip, check_trainable, is_recording
from training.data.splits import make_splits


def read_clip_table(table: Path, audio_root: Path | None = None, seed: int = 1) -> tuple[Clip, ...]:
    """Read a table as `read_table` does, and check that it can be trained on.

    Raises:
        TrainingError: see `read_table` and `check_trainable`.
    """
    clips, _ = read_table(table, audio_root, seed)
    check_trainable(clips, str(table))
    return clips


def read_table(
    table: Path, audio_root: Path | None = None, seed: int = 1, *, audio: bool = True, text: bool = True
) -> tuple[tuple[Clip, ...], str]:
    """Read a table with the columns audio, text and label; of other columns those that a `Clip` has are taken.

    Args:
        table: CSV file in UTF-8 with a header line. An empty `audio` means no sound, an empty `text` no words; the
            columns split, speaker, dialogue, id and text_vosk may be missing.
        audio_root: folder that relative audio paths start from; the table's own folder if None.
        seed: decides the splits of a table that has none.
        audio: whether recordings will be read. If not, none need be there, and the column audio may be missing.
        text: whether words will be read. If not, the column text may be missing.

    Returns:
        The clips, and a sentence on how they were split if the table does not say; it is empty if the table does.

    Raises:
        TrainingError: the table cannot be read, or a line is wrong.
    """
    needed = [*(["audio"] if audio else []), *(["text"] if text else []), "label"]
    rows = _read_rows(table, needed)
    has_splits = any(row.get("split") for _, row in rows)
    clips = tuple(_clip(row, where, audio_root or table.parent, has_splits, check_audio=audio) for where, row in rows)
    return (clips, "") if has_splits else make_splits(clips, seed)


def write_clip_table(table: Path, clips: Sequence[Clip]) -> None:
    """Write a table that `read_table` reads back as these clips, whole or not at all.

    Audio paths are written relative to the table's folder, so that corpus and table can move together.

    Raises:
        TrainingError: the disk is full, or the place cannot be written to; `table` is as it was.
    """
    folder = table.parent.resolve()
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for clip in clips:
        audio = "" if clip.audio is None else os.path.relpath(clip.audio.resolve(), folder)
        writer.writerow(
            (audio, clip.text, clip.label, clip.split, clip.speaker, clip.dialogue, clip.id, clip.transcript or "")
        )
    try:
        with atomic_write(table) as stream:
            stream.write(text.getvalue().encode())
    except UnicodeEncodeError as error:
        raise TrainingError(f"{table}: {error.object!r} cannot be written in UTF-8; rename that recording") from None
    except OSError as error:
        raise TrainingError(
            f"{table}: cannot be written ({error.strerror}); free some space or choose another place"
        ) from None


def _read_rows(table: Path, needed: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Where each row stands, for messages, and its values by column."""
    lines = _lines(table)
    _, names = next(lines, ("", []))
    header = [name.strip() for name in names]
    _check_header(header, needed, table)
    rows = []
    for where, values in lines:
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(header):
            raise TrainingError(
                f"{where}: {len(values)} values for {len(header)} columns; put a text with a comma in double quotes"
            )
        rows.append((where, dict(zip(header, (value.strip() for value in values), strict=True))))
    if not rows:
        raise TrainingError(f"{table}: no rows below the header; add one row per clip")
    return rows


def _lines(table: Path) -> Iterator[tuple[str, list[str]]]:
    """Where each line of the table ends, and its values."""
    reader = csv.reader(read_csv_text(table, "save it again as CSV in UTF-8"), strict=True)
    while True:
        began = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A quote that is never closed is found at the end of the file: of use is where it was opened.
            raise TrainingError(
                f'{table}, line {began}: not valid CSV ({error}); close what is quoted, write " within it as ""'
            ) from None
        # `line_num` counts lines as an editor does, also where a quoted text runs over several.
        yield f"{table}, line {reader.line_num}", values


def _check_header(header: list[str], needed: Sequence[str], table: Path) -> None:
    if not any(header):
        raise TrainingError(f"{table}: the table is empty; its first line must be {','.join(TRAINING_COLUMNS)}")
    separator = next((name for sign, name in ((";", "semicolons"), ("\t", "tabs")) if sign in header[0]), None)
    if len(header) == 1 and separator is not None:
        raise TrainingError(
            f"{table}, line 1: columns are separated by {separator}; save it again as CSV with commas, in UTF-8"
        )
    twice = [name for name in COLUMNS if header.count(name) > 1]
    if twice:
        raise TrainingError(f"{table}, line 1: column {twice[0]} is there {header.count(twice[0])} times; rename one")
    missing = [name for name in needed if name not in header]
    if missing:
        raise TrainingError(
            f"{table}, line 1: no column {', '.join(missing)} (found: {', '.join(header)}); "
            f"the first line must name {', '.join(needed)}, and split if there are splits"
        )


def _clip(row: dict[str, str], where: str, audio_root: Path, has_splits: bool, *, check_audio: bool) -> Clip:
    label, split = row["label"], row.get("split", "")
    recording, text = row.get("audio", ""), row.get("text", "")
    if not label or len(label.splitlines()) != 1:
        raise TrainingError(f"{where}: label is {label!r}; give the name of the class, on one line")
    if has_splits and split not in SPLIT_NAMES:
        raise TrainingError(f"{where}: split is {split!r}, expected one of {', '.join(SPLIT_NAMES)}")
    if not recording and not normalise(text):
        raise TrainingError(f"{where}: neither audio nor words; give at least one of them or delete the row")
    audio = audio_root / recording if recording else None
    if check_audio and audio is not None and not is_recording(audio):
        what = "is a folder:" if os.path.isdir(audio) else "no such file"  # noqa: PTH112  # `is_dir` raises for long names
        raise TrainingError(f"{where}: {what} {audio}; correct the path, or say where they start with --audio-root")
    more = {name: row.get(name, "") for name in ORIGIN_COLUMNS}
    heard = None if audio is None else row.get(TRANSCRIPT_COLUMN)
    return Clip(audio, text, label, SPLIT_NAMES.get(split, ""), **more, transcript=heard)


def read_csv_text(file: Path, advice: str) -> io.StringIO:
    """Read a file in UTF-8, with or without a byte order mark.

    Args:
        file: the CSV file.
        advice: what to do about a file in another encoding, for the message.

    Returns:
        Its text with the line ends as they are, as the module `csv` wants them.

    Raises:
        TrainingError: it cannot be read, or is not UTF-8.
    """
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the path itself holds a NUL
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(f"{file}: cannot be read ({reason}); give the path of a CSV table") from None
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise TrainingError(f"{file}, line {line}: not UTF-8 text (holds NUL bytes, as UTF-16 does); {advice}")
    try:
        return io.StringIO(content.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TrainingError(f"{file}, line {line}: not UTF-8 text ({error.reason}); {advice}") from None
