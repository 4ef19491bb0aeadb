from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.default_model.audio_branch.speaker_variation import DIRECTIONS, SpeakerVariation, fit_speaker_variation

Corpus = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]

WIDTH = 40
CLASSES = np.array([0, 0, 1])
SCALE = np.linspace(0.5, 3, WIDTH)
BETWEEN_SPEAKERS, BETWEEN_KINDS = 1.5, 0.4


@pytest.fixture(scope="module")
def corpora() -> list[Corpus]:
    """Two corpora of simulated speakers: statistics, classes, kinds and speakers; the second one lacks a kind."""
    random = np.random.default_rng(0)
    means = random.normal(0, 1, (3, WIDTH))
    found = []
    for kinds_here in ((0, 1, 2), (1, 2)):
        rows, kinds, speakers = [], [], []
        for speaker in range(30):
            offset = random.normal(0, np.sqrt(BETWEEN_SPEAKERS), WIDTH)
            for kind in kinds_here:
                own = means[kind] + offset + random.normal(0, np.sqrt(BETWEEN_KINDS), WIDTH)
                rows.append((own + random.normal(size=(12, WIDTH))) * SCALE)
                kinds += [kind] * 12
                speakers += [speaker] * 12
        found.append((np.concatenate(rows).astype(np.float32), CLASSES[kinds], np.array(kinds), np.array(speakers)))
    return found


@pytest.fixture(scope="module")
def variation(corpora: list[Corpus]) -> SpeakerVariation:
    statistics, labels, kinds, speakers = zip(*corpora, strict=True)
    return fit_speaker_variation(statistics, labels, kinds, speakers, (1.0, 0.5))


def test_within_a_speakers_kind_the_variance_is_about_1(variation: SpeakerVariation, corpora: list[Corpus]) -> None:
    rows, _, kinds, speakers = corpora[0]
    features = variation.features(rows)
    assert features.shape == (len(rows), DIRECTIONS)
    cells = [features[(speakers == speaker) & (kinds == kind)] for speaker in range(30) for kind in range(3)]
    within = np.mean([cell.var(axis=0, ddof=1) for cell in cells], axis=0)
    np.testing.assert_allclose(within, 1 / 1.2, rtol=0.2)  # the ridge adds a fifth to the variance


def test_the_variances_of_the_speakers_are_found(variation: SpeakerVariation) -> None:
    found = variation.statistics
    assert found.classes.tolist() == [0, 0, 1]
    assert found.means.shape == (3, DIRECTIONS)
    assert found.between_speakers.shape == found.between_kinds.shape == (DIRECTIONS,)
    assert found.between_speakers.mean() == pytest.approx(BETWEEN_SPEAKERS / 1.2, rel=0.4)
    assert found.between_kinds.mean() == pytest.approx(BETWEEN_KINDS / 1.2, rel=0.4)


def test_the_means_of_the_kinds_are_those_of_the_features(variation: SpeakerVariation, corpora: list[Corpus]) -> None:
    features = [variation.features(rows) for rows, *_ in corpora]
    means = [
        [own[kinds == kind].mean(axis=0) for kind in (1, 2)]
        for own, (_, _, kinds, _) in zip(features, corpora, strict=True)
    ]
    expected = np.average(means, axis=0, weights=(1.0, 0.5))
    np.testing.assert_allclose(variation.statistics.means[1:], expected, atol=1e-5)
