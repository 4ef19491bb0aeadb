import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.training.default_model.conftest import FRONT_END, LABELS
from training.default_model.audio_branch import audio_training
from training.default_model.audio_branch.audio_training import (
    AudioTrainingSettings,
    TrainedAudioBranch,
    fold_of,
    image_statistics,
    train_audio_branch,
)
from training.default_model.audio_branch.augmented_images import AugmentedImages, CopySettings, ravdess_images

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
    return ravdess_images(
        ravdess,
        cache,
        labels=LABELS,
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
    held = fold_of(images.actors) == 0
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
    heads = sorted(cache.glob("audio-head-*-1.npz"))
    assert len(heads) == 1
    heads[0].unlink()
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
