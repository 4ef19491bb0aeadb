"""Adapts audio evidence to one speaker, from a few examples of that voice.

A network that never met a speaker knows neither how that voice differs from others nor how the person sounds when
angry or glad. Both are estimated with a Gaussian model of two levels, as speaker recognition uses it (probabilistic
linear discriminant analysis; Prince and Elder, "Probabilistic Linear Discriminant Analysis for Inferences About
Identity", ICCV 2007). A feature vector x of a speaker s who speaks in the kind k of a class is

    x = mean(k) + offset(s) + offset(s, k) + rest

The features are scaled so that the rest has the variance 1 in every dimension. How far speakers differ, and how far
their kinds differ beyond that, was measured on the speakers of the training corpora. With examples, mean and variance
of both offsets follow in closed form, dimension by dimension; the examples' kinds, of which only the class is known,
are estimated in turn with them (expectation maximisation). Evidence is how much more likely each class is with these
offsets than without, and is added to its logits. Without an example it is exactly 0.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device.adaptation.speaker_variation import Floats, SpeakerStatistics

UNLABELLED_WEIGHT = 0.1
"""Weight of an utterance whose class nobody named, against an example."""
STRENGTHS = (0.5, 1.0, 2.0)
"""Factors of the evidence that `cross_validate` compares."""
STRENGTH_COST = 0.05
"""How much better (log-likelihood per example) twice or half the evidence has to be: a few examples show little."""
_ITERATIONS = 3
_MOST_FITS = 50


@dataclass(frozen=True)
class SpeakerAdaptation:
    """A speaker's kinds, as examples suggest them; `adapt` makes it."""

    statistics: SpeakerStatistics
    """The statistics that it began with."""
    means: Floats
    """Mean of each kind of this speaker, shape (kinds, n)."""
    variances: Floats
    """Variance of the features of each kind: what remains unknown about the mean, and the rest; shape (kinds, n)."""

    def evidence(self, features: Floats) -> Floats:
        """Return what to add to calibrated logits.

        Args:
            features: of utterances of this speaker, shape (utterances, n).

        Returns:
            Evidence of shape (utterances, classes); only differences between the classes mean anything.
        """
        before = _by_class(self._before, features)
        return self.statistics.strength * (_by_class(self, features) - before)

    # What every prediction needs again.

    @cached_property
    def _before(self) -> "SpeakerAdaptation":
        """The kinds of a speaker of whom nothing is known."""
        return _prior(self.statistics)

    @cached_property
    def _density(self) -> tuple[Floats, Floats]:
        """Half the reciprocals of the variances, shape (kinds, n), and logarithms of the largest density, (kinds,)."""
        return 0.5 / self.variances, -0.5 * np.log(self.variances).sum(axis=1)

    @cached_property
    def _kinds_of_classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
        """The kinds in the order of their classes, where each class begins in it, and logarithms of their numbers."""
        classes = self.statistics.classes
        counts = np.bincount(classes)
        return np.argsort(classes, kind="stable"), np.cumsum(counts) - counts, np.log(counts)


def adapt(
    statistics: SpeakerStatistics, examples: Floats, classes: NDArray[np.int64], unlabelled: Floats | None = None
) -> SpeakerAdaptation:
    """Estimate the kinds of a speaker.

    Args:
        statistics: of the training corpora.
        examples: features of utterances whose class is known, shape (examples, n); may be none.
        classes: class of each example, shape (examples,).
        unlabelled: features of further utterances of the speaker, whose class nobody named, shape (utterances, n).
    """
    features = examples if unlabelled is None else np.concatenate([examples, unlabelled])
    possible = np.ones((len(features), len(statistics.classes)), np.bool_)
    possible[: len(examples)] = classes[:, None] == statistics.classes
    weights = np.ones(len(features))
    weights[len(examples) :] = UNLABELLED_WEIGHT
    found = _prior(statistics)
    if not len(features):
        return found
    for _ in range(_ITERATIONS):
        shares = np.where(possible, _log_likelihoods(found, features), -np.inf)
        shares = np.exp(shares - shares.max(axis=1, keepdims=True))
        shares *= (weights / shares.sum(axis=1))[:, None]
        found = _posterior(statistics, features, shares)
    return found


@dataclass(frozen=True)
class CrossValidation:
    """What an adaptation to the other examples would have predicted for each example; `cross_validate` makes it."""

    strength: float
    """Factor of the evidence that fits the examples best; 0 if none predicts them better than no adaptation."""
    adapted: Floats
    """Logits of each example with that factor, or with the best of the others if it is 0; shape (examples, classes)."""
    loss: float
    """Mean negative log-likelihood of the examples' classes without adaptation; smaller is better."""
    adapted_loss: float
    """The same for `adapted`."""


def cross_validate(
    statistics: SpeakerStatistics, logits: Floats, examples: Floats, classes: NDArray[np.int64]
) -> CrossValidation:
    """Measure on the examples themselves whether an adaptation helps: each with the adaptation to the others.

    With more than `_MOST_FITS` examples, several are left out together, each class in turn.

    Args:
        statistics: of the training corpora.
        logits: calibrated logits of the network for the examples, shape (examples, classes).
        examples: features, shape (examples, n).
        classes: class of each example, shape (examples,).
    """
    evidence = np.zeros(logits.shape)
    part = np.empty(len(examples), np.int64)
    part[np.argsort(classes, kind="stable")] = np.arange(len(examples)) % min(len(examples), _MOST_FITS)
    for left_out in (part == number for number in range(part.max() + 1)):
        adaptation = adapt(statistics, examples[~left_out], classes[~left_out])
        evidence[left_out] = adaptation.evidence(examples[left_out])
    losses = {factor: _log_loss(logits + factor * evidence, classes) for factor in STRENGTHS}
    best = min(STRENGTHS, key=lambda factor: losses[factor] + STRENGTH_COST * abs(np.log2(factor)))
    loss = _log_loss(logits, classes)
    return CrossValidation(best if losses[best] < loss else 0.0, logits + best * evidence, loss, losses[best])


def _prior(statistics: SpeakerStatistics) -> SpeakerAdaptation:
    """Return the kinds of a speaker of whom nothing is known."""
    variances = 1 + statistics.between_speakers + statistics.between_kinds
    return SpeakerAdaptation(statistics, statistics.means, np.broadcast_to(variances, statistics.means.shape))


def _posterior(statistics: SpeakerStatistics, features: Floats, shares: Floats) -> SpeakerAdaptation:
    """Return the kinds of a speaker; `shares` (utterances, kinds): how far each utterance belongs to each kind."""
    counts = shares.sum(axis=0)[:, None]
    sums = shares.T @ features - counts * statistics.means
    kinds = statistics.between_kinds
    # The offset of the speaker, with those of the kinds integrated out; then those of the kinds, given that one.
    damped = 1 + counts * kinds
    precision = 1 / statistics.between_speakers + (counts / damped).sum(axis=0)
    speaker = (sums / damped).sum(axis=0) / precision
    gain = kinds / damped
    means = statistics.means + speaker + gain * (sums - counts * speaker)
    return SpeakerAdaptation(statistics, means, 1 + gain + (1 - gain * counts) ** 2 / precision)


def _log_likelihoods(kinds: SpeakerAdaptation, features: Floats) -> Floats:
    """Return logarithms of densities up to a constant, shape (utterances, kinds)."""
    precisions, largest = kinds._density
    differences = features[:, None] - kinds.means
    return np.asarray(largest - (differences * differences * precisions).sum(axis=2), np.float64)


def _by_class(kinds: SpeakerAdaptation, features: Floats) -> Floats:
    """Return the logarithm of the mean density of each class's kinds, shape (utterances, classes)."""
    order, starts, counts = kinds._kinds_of_classes
    found = _log_likelihoods(kinds, features)[:, order]
    return np.asarray(np.logaddexp.reduceat(found, starts, axis=1) - counts, np.float64)


def _log_loss(logits: Floats, classes: NDArray[np.int64]) -> float:
    normalised = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return float(-normalised[np.arange(len(classes)), classes].mean())
