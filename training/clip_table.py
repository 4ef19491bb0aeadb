"""The table of clips that a network is trained on: a CSV file, checked line by line before any work begins.

This module reads and writes words and paths only; it opens no recording.
"""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from device.errors import TrainingError
from device.front_end.tokens import normalise
from training.clips import SPLIT_NAMES, Clip, check_trainable
from training.splits import make_splits

COLUMNS = ("audio", "text", "label", "split")
HEARD = "text_vosk"
_NEEDED = ("audio", "text", "label")
_MORE_COLUMNS = ("speaker", "dialogue", "id")


def read_clip_table(table: Path, audio_root: Path | None = None, seed: int = 1) -> tuple[Clip, ...]:
    """Read a table as `read_table` does, and check that it can be trained on.

    Raises:
        TrainingError: see `read_table` and `check_trainable`.
    """
    clips, _ = read_table(table, audio_root, seed)
    check_trainable(clips, str(table))
    return clips


def read_table(table: Path, audio_root: Path | None = None, seed: int = 1) -> tuple[tuple[Clip, ...], str]:
    """Read a table with the columns audio, text and label; of other columns those that a `Clip` has are taken.

    Args:
        table: CSV file in UTF-8 with a header line. An empty `audio` means no sound, an empty `text` no words; the
            columns split, speaker, dialogue, id and text_vosk may be missing.
        audio_root: folder that relative audio paths start from; the table's own folder if None.
        seed: decides the splits of a table that has none.

    Returns:
        The clips, and a sentence on how they were split if the table does not say; it is empty if the table does.

    Raises:
        TrainingError: the table cannot be read, or a line is wrong.
    """
    rows = _read_rows(table)
    has_splits = any(row.get("split") for _, row in rows)
    clips = tuple(_clip(row, where, audio_root or table.parent, has_splits) for where, row in rows)
    return (clips, "") if has_splits else make_splits(clips, seed)


def write_clip_table(table: Path, clips: Sequence[Clip]) -> None:
    """Write a table that `read_table` reads back as these clips, whole or not at all.

    Audio paths are written relative to the table's folder, so that corpus and table can move together.

    Raises:
        TrainingError: the disk is full, or the place cannot be written to; `table` is as it was.
    """
    partial = table.with_name(f".{table.name}.part")
    folder = table.parent.resolve()
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow((*COLUMNS, *_MORE_COLUMNS, HEARD))
            for clip in clips:
                audio = "" if clip.audio is None else os.path.relpath(clip.audio.resolve(), folder)
                writer.writerow(
                    (audio, clip.text, clip.label, clip.split, clip.speaker, clip.dialogue, clip.id, clip.heard or "")
                )
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(table)
    except OSError as error:
        raise TrainingError(
            f"{table}: cannot be written ({error.strerror}); free some space or choose another place"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _read_rows(table: Path) -> list[tuple[str, dict[str, str]]]:
    """Where each row stands, for messages, and its values by column."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(header, table)
            rows = list(_rows(reader, header, table))
    except UnicodeDecodeError as error:
        raise TrainingError(f"{table}: not UTF-8 text ({error.reason}); save it again as CSV in UTF-8") from None
    except csv.Error as error:
        raise TrainingError(f'{table}, line {reader.line_num}: not valid CSV ({error}); quote texts with ""') from None
    except OSError as error:
        raise TrainingError(f"{table}: cannot be read ({error.strerror}); give the path of a CSV table") from None
    if not rows:
        raise TrainingError(f"{table}: no rows below the header; add one row per clip")
    return rows


def _check_header(header: list[str], table: Path) -> None:
    if not any(header):
        raise TrainingError(f"{table}: the table is empty; its first line must be {','.join(COLUMNS)}")
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise TrainingError(
            f"{table}, line 1: no column {', '.join(missing)} (found: {', '.join(header)}); "
            f"the first line must name {', '.join(_NEEDED)}, and split if there are splits"
        )


def _rows(reader: "Iterable[list[str]]", header: list[str], table: Path) -> Iterable[tuple[str, dict[str, str]]]:
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        # `line_num` counts lines as an editor does, also where a quoted text runs over several.
        where = f"{table}, line {reader.line_num}"  # type: ignore[attr-defined]  # csv.reader has no public type
        if len(values) != len(header):
            raise TrainingError(
                f"{where}: {len(values)} values for {len(header)} columns; put a text with a comma in double quotes"
            )
        yield where, dict(zip(header, (value.strip() for value in values), strict=True))


def _clip(row: dict[str, str], where: str, audio_root: Path, has_splits: bool) -> Clip:
    label, split = row["label"], row.get("split", "")
    if not label or len(label.splitlines()) != 1:
        raise TrainingError(f"{where}: label is {label!r}; give the name of the class, on one line")
    if has_splits and split not in SPLIT_NAMES:
        raise TrainingError(f"{where}: split is {split!r}, expected one of {', '.join(SPLIT_NAMES)}")
    if not row["audio"] and not normalise(row["text"]):
        raise TrainingError(f"{where}: neither audio nor words; give at least one of them or delete the row")
    audio = audio_root / row["audio"] if row["audio"] else None
    if audio is not None and not audio.is_file():
        raise TrainingError(
            f"{where}: no such file {audio}; correct the path, or say where they start with --audio-root"
        )
    more = {name: row.get(name, "") for name in _MORE_COLUMNS}
    heard = None if audio is None else row.get(HEARD)
    return Clip(audio, row["text"], label, SPLIT_NAMES.get(split, ""), **more, heard=heard)
