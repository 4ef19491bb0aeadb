"""How far the answers of a converted network are from Keras's, and how far they may be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.recipes import MEAN_SHARE
from device.errors import ConversionError


@dataclass(frozen=True)
class ClassAgreement:
    """The answers to the samples that Keras puts into one class."""

    samples: int
    same_class: int
    """Those that the converted network puts there, too."""
    largest_difference: float
    """From Keras in any probability of any of them; 0 without samples."""
    mean_difference: float
    """Mean of each one's largest; 0 without samples."""


@dataclass(frozen=True)
class Agreement:
    """Answers held against Keras's; the difference of one answer is that of the probability that differs most."""

    largest_difference: float
    """Of any answer."""
    mean_difference: float
    """Over all answers."""
    same_class: int
    """Answers whose most probable class is Keras's."""
    samples: int
    """Answers in all."""
    classes: dict[str, ClassAgreement]
    """By label, in the order of the softmax."""

    def as_table(self) -> dict[str, Any]:
        """As plain data with rounded figures, for the model card."""
        table: dict[str, Any] = _rounded(asdict(self))
        return table


def measure(answers: NDArray[np.float32], expected: NDArray[np.float32], labels: Sequence[str]) -> Agreement:
    """Compare probabilities, both of shape (samples, labels)."""
    differences = np.abs(answers - expected).max(axis=1)
    best = expected.argmax(axis=1)
    same = answers.argmax(axis=1) == best
    classes = {}
    for index, label in enumerate(labels):
        rows = best == index
        classes[label] = ClassAgreement(
            samples=int(rows.sum()),
            same_class=int(same[rows].sum()),
            largest_difference=float(differences[rows].max()) if rows.any() else 0.0,
            mean_difference=float(differences[rows].mean()) if rows.any() else 0.0,
        )
    return Agreement(
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        same_class=int(same.sum()),
        samples=len(expected),
        classes=classes,
    )


def check(agreement: Agreement, tolerance: float, runtime: str, advice: str) -> None:
    """Refuse a conversion that answers too differently.

    The same class is not asked for: where two classes are about equally probable, the least difference changes it.

    Args:
        agreement: as measured.
        tolerance: how much the largest difference may be, and ten times the mean one.
        runtime: in which it was measured.
        advice: what to do about it.

    Raises:
        ConversionError: a difference is beyond its limit, or no number.
    """
    for what, difference, limit in (
        ("up to", agreement.largest_difference, tolerance),
        ("on average", agreement.mean_difference, MEAN_SHARE * tolerance),
    ):
        if not difference <= limit:  # NaN is not within the limit either
            raise ConversionError(
                f"in {runtime} the converted model answers {what} {difference:.3g} off from Keras, more than {limit:g} "
                f"({agreement.same_class} of {agreement.samples} answers are the same); {advice}"
            )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 6) if isinstance(value, float) else value
