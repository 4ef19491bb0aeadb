"""The table of a folder of clips, as `edge-mcnn train` reads it: read, and written whole or not at all.

Rows and columns that are there already are kept as they are, whoever wrote them.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device.errors import RecordingError
from device.system.atomic_write import atomic_write

COLUMNS = ("audio", "text", "label", "split", "speaker")
_NEEDED = ("audio", "text", "label")

Row = dict[str, str]
"""Values by column."""


@dataclass(frozen=True)
class ClipRows:
    """The rows of a table."""

    columns: tuple[str, ...] = COLUMNS
    """In their order; at least `COLUMNS`."""
    rows: Sequence[Row] = ()

    @property
    def split(self) -> str:
        """What a new clip has in the column split: none, so that training makes splits, unless others have one."""
        return "train" if any(row["split"] for row in self.rows) else ""


def read_clip_rows(table: Path) -> ClipRows:
    """The rows of a table; none if there is no table.

    Raises:
        RecordingError: the file is no table of clips, or cannot be read.
    """
    advice = "move it away, or record into another folder"
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ClipRows()
    except OSError as error:
        raise RecordingError(f"{table}: cannot be read ({error.strerror}); {advice}") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{table}: not a table of clips (not UTF-8); {advice}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(name.strip() for name in next(reader, []))
        missing = [name for name in _NEEDED if name not in header]
        if missing or len(set(header)) != len(header):
            raise RecordingError(
                f"{table}: not a table of clips (its first line must name {', '.join(COLUMNS)}, with commas between "
                f"them); {advice}"
            )
        rows = []
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                raise RecordingError(
                    f"{table}, line {reader.line_num}: {len(values)} values for {len(header)} columns; correct that "
                    "line"
                )
            rows.append(dict.fromkeys(COLUMNS, "") | dict(zip(header, values, strict=True)))
    except csv.Error as error:
        raise RecordingError(f"{table}, line {reader.line_num}: not valid CSV ({error}); {advice}") from None
    return ClipRows((*header, *(name for name in COLUMNS if name not in header)), rows)


def write_clip_rows(table: Path, content: ClipRows) -> None:
    """Write the table.

    Raises:
        OSError: it cannot be written; `table` is as it was.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, content.columns)
    writer.writeheader()
    writer.writerows(content.rows)
    with atomic_write(table) as stream:
        stream.write(text.getvalue().encode())
