"""The clip table `clips.csv`: the columns that every clip table may have, and the table of a recorded folder.

`training.data.clip_table` reads the same columns for training. Here rows and columns that are in the file already stay
unchanged, no matter which program wrote them.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device.errors import RecordingError
from device.system.atomic_write import atomic_write
from device.system.paths import GIT_LFS, error_about, is_git_lfs_pointer

REQUIRED_COLUMNS = ("audio", "text", "label")
"""Path of the recording, transcript, and class. Either of the first two may be empty in a row, the class may not."""
TRAINING_COLUMNS = (*REQUIRED_COLUMNS, "split")
RECORDED_COLUMNS = (*TRAINING_COLUMNS, "speaker")
"""The columns that a recording session fills in, in the order of a new table."""
ORIGIN_COLUMNS = ("speaker", "dialogue", "id")
"""Where a clip of a corpus comes from; each column may be missing."""
TRANSCRIPT_COLUMN = "text_vosk"
"""What Vosk transcribes, beside the `text` that a person wrote."""
COLUMNS = (*TRAINING_COLUMNS, *ORIGIN_COLUMNS, TRANSCRIPT_COLUMN)
"""All columns, in the order in which training writes them."""

Row = dict[str, str]
"""Values by column."""


@dataclass(frozen=True)
class ClipRows:
    """The columns and rows of a clip table."""

    columns: tuple[str, ...] = RECORDED_COLUMNS
    """Names of the columns in the order of the file; at least `RECORDED_COLUMNS`."""
    rows: Sequence[Row] = ()
    """Rows in the order of the file."""

    @property
    def split(self) -> str:
        """The split of a new clip: empty, so that training makes the splits, unless other rows have one."""
        return "train" if any(row["split"] for row in self.rows) else ""


@dataclass(frozen=True)
class Table:
    """The content of a CSV table."""

    columns: tuple[str, ...]
    """Names of the columns in the order of the file."""
    rows: Sequence[tuple[int, Row]]
    """The rows that are not empty, each with the number of its line."""


def read_clip_rows(table: Path) -> ClipRows:
    """Read a clip table; a missing file is an empty table.

    Raises:
        RecordingError: the file cannot be read, or is not a clip table.
    """
    fix = "move it away, or record into another folder"
    try:
        content = _read(table, REQUIRED_COLUMNS, RECORDED_COLUMNS, fix)
    except FileNotFoundError:
        return ClipRows()
    columns = (*content.columns, *(name for name in RECORDED_COLUMNS if name not in content.columns))
    return ClipRows(columns, [dict.fromkeys(RECORDED_COLUMNS, "") | row for _, row in content.rows])


def read_table(table: Path, required: Sequence[str], *, fix: str) -> Table:
    """Read a CSV table of clips.

    Args:
        table: the file, in UTF-8, with a header line.
        required: columns that it must have; any others are read as well.
        fix: what the user can do about a file that is none, in the imperative.

    Raises:
        RecordingError: the file cannot be read, or is not such a table.
    """
    try:
        return _read(table, required, required, fix)
    except FileNotFoundError as error:
        raise RecordingError(f"{table}: cannot be read ({error.strerror})", fix=fix) from None


def write_clip_rows(table: Path, content: ClipRows) -> None:
    """Write a clip table atomically.

    Raises:
        OSError: it cannot be written; `table` is unchanged.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, content.columns)
    writer.writeheader()
    writer.writerows(content.rows)
    with atomic_write(table) as stream:
        stream.write(text.getvalue().encode())


def _read(table: Path, required: Sequence[str], named: Sequence[str], fix: str) -> Table:
    """Read a table as `read_table` does; a missing file is a `FileNotFoundError`.

    Args:
        table: the file.
        required: columns that it must have.
        named: columns that the message about a missing one names.
        fix: what the user can do about a file that is none.
    """
    try:
        content = table.read_bytes()
        if is_git_lfs_pointer(content):
            raise error_about(table, GIT_LFS, RecordingError)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordingError(f"{table}: cannot be read ({error.strerror})", fix=fix) from None
    except UnicodeDecodeError:
        raise RecordingError(f"{table}: not a table of clips (not UTF-8)", fix=fix) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(name.strip() for name in next(reader, []))
        missing = [name for name in required if name not in header]
        if missing or len(set(header)) != len(header):
            raise RecordingError(
                f"{table}: not a table of clips (its first line must name {', '.join(named)}, with "
                "commas between them)",
                fix=fix,
            )
        rows = []
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                raise RecordingError(
                    f"{table}, line {reader.line_num}: {len(values)} values for {len(header)} columns",
                    fix="correct that line",
                )
            rows.append((reader.line_num, dict(zip(header, values, strict=True))))
    except csv.Error as error:
        raise RecordingError(f"{table}, line {reader.line_num}: not valid CSV ({error})", fix=fix) from None
    return Table(header, rows)
