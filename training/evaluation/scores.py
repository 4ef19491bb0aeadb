"""Metrics of probabilities against labels: accuracy, F1, precision, recall, confusion matrix and calibration error.

Every metric is computed from sums over rows alone (`confusion` and `reliability`), so that a bootstrap can draw
thousands of samples by adding up sums. The metrics of many samples are computed at once along leading axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Metric: TypeAlias = NDArray[np.float64]
"""Values of a metric, shape (...): one number, or one for each sample of a bootstrap."""

BINS = 15
"""Number of equally wide confidence bins of the calibration error; a bin includes its upper edge, not its lower one."""


@dataclass(frozen=True)
class Scores:
    """Agreement of predictions with labels. A division by 0 gives 0, as in scikit-learn with `zero_division=0`."""

    confusion: NDArray[np.int64]
    """Confusion matrix, shape (..., labels, labels): rows are true classes, columns are predicted ones."""
    reliability: NDArray[np.float64]
    """Sums by confidence bin, shape (..., BINS, 3): number of predictions, sum of their confidences, number correct."""

    @classmethod
    def of(cls, labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> "Scores":
        """Count the predictions of some rows.

        Args:
            labels: true classes, shape (rows,).
            probabilities: predicted probabilities, shape (rows, labels), 0 to 1; the prediction is the most probable
                class, and its probability is the confidence.
        """
        return cls.of_groups(labels, probabilities, np.zeros_like(labels), 1).total(np.ones(1, np.int64))

    @classmethod
    def of_groups(
        cls, labels: NDArray[np.int64], probabilities: NDArray[np.float32], groups: NDArray[np.int64], count: int
    ) -> "Scores":
        """Count the predictions of each group of rows separately.

        Args:
            labels: true classes, shape (rows,).
            probabilities: predicted probabilities, shape (rows, labels), 0 to 1.
            groups: number of each row's group, shape (rows,), below `count`.
            count: number of groups.

        Returns:
            Scores with a leading axis of `count`.
        """
        classes = probabilities.shape[1]
        confusion = np.zeros((count, classes, classes), np.int64)
        reliability = np.zeros((count, BINS, 3))
        if len(labels):
            predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1).astype(np.float64)
            np.add.at(confusion, (groups, labels, predicted), 1)
            bins = np.searchsorted(np.arange(1, BINS) / BINS, confidence)
            counted = np.stack([np.ones(len(labels)), confidence, predicted == labels], axis=1)
            np.add.at(reliability, (groups, bins), counted)
        return cls(confusion, reliability)

    def total(self, weights: NDArray[np.int64]) -> "Scores":
        """Add up groups into samples.

        Args:
            weights: how often each sample contains each group, shape (..., groups).

        Returns:
            Scores whose leading axes are those of `weights` without the last.
        """
        return Scores(np.tensordot(weights, self.confusion, 1), np.tensordot(weights, self.reliability, 1))

    @property
    def rows(self) -> int:
        """Number of predictions, over all samples together."""
        return int(self.confusion.sum())

    @property
    def support(self) -> NDArray[np.int64]:
        """Number of rows whose true class is each class, shape (..., labels)."""
        return np.asarray(self.confusion.sum(axis=-1))

    @property
    def accuracy(self) -> Metric:
        """Share of correct predictions, 0 to 1."""
        return _share(self._hits.sum(axis=-1), self.confusion.sum(axis=(-2, -1)))

    @property
    def precision(self) -> Metric:
        """Share of the predictions of each class that are correct, shape (..., labels), 0 to 1."""
        return _share(self._hits, self.confusion.sum(axis=-2))

    @property
    def recall(self) -> Metric:
        """Share of the rows of each true class that are predicted so, shape (..., labels), 0 to 1."""
        return _share(self._hits, self.support)

    @property
    def f1(self) -> Metric:
        """F1 of each class, shape (..., labels), 0 to 1: twice the hits over all true plus all predicted rows."""
        return _share(2 * self._hits, self._true_and_predicted)

    @property
    def weighted_f1(self) -> Metric:
        """Mean of F1 over the classes, each weighted by its support, 0 to 1."""
        return _share((self.f1 * self.support).sum(axis=-1), self.support.sum(axis=-1))

    @property
    def macro_f1(self) -> Metric:
        """Unweighted mean of F1 over the classes that occur at all, as a label or as a prediction, 0 to 1."""
        return _share(self.f1.sum(axis=-1), (self._true_and_predicted > 0).sum(axis=-1))

    @property
    def calibration_error(self) -> Metric:
        """Expected calibration error, 0 to 1: the mean gap between confidence and accuracy over the predictions.

        The sum over `BINS` bins of `|correct - sum of confidence|`, over all rows (Guo et al., "On Calibration of
        Modern Neural Networks", 2017, equation 3).
        """
        gaps = np.abs(self.reliability[..., 2] - self.reliability[..., 1]).sum(axis=-1)
        return _share(gaps, self.reliability[..., 0].sum(axis=-1))

    def to_card(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return the metrics as plain values for a model card, rounded to four digits."""
        return {
            "rows": self.rows,
            "accuracy": round(float(self.accuracy), 4),
            "weighted_f1": round(float(self.weighted_f1), 4),
            "macro_f1": round(float(self.macro_f1), 4),
            "calibration_error": round(float(self.calibration_error), 4),
            "f1": {label: round(float(value), 4) for label, value in zip(labels, self.f1, strict=True)},
            "confusion": self.confusion.tolist(),
        }

    @property
    def _hits(self) -> NDArray[np.int64]:
        return np.diagonal(self.confusion, axis1=-2, axis2=-1)

    @property
    def _true_and_predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.confusion.sum(axis=-1) + self.confusion.sum(axis=-2))


def _share(part: NDArray[Any], total: NDArray[Any]) -> Metric:
    """Return `part / total`, and 0 where the total is 0."""
    return np.asarray(part / np.where(total == 0, 1, total), np.float64)
