"""Measures how the speakers of the training corpora differ, for `device.adaptation.speaker_adaptation`.

It chooses a few directions of the statistics: those that separate the kinds of the classes, and those along which
the statistics vary most. They are scaled so that what varies within one kind of one speaker has the variance 1.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device.adaptation.speaker_variation import Floats, SpeakerStatistics, SpeakerVariation
from training.base_model.base import BaseModel
from training.data.clips import TRAIN
from training.images.spectrogram_images import ClipImages
from training.networks.evidence_audio import AUDIO_STATISTICS

DIRECTIONS = 32
"""Number of directions: with fewer the adaptation gains less, with more a single example harms."""
FEWEST_SPEAKERS = 6
"""With fewer speakers, how they differ is left to chance."""
_RIDGE = 0.2
"""Share of the diagonal that is added to the covariance within the kinds of a speaker."""
_RIDGE_OF_ALL = 0.01
"""The same for the covariance within the kinds of all speakers, as in `discriminants`."""
_FLOOR = 1e-4
_SMALLEST_DEVIATION = 1e-9
"""A statistic with a smaller standard deviation is the same for all recordings, and is left out."""
_SMALLEST_VARIANCE = 0.02
"""Smallest variance between speakers, where few speakers show less by chance."""


def enough_speakers(kinds: NDArray[np.int64], speakers: NDArray[np.int64]) -> bool:
    """Whether clips show how speakers differ: each of several speakers has two kinds or more, with two clips each.

    Args:
        kinds: number of each clip's kind, shape (clips,).
        speakers: number of each clip's speaker, shape (clips,).
    """
    pairs, counts = np.unique(np.stack([speakers, kinds]), axis=1, return_counts=True)
    _, usable = np.unique(pairs[0, counts > 1], return_counts=True)
    return int((usable > 1).sum()) >= FEWEST_SPEAKERS


def fit_speaker_variation(
    statistics: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.int64]],
    kinds: Sequence[NDArray[np.int64]],
    speakers: Sequence[NDArray[np.int64]],
    weights: Sequence[float],
) -> SpeakerVariation:
    """Fit the directions and the variances. Every kind weighs the same within each corpus.

    Args:
        statistics: statistics of the audio of each corpus, shape (clips, n), as the network `evidence` computes them.
        labels: class of each clip, shape (clips,).
        kinds: number of each clip's kind, shape (clips,); clips of one kind have the same class.
        speakers: number of each clip's speaker within its corpus, shape (clips,).
        weights: weight of each corpus.
    """
    raw = np.concatenate(statistics).astype(np.float64)
    corpus = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
    pairs, kind = np.unique(np.stack([np.concatenate(labels), np.concatenate(kinds)]), axis=1, return_inverse=True)
    kind = kind.ravel()
    _, speaker = np.unique(np.stack([corpus, np.concatenate(speakers)]), axis=1, return_inverse=True)
    speaker = speaker.ravel()
    shares = np.zeros(len(raw))
    for number, weight in enumerate(weights):
        for place in range(pairs.shape[1]):
            members = (corpus == number) & (kind == place)
            shares[members] = weight / max(1, members.sum())
    shares /= shares.sum()
    mean = shares @ raw
    deviation = np.sqrt(shares @ (raw - mean) ** 2)
    scale = np.where(deviation > _SMALLEST_DEVIATION, 1 / np.maximum(deviation, _SMALLEST_DEVIATION), 0.0)
    rows = (raw - mean) * scale

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
    centre_of_raw = mean + np.divide(centre, scale, out=np.zeros_like(centre), where=scale > 0)
    return SpeakerVariation(AUDIO_STATISTICS, centre_of_raw, directions * scale[:, None], found)


def trained_variation(data: ClipImages, labels: Sequence[str], base: BaseModel | None) -> str | None:
    """Return how the speakers of the train recordings differ, as `Companions` holds it.

    Args:
        data: clips with the statistics of the network `evidence` as their images.
        labels: classes of the model.
        base: the trained network that the training starts from; its own speakers count if these are too few.

    Returns:
        JSON; None if fewer than `FEWEST_SPEAKERS` speakers are known.
    """
    place = {label: number for number, label in enumerate(labels)}
    usable = [
        number
        for number, clip in enumerate(data.clips)
        if clip.split == TRAIN and clip.audio is not None and clip.speaker
    ]
    kinds = np.array([place[data.clips[number].label] for number in usable], np.int64)
    names = {clip.speaker: number for number, clip in enumerate(data.clips)}
    speakers = np.array([names[data.clips[number].speaker] for number in usable], np.int64)
    if len(usable) and len(np.unique(kinds)) == len(labels) and enough_speakers(kinds, speakers):
        rows = data.images[data.index[usable]]
        return fit_speaker_variation([rows], [kinds], [kinds], [speakers], [1.0]).to_json()
    same = base is not None and tuple(labels) == base.companions.labels
    return base.companions.speaker_variation if base is not None and same else None


def _directions(rows: Floats, shares: Floats, means: Floats, of_all: Floats, within: Floats) -> Floats:
    """Return directions in which `within` is the identity: first those of the discriminants, then of most variance."""
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)
    discriminants = np.concatenate([np.linalg.solve(each, means.T) for each in (of_all, within)], axis=1)
    first = np.linalg.svd(whiten.T @ (within @ discriminants), full_matrices=False)[0][:, : 2 * (len(means) - 1)]
    white = rows @ whiten
    rest = white - white @ first @ first.T
    _, others = np.linalg.eigh((rest.T * shares) @ rest)
    chosen = np.concatenate([first, others[:, ::-1]], axis=1)[:, : min(DIRECTIONS, len(within))]
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
