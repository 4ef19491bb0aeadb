from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from device.adaptation.speaker_variation import SpeakerVariation
from device.bundle import Companions
from device.front_end.parameters import FrontEnd
from training.base_model.base import BaseModel
from training.data.clips import TRAIN, VALIDATION, Clip
from training.fit.speaker_variation import DIRECTIONS, enough_speakers, fit_speaker_variation, trained_variation
from training.images.spectrogram_images import ClipImages

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


def test_a_statistic_that_never_changes_is_left_out(corpora: list[Corpus]) -> None:
    statistics, labels, kinds, speakers = zip(*corpora, strict=True)
    wider = [np.concatenate([rows, np.full((len(rows), 1), 3, np.float32)], axis=1) for rows in statistics]
    found = fit_speaker_variation(wider, labels, kinds, speakers, (1.0, 0.5))
    assert np.isfinite(found.directions).all()
    np.testing.assert_array_equal(found.directions[-1], 0)


def test_a_network_with_few_features_has_as_many_directions(corpora: list[Corpus]) -> None:
    statistics, labels, kinds, speakers = zip(*corpora, strict=True)
    found = fit_speaker_variation([rows[:, :6] for rows in statistics], labels, kinds, speakers, (1.0, 0.5))
    assert found.directions.shape == (6, 6)
    assert np.linalg.matrix_rank(found.directions) == 6


def test_speakers_suffice_if_six_of_them_have_two_kinds_with_two_clips_each() -> None:
    kinds, speakers = np.tile([0, 0, 1, 1], 6), np.repeat(np.arange(6), 4)
    assert enough_speakers(kinds, speakers)
    assert not enough_speakers(kinds[:-4], speakers[:-4])
    assert not enough_speakers(np.append(kinds[:-1], 2), speakers)
    assert not enough_speakers(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_what_a_bundle_carries_gives_the_same_features(variation: SpeakerVariation, corpora: list[Corpus]) -> None:
    read = SpeakerVariation.from_json(variation.to_json())
    assert read.layer == variation.layer
    np.testing.assert_allclose(read.features(corpora[0][0]), variation.features(corpora[0][0]), atol=0.02)
    assert read.to_json() == variation.to_json()


def clip_images(speakers: int, *, named: bool = True) -> ClipImages:
    """Clips of two classes, two of each class and speaker in the train split; validation clips are of one more."""
    random = np.random.default_rng(0)
    clips = [
        Clip(Path(f"{who}-{label}-{take}.wav"), "", label, VALIDATION if who == speakers else TRAIN, str(who) * named)
        for who in range(speakers + 1)
        for label in ("calm", "glad")
        for take in range(2)
    ]
    images = random.normal(size=(1 + len(clips), 12)).astype(np.float32)
    return ClipImages(tuple(clips), images, np.arange(1, 1 + len(clips)), ())


def base_model(variation: str | None, labels: tuple[str, ...] = ("calm", "glad")) -> BaseModel:
    companions = Companions(labels, ("a",), FrontEnd(), speaker_variation=variation)
    return cast("BaseModel", SimpleNamespace(companions=companions))


def test_a_training_on_known_speakers_measures_how_they_differ() -> None:
    found = trained_variation(clip_images(6), ("calm", "glad"), base_model("of the base"))
    assert found is not None
    variation = SpeakerVariation.from_json(found)
    assert (variation.layer, variation.directions.shape) == ("audio_statistics", (12, 12))
    assert variation.statistics.classes.tolist() == [0, 1]


@pytest.mark.parametrize("data", [clip_images(5), clip_images(6, named=False)], ids=["few speakers", "unknown"])
def test_without_known_speakers_those_of_the_base_count(data: ClipImages) -> None:
    assert trained_variation(data, ("calm", "glad"), None) is None
    assert trained_variation(data, ("calm", "glad"), base_model("of the base")) == "of the base"
    assert trained_variation(data, ("calm", "glad"), base_model("of the base", ("calm", "sad"))) is None
