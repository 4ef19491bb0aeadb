"""How closely the predictions of a converted network agree with Keras's, and how closely they have to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.recipes import MEAN_SHARE
from device.errors import ConversionError


@dataclass(frozen=True)
class ClassAgreement:
    """Agreement on the samples for which Keras predicts one class."""

    samples: int
    """Number of these samples."""
    same_class: int
    """Number of these samples for which the converted network predicts the same class."""
    largest_difference: float
    """Largest difference from Keras in any probability of any of them; 0 without samples."""
    mean_difference: float
    """Mean over these samples of each one's largest difference; 0 without samples."""


@dataclass(frozen=True)
class Agreement:
    """Agreement with Keras on all samples; the difference of a sample is that of its most different probability."""

    largest_difference: float
    """Largest difference of any sample."""
    mean_difference: float
    """Mean difference of all samples."""
    same_class: int
    """Number of samples whose most probable class is Keras's."""
    samples: int
    """Number of samples."""
    classes: dict[str, ClassAgreement]
    """The same by label, in the order of the softmax."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain data with rounded numbers, for the model card."""
        table: dict[str, Any] = _rounded(asdict(self))
        return table


def measure(probabilities: NDArray[np.float32], expected: NDArray[np.float32], labels: Sequence[str]) -> Agreement:
    """Compare probabilities with those of Keras, both of shape (samples, labels)."""
    differences = np.abs(probabilities - expected).max(axis=1)
    best = expected.argmax(axis=1)
    same = probabilities.argmax(axis=1) == best
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


def check(agreement: Agreement, tolerance: float, runtime: str, fix: str) -> None:
    """Refuse a conversion whose predictions differ too much from Keras's.

    The most probable class need not be the same: where two classes are about equally probable, the smallest difference
    changes it.

    Args:
        agreement: the measured agreement.
        tolerance: limit of the largest difference, and ten times the limit of the mean difference.
        runtime: name of the runtime in which it was measured, for people.
        fix: what the user can do about a difference beyond its limit.

    Raises:
        ConversionError: a difference is beyond its limit, or not a number.
    """
    for how_far, difference, limit in (
        ("up to", agreement.largest_difference, tolerance),
        ("on average", agreement.mean_difference, MEAN_SHARE * tolerance),
    ):
        if not difference <= limit:  # NaN is not within the limit either
            raise ConversionError(
                f"in {runtime} the converted model's probabilities differ {how_far} {difference:.3g} from Keras's, "
                f"more than {limit:g} ({agreement.same_class} of {agreement.samples} predictions are the same)",
                fix=fix,
            )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 6) if isinstance(value, float) else value
