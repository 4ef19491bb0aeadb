"""Reads CSV files: header and rows, each with its line, so that every error names the place in the file."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from device.errors import TrainingError
from device.system.display import displayable
from device.system.paths import GIT_LFS, cannot_use, error_about, is_git_lfs_pointer, open_file


@dataclass(frozen=True)
class CsvRow:
    """The values of a row, and where it is."""

    where: str
    """File and line, for messages."""
    values: tuple[str, ...]
    """One value per column, without spaces around it."""


@dataclass(frozen=True)
class CsvTable:
    """The columns and rows of a CSV file."""

    path: Path
    """The file."""
    header: tuple[str, ...]
    """Names of the columns, without spaces around them."""
    rows: tuple[CsvRow, ...]
    """All rows that are not empty."""

    def require_rows(self, row: str) -> None:
        """Check that there are rows.

        Args:
            row: what a row describes, such as "clip", for the fix.

        Raises:
            TrainingError: there is only a header.
        """
        if not self.rows:
            raise TrainingError(f"{displayable(self.path)}: no rows below the header", fix=f"add one row per {row}")


def read_csv_table(table: Path, header: str) -> CsvTable:
    """Read a CSV file with commas, in UTF-8, with a header line.

    Args:
        table: path of the file.
        header: an example of a header line, for the error about an empty file.

    Raises:
        TrainingError: the file cannot be read, is not valid CSV in UTF-8, or has a row of another length.
    """
    lines = _lines(table)
    names = tuple(name.strip() for name in next(lines, CsvRow("", ())).values)
    if not any(names):
        raise TrainingError(f"{displayable(table)}: the table is empty", fix=f"begin it with the line {header}")
    separator = next((name for sign, name in ((";", "semicolons"), ("\t", "tabs")) if sign in names[0]), None)
    if len(names) == 1 and separator is not None:
        raise TrainingError(
            f"{displayable(table)}, line 1: columns are separated by {separator}",
            fix="save it again as CSV with commas, in UTF-8",
        )
    rows = []
    for line in lines:
        values = tuple(value.strip() for value in line.values)
        if not any(values):
            continue
        if len(values) != len(names):
            raise TrainingError(
                f"{line.where}: {len(values)} values for {len(names)} columns",
                fix="put a text with a comma in double quotes",
            )
        rows.append(CsvRow(line.where, values))
    return CsvTable(table, names, tuple(rows))


def read_csv_text(file: Path, fix: str) -> io.StringIO:
    """Read a CSV file in UTF-8, with or without a byte order mark; a wrong encoding is reported by its first line.

    Args:
        file: path of the CSV file.
        fix: the fix for a file in another encoding, for the error.

    Returns:
        The text of the file with unchanged line ends, as the module `csv` requires.

    Raises:
        TrainingError: the file cannot be read, or is not UTF-8.
    """
    try:
        with open_file(file) as stream:
            content = stream.read()
    except (OSError, ValueError) as error:
        raise cannot_use(file, error, TrainingError, fix="give the path of a CSV table") from None
    if is_git_lfs_pointer(content):
        raise error_about(file, GIT_LFS, TrainingError)
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise TrainingError(
            f"{displayable(file)}, line {line}: not UTF-8 text (contains NUL bytes, as UTF-16 does)", fix=fix
        )
    try:
        return io.StringIO(content.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TrainingError(f"{displayable(file)}, line {line}: not UTF-8 text ({error.reason})", fix=fix) from None


def _lines(table: Path) -> Iterator[CsvRow]:
    """Yield for each line of the table where it ends, and its values."""
    reader = csv.reader(read_csv_text(table, "save it again as CSV in UTF-8"), strict=True)
    while True:
        began = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A quote that is never closed is found at the end of the file; the line that opens it is more useful.
            raise TrainingError(
                f"{displayable(table)}, line {began}: not valid CSV ({error})",
                fix='close the quotes, write " within them as ""',
            ) from None
        # `line_num` counts lines as an editor does, also where a quoted text runs over several.
        yield CsvRow(f"{displayable(table)}, line {reader.line_num}", tuple(values))
