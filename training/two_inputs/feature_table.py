"""Reads a table of numeric features: samples in rows, features in columns, and a column that names the image."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from device.errors import TrainingError
from device.system.display import displayable
from training.data.reading.csv_table import read_csv_table

_SHOWN = 3
"""Number of rows that an error message lists."""


class Columns(Protocol):
    """A table in memory: a dict of columns, or a pandas DataFrame."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Return pairs of a column's name and its values, one per row; values may be rows of a matrix."""


TableSource: TypeAlias = Path | str | Columns
"""Path of a CSV file, or a table in memory."""


@dataclass(frozen=True)
class FeatureTable:
    """The checked content of a table."""

    name: str
    """The table, for messages."""
    rows: tuple[str, ...]
    """Where each row is, for messages."""
    ids: tuple[str, ...]
    """Name of each row's image."""
    features: NDArray[np.float32]
    """Shape (rows, features): the numeric columns side by side."""
    feature_columns: tuple[str, ...]
    """Names of the columns in `features`."""
    targets: NDArray[np.int64] | NDArray[np.float32] | None
    """Shape (rows,): class of each row; or shape (rows, targets), numbers; or None if the table has no targets."""
    labels: tuple[str, ...]
    """Names of the classes in the order of their numbers; empty if the targets are not classes."""


def read_feature_table(
    source: TableSource,
    id_column: str,
    feature_columns: Sequence[str] | None,
    label_column: str | None,
    target_columns: Sequence[str],
    labels: Sequence[str] | None,
) -> FeatureTable:
    """Read and check a table, see `TwoInputGenerator` for the arguments.

    Raises:
        TrainingError: the table cannot be read, a column is missing or appears twice, or a value is missing, not a
            number, not finite, or not one of the labels.
    """
    table = _Table(source)
    ids = tuple(str(value).strip() for value in table.column(id_column).tolist())
    table.check(~np.array([not name or name == "nan" for name in ids], bool), id_column, ids, "no ID")
    reserved = {id_column, *target_columns, *([] if label_column is None else [label_column])}
    chosen = table.numeric_names(reserved) if feature_columns is None else tuple(feature_columns)
    if not chosen:
        raise TrainingError(
            f"{table.name}: no numeric column beside {', '.join(map(displayable, sorted(reserved)))}",
            fix="add a column of numbers, or name the columns with feature_columns",
        )
    features = np.concatenate([table.numbers(name) for name in chosen], axis=1)
    targets: NDArray[np.int64] | NDArray[np.float32] | None = None
    classes: tuple[str, ...] = ()
    if label_column is not None:
        targets, classes = _classes(table, label_column, labels)
    elif target_columns:
        targets = np.concatenate([table.numbers(name) for name in target_columns], axis=1)
    return FeatureTable(table.name, table.rows, ids, features, chosen, targets, classes)


def _classes(table: "_Table", column: str, labels: Sequence[str] | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    values = [str(value).strip() for value in table.column(column).tolist()]
    table.check(np.array([value not in ("", "nan", "None") for value in values], bool), column, values, "no label")
    classes = tuple(sorted(set(values)) if labels is None else labels)
    known = np.array([value in classes for value in values], bool)
    table.check(known, column, values, f"not among the labels {', '.join(map(displayable, classes))}")
    return np.array([classes.index(value) for value in values], np.int64), classes


class _Table:
    """Columns by name, from a file or from memory."""

    def __init__(self, source: TableSource) -> None:
        if isinstance(source, Path | str):
            content = read_csv_table(Path(source), "ID,weight,size")
            content.require_rows("sample")
            self.name = displayable(source)
            self.rows = tuple(row.where.rpartition(", ")[2] for row in content.rows)
            names = content.header
            columns = [np.array(values, np.str_) for values in zip(*(row.values for row in content.rows), strict=True)]
        else:
            pairs = [(str(name), np.asarray(values)) for name, values in source.items()]
            self.name = "the table"
            names = tuple(name for name, _ in pairs)
            columns = [values for _, values in pairs]
            lengths = {name: len(values) if values.ndim else 0 for name, values in pairs}
            if len(set(lengths.values())) > 1 or not any(lengths.values()):
                found = ", ".join(f"{displayable(name)} {length}" for name, length in lengths.items())
                raise TrainingError(
                    f"the table: its columns have no rows, or different numbers of rows ({found or 'no columns'})",
                    fix="give every column one value for each sample",
                )
            self.rows = tuple(f"row {row}" for row in range(len(columns[0])))
        repeated = sorted({name for name in names if name and names.count(name) > 1})
        if repeated:
            raise TrainingError(
                f"{self.name}: column {displayable(repeated[0])} appears {names.count(repeated[0])} times",
                fix="rename one",
            )
        self._columns = dict(zip(names, columns, strict=True))

    def column(self, name: str) -> NDArray[Any]:
        """Return the values of a column, shape (rows,) or (rows, n)."""
        if name not in self._columns:
            near = difflib.get_close_matches(name.lower(), [each.lower() for each in self._columns], n=1)
            similar = next((each for each in self._columns if near and each.lower() == near[0]), "")
            raise TrainingError(
                f"{self.name}: no column {displayable(name)} (found: {', '.join(map(displayable, self._columns))})",
                fix=f"did you mean {displayable(similar)}?" if similar else "correct the name of the column",
            )
        return self._columns[name]

    def numeric_names(self, reserved: set[str]) -> tuple[str, ...]:
        """Return the columns with at least one number in them, without the reserved ones and those without a name."""
        return tuple(
            name
            for name, values in self._columns.items()
            if name and name not in reserved and not np.isnan(_as_numbers(values)).all()
        )

    def numbers(self, name: str) -> NDArray[np.float32]:
        """Return a column of numbers, shape (rows, n)."""
        values = self.column(name)
        numbers = _as_numbers(values)
        with np.errstate(over="ignore"):
            found = numbers.reshape(len(numbers), -1).astype(np.float32)
        shown = values.tolist()
        missing = [str(each).strip().lower() in ("", "nan", "none", "na", "n/a", "<na>") for each in shown]
        self.check(~np.array(missing, bool), name, shown, "no value")
        self.check(np.isfinite(found).all(axis=1), name, shown, "not a finite number")
        return found

    def check(self, right: NDArray[np.bool_], column: str, values: Sequence[object], problem: str) -> None:
        """Check all values of a column; raises an error that lists the first wrong ones and counts all."""
        wrong = np.flatnonzero(~right)
        if not len(wrong):
            return
        listed = ", ".join(f"'{_shortened(values[row])}' ({self.rows[row]})" for row in wrong[:_SHOWN])
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise TrainingError(
            f"{self.name}: column {displayable(column)}: {problem}: {listed}{more}",
            fix="correct the values, delete the rows, or choose other columns",
        )


def _as_numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the values as numbers; NaN for a value that is none."""
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    return np.array([_as_number(value) for value in values.ravel().tolist()], np.float64).reshape(values.shape)


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _shortened(value: object) -> str:
    text = displayable(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
