"""Makes two branches that were trained apart speak on one scale: how sure each may be, and how much the sound counts.

It knows logits and labels of rows that no branch was trained on, and neither networks nor corpora.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from training.evaluation.modality_conflict import SingleModality, conflicting_pairs
from training.evaluation.scores import Scores

_COLDEST, _HOTTEST = 0.1, 10.0
_TRUSTS = tuple(step / 20 for step in range(6, 21))
"""Candidates: 0.3 to 1. Above 1 the sound would count for more than its own evidence."""
_PAIRS = 5000
_MATES = 5


@dataclass(frozen=True)
class Evidence:
    """What one branch says of rows that it was not trained on."""

    logits: NDArray[np.float32]
    """Shape (rows, labels)."""
    labels: NDArray[np.int64]
    """Shape (rows,): the true classes."""
    groups: NDArray[np.int64]
    """Shape (rows,): dialogue or speaker; rows of one group are alike and stay on one side of a split."""

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Evidence":
        """Some of the rows."""
        return Evidence(self.logits[rows], self.labels[rows], self.groups[rows])

    def halves(self) -> tuple["Evidence", "Evidence"]:
        """Two parts with no group in common: every other group, in order."""
        _, place = np.unique(self.groups, return_inverse=True)
        return self.take(place % 2 == 0), self.take(place % 2 == 1)

    def scaled(self, factor: float) -> "Evidence":
        """The same rows with their logits multiplied."""
        return Evidence(np.asarray(self.logits * factor, np.float32), self.labels, self.groups)


@dataclass(frozen=True)
class Balance:
    """What each branch's logits, and their sum, are multiplied by before they go into the softmax."""

    words: float
    """One over the temperature of the words."""
    sound: float
    """One over the temperature of the sound."""
    trust: float
    """What the sound counts beside words, 0 to 1; by itself it counts in full."""
    joint: float
    """One over the temperature of the sum of words and trusted sound, where there are both."""


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis, shape (..., labels) as the logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def temperature(evidence: Evidence, *, classes_equal: bool = False) -> float:
    """The number that logits are divided by so that the softmax is as sure as it is right.

    It minimises the negative log-likelihood (Guo et al., "On Calibration of Modern Neural Networks", 2017).

    Args:
        evidence: rows that the branch was not trained on.
        classes_equal: weigh the rows so that every class counts the same, however many rows it has: for a branch that
            was trained so.
    """
    counts = np.bincount(evidence.labels)
    weights = 1 / counts[evidence.labels] if classes_equal else np.ones(len(evidence.labels))
    places = np.arange(len(evidence.labels))

    def loss(logarithm: float) -> float:
        right = softmax(evidence.logits / np.float32(np.exp(logarithm)))[places, evidence.labels]
        return float(-np.average(np.log(np.maximum(right, 1e-7)), weights=weights))

    return float(np.exp(minimize_scalar(loss, bounds=np.log([_COLDEST, _HOTTEST]), method="bounded").x))


def balance(words: Evidence, sound: Evidence, seed: int) -> Balance:
    """Fit the temperatures, and the trust with which neither branch rules where the two contradict each other.

    Bayes' rule would trust the sound in full. But no corpus tells how far acted voices stand for real ones, and a
    branch that is sure among actors drowns the words of everybody else. So the sum shall follow either as often as the
    other, as far as a trust of at most 1 allows it; other voices and other texts shift it to one side.
    """
    words_factor, sound_factor = 1 / temperature(words), 1 / temperature(sound, classes_equal=True)
    heard, read = conflicting_pairs(_side(sound), _side(words), seed=seed, limit=_PAIRS)
    of_words, of_sound = words.logits[read] * words_factor, sound.logits[heard] * sound_factor

    def most_followed(trust: float) -> float:
        joint = (of_words + trust * of_sound).argmax(axis=1)
        return max(float((joint == alone.argmax(axis=1)).mean()) for alone in (of_words, of_sound))

    trust = min(_TRUSTS, key=most_followed)
    texts, mates = _of_one_class(words.labels, sound.labels, np.random.default_rng(seed))
    joint = words.logits[texts] * words_factor + sound.logits[mates] * (trust * sound_factor)
    together = Evidence(np.asarray(joint, np.float32), words.labels[texts], words.groups[texts])
    return Balance(words_factor, sound_factor, trust, 1 / temperature(together))


def across(words: Evidence, sound: Evidence, seed: int) -> tuple[Evidence, Evidence]:
    """The evidence of both on one scale, each half of the dialogues and speakers scaled by what the other half gave.

    So the figures that are taken from it owe nothing to having fitted and measured on the same rows.
    """
    first, second = zip(words.halves(), sound.halves(), strict=True)
    by_first, by_second = balance(*first, seed), balance(*second, seed)
    return (
        joined(first[0].scaled(by_second.words), second[0].scaled(by_first.words)),
        joined(first[1].scaled(by_second.sound), second[1].scaled(by_first.sound)),
    )


def joined(*parts: Evidence) -> Evidence:
    """The rows of all parts, one after the other."""
    return Evidence(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.groups for part in parts]),
    )


def scores(evidence: Evidence) -> Scores:
    """How well the softmax of the logits agrees with the labels."""
    return Scores.of(evidence.labels, softmax(evidence.logits))


def _of_one_class(
    words: NDArray[np.int64], sound: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every text several times, each time with some recording of its class, as far as that has any."""
    texts = np.repeat(np.flatnonzero(np.isin(words, sound)), _MATES)
    return texts, np.array([random.choice(np.flatnonzero(sound == words[text])) for text in texts], np.int64)


def _side(evidence: Evidence) -> SingleModality:
    return SingleModality(np.arange(len(evidence.labels)), evidence.labels, evidence.logits.argmax(axis=1))
