"""How well probabilities agree with labels: accuracy, F1, precision, recall, confusion and calibration.

Every figure is computed from sums over rows alone (`confusion` and `reliability`), so that a bootstrap can draw
thousands of samples by adding up sums. The figures of many samples are computed at once along leading axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Figure: TypeAlias = NDArray[np.float64]
"""Shape (...): one number, or one for each sample of a bootstrap."""

BINS = 15
"""Of the calibration error: equally wide bins of confidence, each without its lower and with its upper edge."""


@dataclass(frozen=True)
class Scores:
    """Agreement of answers with labels. What would be divided by 0 is 0, as in scikit-learn with `zero_division=0`."""

    confusion: NDArray[np.int64]
    """Shape (..., labels, labels): rows are the true class, columns the answered one."""
    reliability: NDArray[np.float64]
    """Shape (..., BINS, 3): by confidence, the number of answers, the sum of their confidence, and how many are right.
    """

    @classmethod
    def of(cls, labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> "Scores":
        """Count answers.

        Args:
            labels: shape (rows,), the true classes.
            probabilities: shape (rows, labels), 0 to 1; the answer is the largest, its probability the confidence.
        """
        return cls.of_groups(labels, probabilities, np.zeros_like(labels), 1).total(np.ones(1, np.int64))

    @classmethod
    def of_groups(
        cls, labels: NDArray[np.int64], probabilities: NDArray[np.float32], groups: NDArray[np.int64], count: int
    ) -> "Scores":
        """The same for each group of rows; `groups` has shape (rows,) and numbers below `count`."""
        classes = probabilities.shape[1]
        confusion = np.zeros((count, classes, classes), np.int64)
        reliability = np.zeros((count, BINS, 3))
        if len(labels):
            answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1).astype(np.float64)
            np.add.at(confusion, (groups, labels, answers), 1)
            bins = np.searchsorted(np.arange(1, BINS) / BINS, confidence)
            counted = np.stack([np.ones(len(labels)), confidence, answers == labels], axis=1)
            np.add.at(reliability, (groups, bins), counted)
        return cls(confusion, reliability)

    def total(self, weights: NDArray[np.int64]) -> "Scores":
        """Scores of samples of the groups along the first axis: shape (..., groups) says how often each is in it."""
        return Scores(np.tensordot(weights, self.confusion, 1), np.tensordot(weights, self.reliability, 1))

    @property
    def rows(self) -> int:
        """Number of answers, of all samples together."""
        return int(self.confusion.sum())

    @property
    def support(self) -> NDArray[np.int64]:
        """How many rows truly have each class, shape (..., labels)."""
        return np.asarray(self.confusion.sum(axis=-1))

    @property
    def accuracy(self) -> Figure:
        """Share of answers that are right, 0 to 1."""
        return _share(self._hits.sum(axis=-1), self.confusion.sum(axis=(-2, -1)))

    @property
    def precision(self) -> Figure:
        """Of the answers that name a class, the share that is right; shape (..., labels), 0 to 1."""
        return _share(self._hits, self.confusion.sum(axis=-2))

    @property
    def recall(self) -> Figure:
        """Of the rows that have a class, the share that got it as answer; shape (..., labels), 0 to 1."""
        return _share(self._hits, self.support)

    @property
    def f1(self) -> Figure:
        """F1 of each class, shape (..., labels), 0 to 1: twice the hits over all true plus all answered."""
        return _share(2 * self._hits, self._true_and_answered)

    @property
    def weighted_f1(self) -> Figure:
        """Mean of F1, each class weighing as many rows as it truly has."""
        return _share((self.f1 * self.support).sum(axis=-1), self.support.sum(axis=-1))

    @property
    def macro_f1(self) -> Figure:
        """Plain mean of F1 over the classes that occur at all, as a label or as an answer."""
        return _share(self.f1.sum(axis=-1), (self._true_and_answered > 0).sum(axis=-1))

    @property
    def calibration_error(self) -> Figure:
        """Expected calibration error, 0 to 1: how far confidence and accuracy are apart, on average over the answers.

        The sum over `BINS` bins of `|right - sum of confidence|`, over all rows (Guo et al., "On Calibration of Modern
        Neural Networks", 2017, equation 3).
        """
        gaps = np.abs(self.reliability[..., 2] - self.reliability[..., 1]).sum(axis=-1)
        return _share(gaps, self.reliability[..., 0].sum(axis=-1))

    def to_card(self, labels: Sequence[str]) -> dict[str, Any]:
        """The figures as they stand in a model card."""
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
    def _true_and_answered(self) -> NDArray[np.int64]:
        return np.asarray(self.confusion.sum(axis=-1) + self.confusion.sum(axis=-2))


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Figure:
    """`part / whole`, and 0 where the whole is 0."""
    return np.asarray(part / np.where(whole == 0, 1, whole), np.float64)
