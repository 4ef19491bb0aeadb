"""The table of clips that a network is trained on: a CSV file, checked line by line before any work begins.

This module reads words and paths only; it opens no recording.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from device.errors import TrainingError
from device.front_end.tokens import normalise

COLUMNS = ("audio", "text", "label", "split")
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_SPLITS = {TRAIN: TRAIN, VALIDATION: VALIDATION, "dev": VALIDATION, TEST: TEST}


@dataclass(frozen=True)
class Clip:
    """One row of the table: what was said once, how it sounded, and the class it belongs to."""

    audio: Path | None
    """The recording, or None where there is no sound."""
    text: str
    """The words as written in the table; empty where there are none."""
    label: str
    """Name of the class."""
    split: str
    """`train`, `validation` or `test`; test clips are kept for an evaluation and take no part in training."""
    speaker: str = ""
    """Who said it; empty where the table does not tell."""
    dialogue: str = ""
    """The conversation that it belongs to; empty where the table does not tell."""


def read_clip_table(table: Path, audio_root: Path | None = None) -> tuple[Clip, ...]:
    """Read and check a table with the columns audio, text, label and split; `speaker` and `dialogue` may be there.

    Args:
        table: CSV file in UTF-8 with a header line. An empty `audio` means no sound, an empty `text` no words.
        audio_root: folder that relative audio paths start from; the table's own folder if None.

    Raises:
        TrainingError: the table cannot be read, a line is wrong, or the rows are not enough to train on.
    """
    clips = read_clips(table, audio_root)
    check_trainable(clips, str(table))
    return clips


def check_trainable(clips: Sequence[Clip], where: str) -> None:
    """Check that there are clips in both splits and enough of each class.

    Args:
        clips: clips of any split; those of `test` are not looked at.
        where: the table's name, for the message.

    Raises:
        TrainingError: an empty split, fewer than two classes, or a class that training never or only once sees.
    """
    counts = {split: Counter(clip.label for clip in clips if clip.split == split) for split in (TRAIN, VALIDATION)}
    for split, labels in counts.items():
        if not labels:
            raise TrainingError(f"{where}: no clip has split {split!r}; give some rows `{split}` in the split column")
    train, both = counts[TRAIN], counts[TRAIN] + counts[VALIDATION]
    if len(both) < 2:
        raise TrainingError(f"{where}: every clip has the label {next(iter(both))!r}; training needs at least 2 labels")
    once = sorted(label for label, count in both.items() if count == 1)
    if once:
        raise TrainingError(
            f"{where}: label {once[0]!r} is in one row only; correct it if mistyped, or add clips of it"
        )
    never = sorted(set(both) - set(train))
    if never:
        raise TrainingError(f"{where}: label {never[0]!r} is in validation rows only; add train rows with it")


def read_clips(table: Path, audio_root: Path | None = None) -> tuple[Clip, ...]:
    """Read a table as `read_clip_table` does, of which nothing is to be learnt: any splits and labels will do.

    Raises:
        TrainingError: the table cannot be read, or a line is wrong.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(header, table)
            clips = tuple(_clips(reader, header, table, audio_root or table.parent))
    except UnicodeDecodeError as error:
        raise TrainingError(f"{table}: not UTF-8 text ({error.reason}); save it again as CSV in UTF-8") from None
    except csv.Error as error:
        raise TrainingError(f'{table}, line {reader.line_num}: not valid CSV ({error}); quote texts with ""') from None
    except OSError as error:
        raise TrainingError(f"{table}: cannot be read ({error.strerror}); give the path of a CSV table") from None
    if not clips:
        raise TrainingError(f"{table}: no rows below the header; add one row per clip")
    return clips


def _check_header(header: list[str], table: Path) -> None:
    if not any(header):
        raise TrainingError(f"{table}: the table is empty; its first line must be {','.join(COLUMNS)}")
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise TrainingError(
            f"{table}, line 1: no column {', '.join(missing)} (found: {', '.join(header)}); "
            f"the first line must name {', '.join(COLUMNS)}"
        )


def _clips(reader: "Iterable[list[str]]", header: list[str], table: Path, audio_root: Path) -> Iterable[Clip]:
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        # `line_num` counts lines as an editor does, also where a quoted text runs over several.
        where = f"{table}, line {reader.line_num}"  # type: ignore[attr-defined]
        if len(values) != len(header):
            raise TrainingError(
                f"{where}: {len(values)} values for {len(header)} columns; put a text with a comma in double quotes"
            )
        row = dict(zip(header, (value.strip() for value in values), strict=True))
        yield _clip(row, where, audio_root)


def _clip(row: dict[str, str], where: str, audio_root: Path) -> Clip:
    label, split = row["label"], row["split"]
    if not label or len(label.splitlines()) != 1:
        raise TrainingError(f"{where}: label is {label!r}; give the name of the class, on one line")
    if split not in _SPLITS:
        raise TrainingError(f"{where}: split is {split!r}, expected one of {', '.join(_SPLITS)}")
    if not row["audio"] and not normalise(row["text"]):
        raise TrainingError(f"{where}: neither audio nor words; give at least one of them or delete the row")
    audio = audio_root / row["audio"] if row["audio"] else None
    if audio is not None and not audio.is_file():
        raise TrainingError(
            f"{where}: no such file {audio}; correct the path, or say where they start with --audio-root"
        )
    return Clip(audio, row["text"], label, _SPLITS[split], row.get("speaker", ""), row.get("dialogue", ""))
