"""Fits linear discriminants to the kinds of each class: the emotions that a sentiment consists of.

The classes of sentiment are wide: negative is anger, sadness, fear and disgust, which resemble each other no more than
they resemble joy. A discriminant for each of them, with one common covariance, generalises to corpora that it was not
fitted to better than a network that is trained on the classes, and the mean of both is better than either.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ABSENT = -30.0
"""Logit of a class that no corpus has."""


def most_kinds(labels: NDArray[np.int64], kinds: NDArray[np.int64]) -> int:
    """Return the largest number of kinds of a class; both arrays have shape (clips,)."""
    pairs = np.unique(np.stack([labels, kinds]), axis=1)
    return int(np.bincount(pairs[0]).max())


def fit_discriminants(
    statistics: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.int64]],
    kinds: Sequence[NDArray[np.int64]],
    weights: Sequence[float],
    classes: int,
    ridge: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a discriminant to each kind: linear discriminant analysis with equal priors (Fisher, 1936).

    In each corpus every class has the same weight, and so has every kind of a class. The covariance is that within the
    kinds, over all copies, clips, speakers and corpora, regularised towards its diagonal.

    Args:
        statistics: standardised statistics of each corpus, shape (clips, copies, n).
        labels: class of each clip, shape (clips,).
        kinds: number of each clip's kind, shape (clips,); clips of one kind have the same class.
        weights: weight of each corpus.
        classes: number of classes.
        ridge: share of the diagonal that is added to the covariance.

    Returns:
        Kernel of shape (n, places * classes) and bias of shape (places * classes,), where `places` is `most_kinds`: the
        discriminants of class c are at c, c + classes and so on. A class with fewer kinds repeats them.
    """
    pairs = np.unique(np.concatenate([np.stack(each) for each in zip(labels, kinds, strict=True)], axis=1), axis=1)
    members = [
        (corpus, place, (label == labels[corpus]) & (kind == kinds[corpus]))
        for corpus in range(len(statistics))
        for place, (label, kind) in enumerate(pairs.T)
    ]
    members = [each for each in members if each[2].any()]
    shares = np.zeros((len(statistics), pairs.shape[1]))
    for corpus, place, _ in members:
        here = pairs[0, [other for number, other, _ in members if number == corpus]]
        shares[corpus, place] = weights[corpus] / (len(np.unique(here)) * (here == pairs[0, place]).sum())
    shares /= shares.sum()

    n = statistics[0].shape[2]
    means, covariance = np.zeros((pairs.shape[1], n)), np.zeros((n, n), np.float32)
    own_means = {}
    for corpus, place, clips in members:
        rows = statistics[corpus][clips].reshape(-1, n)
        own_means[corpus, place] = own = rows.mean(axis=0, dtype=np.float64)
        means[place] += shares[corpus, place] / shares[:, place].sum() * own
        centred = rows - own.astype(np.float32)
        covariance += np.float32(shares[corpus, place] / len(rows)) * (centred.T @ centred)
    for (corpus, place), own in own_means.items():
        shift = (own - means[place]).astype(np.float32)
        covariance += np.float32(shares[corpus, place]) * np.outer(shift, shift)

    covariance[np.diag_indices(n)] = covariance.diagonal() * np.float32(1 + ridge) + np.float32(1e-4)
    centre = shares.sum(axis=0) @ means
    kernels = np.linalg.solve(covariance.astype(np.float64), (means - centre).T)
    biases = -0.5 * ((means + centre) * kernels.T).sum(axis=1)
    return _arrange(pairs[0], kernels, biases, classes)


def _arrange(
    labels: NDArray[np.int64], kernels: NDArray[np.float64], biases: NDArray[np.float64], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Order discriminants of shape (n, kinds), whose classes are `labels`, by place and class."""
    places = int(np.bincount(labels).max())
    kernel = np.zeros((len(kernels), places, classes), np.float32)
    bias = np.full((places, classes), _ABSENT, np.float32)
    for label in np.unique(labels):
        own = np.resize(np.flatnonzero(labels == label), places)
        kernel[:, :, label], bias[:, label] = kernels[:, own], biases[own]
    return kernel.reshape(len(kernels), -1), bias.ravel()
