"""How far the answers of a converted network are from Keras's, and how far they may be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.recipes import Recipe
from device.errors import ConversionError


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


def measure(answers: NDArray[np.float32], expected: NDArray[np.float32]) -> Agreement:
    """Compare probabilities, both of shape (samples, labels)."""
    differences = np.abs(answers - expected).max(axis=1)
    return Agreement(
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        same_class=int((answers.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        samples=len(expected),
    )


def check(agreement: Agreement, recipe: Recipe, runtime: str) -> None:
    """Refuse a conversion that answers too differently.

    The same class is not asked for: where two classes are about equally probable, the least difference changes it.

    Raises:
        ConversionError: a difference is beyond its limit, or no number.
    """
    for what, difference, limit in (
        ("up to", agreement.largest_difference, recipe.largest_difference),
        ("on average", agreement.mean_difference, recipe.mean_difference),
    ):
        if not difference <= limit:  # NaN is not within the limit either
            raise ConversionError(
                f"in {runtime} the converted model answers {what} {difference:.3f} off from Keras, more than {limit} "
                f"({agreement.same_class} of {agreement.samples} answers are the same); try --mode float32"
            )
