"""Measures how the speakers of the training corpora differ, for `device.recognition.speaker_adaptation`.

It chooses a few directions of the statistics: those that separate the kinds of the classes, and those along which
the statistics vary most. They are scaled so that what varies within one kind of one speaker has the variance 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.recognition.speaker_adaptation import Floats, SpeakerStatistics

DIRECTIONS = 32
"""Number of directions: with fewer the adaptation gains less, with more a single example harms."""
_RIDGE = 0.2
"""Share of the diagonal that is added to the covariance within the kinds of a speaker."""
_RIDGE_OF_ALL = 0.01
"""The same for the covariance within the kinds of all speakers, as in `discriminants`."""
_FLOOR = 1e-4
_SMALLEST_VARIANCE = 0.02
"""Smallest variance between speakers, where few speakers show less by chance."""


@dataclass(frozen=True)
class SpeakerVariation:
    """Directions, and what the training speakers show along them."""

    centre: NDArray[np.float64]
    """Statistics that have the features 0, shape (n,)."""
    directions: NDArray[np.float64]
    """Matrix of shape (n, `DIRECTIONS`)."""
    statistics: SpeakerStatistics
    """Means and variances of the features."""

    def features(self, statistics: NDArray[np.float32]) -> Floats:
        """Return the features of standardised statistics, shape (clips, n), as (clips, `DIRECTIONS`)."""
        return np.asarray((statistics - self.centre) @ self.directions, np.float64)


def fit_speaker_variation(
    statistics: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.int64]],
    kinds: Sequence[NDArray[np.int64]],
    speakers: Sequence[NDArray[np.int64]],
    weights: Sequence[float],
) -> SpeakerVariation:
    """Fit the directions and the variances. Every kind weighs the same within each corpus.

    Args:
        statistics: standardised statistics of each corpus, shape (clips, n).
        labels: class of each clip, shape (clips,).
        kinds: number of each clip's kind, shape (clips,); clips of one kind have the same class.
        speakers: number of each clip's speaker within its corpus, shape (clips,).
        weights: weight of each corpus.
    """
    rows = np.concatenate(statistics).astype(np.float64)
    corpus = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
    pairs, kind = np.unique(np.stack([np.concatenate(labels), np.concatenate(kinds)]), axis=1, return_inverse=True)
    kind = kind.ravel()
    _, speaker = np.unique(np.stack([corpus, np.concatenate(speakers)]), axis=1, return_inverse=True)
    speaker = speaker.ravel()
    shares = np.zeros(len(rows))
    for number, weight in enumerate(weights):
        for place in range(pairs.shape[1]):
            members = (corpus == number) & (kind == place)
            shares[members] = weight / max(1, members.sum())
    shares /= shares.sum()

    means = np.stack(
        [np.average(rows[kind == place], axis=0, weights=shares[kind == place]) for place in range(pairs.shape[1])]
    )
    centre = means.mean(axis=0)
    of_all = _covariance(rows - means[kind], shares, _RIDGE_OF_ALL)
    cells = {
        (who, place): np.flatnonzero((speaker == who) & (kind == place))
        for who in range(speaker.max() + 1)
        for place in range(pairs.shape[1])
    }
    cells = {key: members for key, members in cells.items() if len(members) > 1}
    own_means = {key: rows[members].mean(axis=0) for key, members in cells.items()}
    chosen = np.concatenate(list(cells.values()))
    corrected = np.concatenate([np.full(len(each), len(each) / (len(each) - 1)) for each in cells.values()])
    centred = np.concatenate([rows[members] - own_means[key] for key, members in cells.items()])
    within = _covariance(centred, shares[chosen] / shares[chosen].sum() * corrected, _RIDGE)

    directions = _directions(rows - centre, shares, means - centre, of_all, within)
    features = (means - centre) @ directions
    deviations = {key: (own - centre) @ directions - features[key[1]] for key, own in own_means.items()}
    between_speakers, between_kinds = _variances(deviations, {key: len(each) for key, each in cells.items()})
    found = SpeakerStatistics(features, pairs[0], between_speakers, between_kinds)
    return SpeakerVariation(centre, directions, found)


def _directions(rows: Floats, shares: Floats, means: Floats, of_all: Floats, within: Floats) -> Floats:
    """Return directions in which `within` is the identity: first those of the discriminants, then of most variance."""
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)
    discriminants = np.concatenate([np.linalg.solve(each, means.T) for each in (of_all, within)], axis=1)
    first = np.linalg.svd(whiten.T @ (within @ discriminants), full_matrices=False)[0][:, : 2 * (len(means) - 1)]
    white = rows @ whiten
    rest = white - white @ first @ first.T
    _, others = np.linalg.eigh((rest.T * shares) @ rest)
    chosen = np.concatenate([first, others[:, ::-1]], axis=1)[:, :DIRECTIONS]
    return np.asarray(whiten @ chosen, np.float64)


def _variances(deviations: dict[tuple[int, int], Floats], counts: dict[tuple[int, int], int]) -> tuple[Floats, Floats]:
    """Return the variance of speakers, and that of a speaker's kinds beyond it and beyond the rest, whose is 1."""
    speakers, kinds = [], []
    for who in sorted({speaker for speaker, _ in deviations}):
        keys = [key for key in deviations if key[0] == who]
        if len(keys) < 2:
            continue
        own = np.stack([deviations[key] for key in keys])
        chance = np.array([1 / counts[key] for key in keys])[:, None]
        speakers.append(own.mean(axis=0) ** 2)
        kinds.append((((own - own.mean(axis=0)) ** 2) - chance).sum(axis=0) / (len(keys) - 1))
    return (
        np.maximum(np.mean(speakers, axis=0), _SMALLEST_VARIANCE),
        np.maximum(np.mean(kinds, axis=0), _SMALLEST_VARIANCE),
    )


def _covariance(centred: Floats, shares: Floats, ridge: float) -> Floats:
    found = (centred.T * shares) @ centred
    diagonal = np.diag_indices(len(found))
    found[diagonal] = found[diagonal] * (1 + ridge) + _FLOOR
    return np.asarray(found, np.float64)
