"""What an adaptation gains: how many examples are predicted right without it and with it, by cross-validation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from device.adaptation.profile import Profile
from device.adaptation.speaker_adaptation import CrossValidation


@dataclass(frozen=True)
class Count:
    """Number of examples, and how many of them are predicted right."""

    examples: int
    """Number of examples."""
    right: int
    """How many are predicted right without adaptation."""
    right_adapted: int
    """How many are predicted right with an adaptation to the other examples."""


@dataclass(frozen=True)
class Gain:
    """What an adaptation to the examples of a profile gains; `gain` measures it."""

    classes: Mapping[str, Count]
    """Counts by class, for the classes that have examples, in the order of the labels."""
    total: Count
    """Counts of all examples."""
    probability: float
    """Geometric mean of the probability that the examples' classes have without adaptation."""
    probability_adapted: float
    """The same with adaptation."""
    helps: bool
    """Whether the examples are predicted better with adaptation, so that it is used."""


def gain(profile: Profile, validation: CrossValidation) -> Gain:
    """Count what an adaptation gains.

    Args:
        profile: the profile.
        validation: result of `device.adaptation.adapted_classifier.AdaptedClassifier.validate` for it.
    """
    _, logits, classes = profile.arrays()
    right = logits.argmax(axis=1) == classes
    adapted = validation.adapted.argmax(axis=1) == classes
    found = {}
    for place, label in enumerate(profile.identity.labels):
        own = classes == place
        if own.any():
            found[label] = Count(int(own.sum()), int(right[own].sum()), int(adapted[own].sum()))
    return Gain(
        found,
        Count(len(classes), int(np.count_nonzero(right)), int(np.count_nonzero(adapted))),
        math.exp(-validation.loss),
        math.exp(-validation.adapted_loss),
        validation.strength > 0,
    )
