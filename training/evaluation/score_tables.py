"""Figures as tables for the terminal."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Column, Table

from training.evaluation.bootstrap import interval
from training.evaluation.scores import Scores

SUMMARY = {
    "accuracy": "accuracy",
    "weighted F1": "weighted_f1",
    "macro F1": "macro_f1",
    "calibration error": "calibration_error",
}
"""Figures of a whole answer sheet: what they are called, and the property of `Scores`."""


def scores_table(
    scores: Mapping[str, Scores],
    title: str = "validation",
    resampled: Mapping[str, Scores | None] | None = None,
) -> Table:
    """One line of figures per way of asking.

    Args:
        scores: by way of asking.
        title: above the table.
        resampled: samples of the scores by a bootstrap, to show intervals.
    """
    table = Table(title=title)
    table.add_column("")
    for heading in ("rows", *SUMMARY):
        table.add_column(heading, justify="right")
    for name, score in scores.items():
        cells = summary_cells(score, (resampled or {}).get(name))
        table.add_row(name, str(score.rows), *map(_on_two_lines, cells))
    return table


def f1_table(scores: Mapping[str, Scores], labels: Sequence[str]) -> Table:
    """F1 of each class, a line each, since there may be more of them than a terminal has room for side by side.

    Args:
        scores: by way of asking.
        labels: the classes.
    """
    table = Table("", *(Column(name, justify="right") for name in scores), title="F1 by class")
    columns = [_written(score, None, "f1") for score in scores.values()]
    for label, *cells in zip(labels, *columns, strict=True):
        table.add_row(label, *cells)
    return table


def summary_cells(score: Scores, resampled: Scores | None) -> list[str]:
    """The figures of `SUMMARY` as written: `0.503 (0.471-0.534)` (with an en dash), or without an interval."""
    return [cell for figure in SUMMARY.values() for cell in _written(score, resampled, figure)]


def class_table(name: str, score: Scores, labels: Sequence[str], resampled: Scores | None) -> Table:
    """Precision, recall, F1 and support of each class."""
    table = Table(title=f"by class, {name}")
    for heading in ("", "precision", "recall", "F1", "rows"):
        table.add_column(heading, justify="right" if heading else "left")
    for label, cells in zip(labels, class_cells(score, resampled), strict=True):
        table.add_row(label, *map(_on_two_lines, cells))
    return table


def class_cells(score: Scores, resampled: Scores | None) -> list[list[str]]:
    """Precision, recall, F1 and support as written, a list for each class."""
    columns = [_written(score, resampled, figure) for figure in ("precision", "recall", "f1")]
    return [list(cells) for cells in zip(*columns, map(str, score.support), strict=True)]


def _on_two_lines(cell: str) -> str:
    """The interval below its figure, and nothing around it: the table has to fit into 80 columns."""
    return cell.replace(" (", "\n").removesuffix(")")


def _written(score: Scores, resampled: Scores | None, figure: str) -> list[str]:
    values = np.atleast_1d(getattr(score, figure))
    if resampled is None:
        return [f"{value:.3f}" for value in values]
    bounds = (np.atleast_1d(bound) for bound in interval(getattr(resampled, figure)))
    return [f"{value:.3f} ({low:.3f}\u2013{high:.3f})" for value, low, high in zip(values, *bounds, strict=True)]


def confusion_table(name: str, score: Scores, labels: Sequence[str]) -> Table:
    """The confusion matrix for the terminal."""
    table = Table("said \\ heard as", *labels, title=f"confusion, {name}")
    for label, counts in zip(labels, score.confusion, strict=True):
        table.add_row(label, *(str(count) for count in counts))
    return table
