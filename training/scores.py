"""How well predictions agree with labels: accuracy, F1 per class and the confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table


@dataclass(frozen=True)
class Scores:
    """Agreement of predictions with labels. F1 of a class without any label or prediction is 0, as in scikit-learn."""

    confusion: NDArray[np.int64]
    """Shape (labels, labels): rows are the true class, columns the predicted one."""

    @classmethod
    def of(cls, labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> "Scores":
        """Count the pairs of two arrays of shape (rows,) that hold class indices below `classes`."""
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, (labels, predicted), 1)
        return cls(confusion)

    @property
    def rows(self) -> int:
        """Number of predictions."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of predictions that are right, 0 to 1."""
        return float(np.trace(self.confusion) / max(self.rows, 1))

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 of each class, shape (labels,), 0 to 1: twice the hits over all true plus all predicted."""
        total = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        f1: NDArray[np.float64] = 2 * np.diag(self.confusion) / np.maximum(total, 1)
        return f1

    @property
    def weighted_f1(self) -> float:
        """Mean of F1, each class weighing as many rows as it truly has."""
        return float(self.f1 @ self.confusion.sum(axis=1) / max(self.rows, 1))

    @property
    def macro_f1(self) -> float:
        """Plain mean of F1 over the classes that occur at all."""
        occurring = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) > 0
        return float(self.f1[occurring].mean()) if occurring.any() else 0.0

    def to_card(self, labels: Sequence[str]) -> dict[str, Any]:
        """The figures as they stand in a model card."""
        return {
            "rows": self.rows,
            "accuracy": round(self.accuracy, 4),
            "weighted_f1": round(self.weighted_f1, 4),
            "macro_f1": round(self.macro_f1, 4),
            "f1": {label: round(float(value), 4) for label, value in zip(labels, self.f1, strict=True)},
            "confusion": self.confusion.tolist(),
        }


def scores_table(scores: dict[str, Scores], labels: Sequence[str]) -> Table:
    """One line of figures per way of asking, for the terminal."""
    table = Table(title="validation")
    for heading in ("", "rows", "accuracy", "weighted F1", "macro F1", *(f"F1 {label}" for label in labels)):
        table.add_column(heading, justify="right" if heading else "left")
    for name, score in scores.items():
        figures = [score.accuracy, score.weighted_f1, score.macro_f1, *score.f1]
        table.add_row(name, str(score.rows), *(f"{figure:.3f}" for figure in figures))
    return table


def confusion_table(name: str, score: Scores, labels: Sequence[str]) -> Table:
    """The confusion matrix for the terminal."""
    table = Table("said \\ heard as", *labels, title=f"confusion, {name}")
    for label, counts in zip(labels, score.confusion, strict=True):
        table.add_row(label, *(str(count) for count in counts))
    return table
