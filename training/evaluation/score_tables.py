"""Tables of metrics for the terminal."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Column, Table

from device.system.display import displayable
from training.evaluation.bootstrap import interval
from training.evaluation.scores import Scores

SUMMARY = {
    "accuracy": "accuracy",
    "weighted F1": "weighted_f1",
    "macro F1": "macro_f1",
    "calibration error": "calibration_error",
}
"""Heading of each metric over all classes, and the property of `Scores` that computes it."""


def scores_table(
    scores: Mapping[str, Scores],
    title: str = "validation",
    resampled: Mapping[str, Scores | None] | None = None,
) -> Table:
    """Build a table with one line of metrics per modality.

    Args:
        scores: scores by modality.
        title: heading of the table.
        resampled: scores of bootstrap samples by modality, to show intervals.
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
    """Build a table of F1 with one line per class: a terminal may be too narrow for a column per class.

    Args:
        scores: scores by modality.
        labels: names of the classes.
    """
    table = Table("", *(Column(name, justify="right") for name in scores), title="F1 by class")
    columns = [_formatted(score, None, "f1") for score in scores.values()]
    for label, *cells in zip(labels, *columns, strict=True):
        table.add_row(displayable(label), *cells)
    return table


def class_table(name: str, score: Scores, labels: Sequence[str], resampled: Scores | None) -> Table:
    """Build a table of precision, recall, F1 and support of each class."""
    table = Table(title=f"by class, {name}")
    for heading in ("", "precision", "recall", "F1", "rows"):
        table.add_column(heading, justify="right" if heading else "left")
    for label, cells in zip(labels, class_cells(score, resampled), strict=True):
        table.add_row(displayable(label), *map(_on_two_lines, cells))
    return table


def confusion_table(name: str, score: Scores, labels: Sequence[str]) -> Table:
    """Build a table of the confusion matrix."""
    table = Table("true \\ predicted", *map(displayable, labels), title=f"confusion, {name}")
    for label, counts in zip(labels, score.confusion, strict=True):
        table.add_row(displayable(label), *(str(count) for count in counts))
    return table


def summary_cells(score: Scores, resampled: Scores | None) -> list[str]:
    """Format the metrics of `SUMMARY`: `0.503 (0.471-0.534)` (with an en dash), or without an interval."""
    return [cell for metric in SUMMARY.values() for cell in _formatted(score, resampled, metric)]


def class_cells(score: Scores, resampled: Scores | None) -> list[list[str]]:
    """Format precision, recall, F1 and support of each class; returns a list for each class."""
    columns = [_formatted(score, resampled, metric) for metric in ("precision", "recall", "f1")]
    return [list(cells) for cells in zip(*columns, map(str, score.support), strict=True)]


def _on_two_lines(cell: str) -> str:
    """Put the interval below its value, without brackets: the table has to fit into 80 columns."""
    return cell.replace(" (", "\n").removesuffix(")")


def _formatted(score: Scores, resampled: Scores | None, metric: str) -> list[str]:
    values = np.atleast_1d(getattr(score, metric))
    if resampled is None:
        return [f"{value:.3f}" for value in values]
    bounds = (np.atleast_1d(bound) for bound in interval(getattr(resampled, metric)))
    return [f"{value:.3f} ({low:.3f}\u2013{high:.3f})" for value, low, high in zip(values, *bounds, strict=True)]
