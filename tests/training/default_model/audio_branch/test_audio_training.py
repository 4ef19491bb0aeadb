import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.training.default_model.conftest import FRONT_END
from training.default_model.audio_branch import audio_training
from training.default_model.audio_branch.acted_speech import NEMO, RAVDESS
from training.default_model.audio_branch.audio_training import (
    AudioTrainingSettings,
    LabelledStatistics,
    TrainedAudioBranch,
    fold_of,
    image_statistics,
    labelled_statistics,
    train_audio_branch,
)
from training.default_model.audio_branch.augmented_images import AugmentedImages, CopySettings, corpus_images
from training.default_model.class_sets import SENTIMENT

pytestmark = pytest.mark.slow

SETTINGS = AudioTrainingSettings(units=8, epochs=6, batch_size=16, learning_rate=1e-2, weight_decay=0.01)


@pytest.fixture(scope="module", autouse=True)
def two_folds() -> Iterator[None]:
    """Use two folds instead of five, for fast tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio_training, "FOLDS", 2)
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def images(ravdess: Path, cache: Path) -> AugmentedImages:
    return corpus_images(
        ravdess,
        RAVDESS,
        cache,
        classes=SENTIMENT,
        front_end=FRONT_END,
        copies=CopySettings(shifted=1, augmented=2),
        console=Console(quiet=True),
    )


def train(images: AugmentedImages, cache: Path, seed: int = 1) -> TrainedAudioBranch:
    return train_audio_branch(images, labels=3, seed=seed, cache=cache, console=Console(quiet=True), settings=SETTINGS)


@pytest.fixture(scope="module")
def trained(images: AugmentedImages, cache: Path) -> TrainedAudioBranch:
    return train(images, cache)


@pytest.fixture
def untrained_cache(trained: TrainedAudioBranch, cache: Path, tmp_path: Path) -> Path:
    """A cache that holds the statistics, which do not depend on the training, and no weights."""
    for file in cache.glob("audio-statistics-*.npz"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_folds_have_both_men_and_women() -> None:
    actors = np.arange(1, 21)
    for fold in range(2):
        held = actors[fold_of(actors) == fold]
        assert len(held) == 10
        assert (held % 2).sum() == 5


def test_classes_of_held_out_actors_are_predicted(trained: TrainedAudioBranch) -> None:
    assert trained.logits.shape == (60, 4, 3)
    assert (trained.logits[:, 0].argmax(1) == trained.labels).mean() > 0.9
    assert (trained.logits[:, trained.augmented].argmax(2) == trained.labels[:, None]).mean() > 0.7


def test_held_out_predictions_do_not_depend_on_the_held_out_labels(
    images: AugmentedImages, trained: TrainedAudioBranch, untrained_cache: Path
) -> None:
    held = fold_of(images.speakers) == 0
    labels = images.labels.copy()
    labels[held] = (labels[held] + 1) % 3
    again = train(replace(images, labels=labels), untrained_cache)
    np.testing.assert_allclose(again.logits[held], trained.logits[held], atol=1e-5)
    assert np.abs(again.logits[~held] - trained.logits[~held]).max() > 1e-2


def test_same_seed_same_weights(images: AugmentedImages, trained: TrainedAudioBranch, untrained_cache: Path) -> None:
    again, other = train(images, untrained_cache), train(images, untrained_cache, seed=2)
    for first, second in zip(trained.head.get_weights(), again.head.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(trained.logits, again.logits)
    assert np.abs(trained.logits - other.logits).max() > 1e-2


def test_finished_parts_are_not_trained_again(
    images: AugmentedImages, trained: TrainedAudioBranch, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = sorted(cache.glob("audio-head-*.npz"))
    assert len(heads) == 3
    heads[1].unlink()
    made = []
    build = audio_training._MixupBatches

    def counted(*arguments: object) -> object:
        made.append(arguments)
        return build(*arguments)  # type: ignore[arg-type]  # stands in for a class

    monkeypatch.setattr(audio_training, "_MixupBatches", counted)
    again = train(images, cache)
    assert len(made) == 1
    np.testing.assert_array_equal(trained.logits, again.logits)


def test_the_shipped_head_is_trained_on_all_actors_and_gives_zero_for_silence(
    images: AugmentedImages, trained: TrainedAudioBranch, cache: Path
) -> None:
    statistics = image_statistics(images.colours, cache, Console(quiet=True))
    logits = trained.head.predict_on_batch(statistics[:, 0])
    assert (logits.argmax(1) == trained.labels).mean() > 0.95
    silence = image_statistics(np.zeros((1, 1, 32, 32), np.uint8), cache, Console(quiet=True))
    np.testing.assert_array_equal(trained.head.predict_on_batch(silence[0]), np.zeros((1, 3)))


@pytest.fixture(scope="module")
def nemo(corpora: Path, cache: Path) -> AugmentedImages:
    copies = CopySettings(shifted=1, augmented=2)
    return corpus_images(
        corpora, NEMO, cache, classes=SENTIMENT, front_end=FRONT_END, copies=copies, console=Console(quiet=True)
    )


def statistics_of(images: AugmentedImages, cache: Path) -> LabelledStatistics:
    return labelled_statistics(images, cache, Console(quiet=True))


def test_further_corpora_take_part_in_every_fold_and_in_the_shipped_head(
    images: AugmentedImages, nemo: AugmentedImages, trained: TrainedAudioBranch, cache: Path
) -> None:
    found = train_audio_branch(
        images, [nemo], labels=3, seed=1, cache=cache, console=Console(quiet=True), settings=SETTINGS
    )
    assert found.logits.shape == trained.logits.shape
    np.testing.assert_array_equal(found.labels, images.labels)
    changes = np.abs(found.logits - trained.logits).max(axis=(1, 2))
    assert all(changes[fold_of(images.speakers) == fold].max() > 1e-2 for fold in range(2))
    further = statistics_of(nemo, cache).statistics[:, 0]
    assert (found.head.predict_on_batch(further).argmax(1) == nemo.labels).mean() > 0.95


def test_a_corpus_weighs_the_same_whatever_its_size_and_classes_weigh_the_same_in_it(
    images: AugmentedImages, nemo: AugmentedImages, cache: Path
) -> None:
    first, second = statistics_of(images, cache), statistics_of(nemo, cache)
    uneven = second.take((second.labels != 1) | (np.arange(len(second.labels)) < 6))
    for further in (second, uneven, second.take(second.labels != 1)):
        targets = audio_training._weighted_targets([first, further], [1.0, 0.3], 3)
        rows = first.statistics.shape[0] * first.statistics.shape[1]
        assert len(targets) == rows + further.statistics.shape[0] * further.statistics.shape[1]
        np.testing.assert_allclose(targets[:rows].sum(0), rows / 3, rtol=1e-5)
        by_class = targets[rows:].sum(0)
        assert by_class.sum() == pytest.approx(0.3 * rows, rel=1e-5)
        np.testing.assert_allclose(by_class[by_class > 0], by_class.max(), rtol=1e-5)
        assert (by_class > 0).tolist() == np.isin(range(3), further.labels).tolist()


def test_mean_and_variance_are_those_of_the_weighted_corpora(
    images: AugmentedImages, nemo: AugmentedImages, cache: Path
) -> None:
    first, second = statistics_of(images, cache), statistics_of(nemo, cache)
    mean, variance = audio_training._moments([first, second], [1.0, 0.5])
    rows = [each.statistics.reshape(-1, each.statistics.shape[2]) for each in (first, second)]
    weights = np.concatenate(
        [np.full(len(each), weight / len(each)) for each, weight in zip(rows, (1, 0.5), strict=True)]
    )
    expected = np.average(np.concatenate(rows), axis=0, weights=weights)
    np.testing.assert_allclose(mean, expected, atol=1e-5)
    spread = np.average((np.concatenate(rows) - expected) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(variance, spread, atol=1e-5)
