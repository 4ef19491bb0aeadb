from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.training.default_model.conftest import FRONT_END, LABELS
from training.default_model import sound_training
from training.default_model.sound_training import HeadSettings, TrainedSound, fold_of, picture_statistics, train_sound
from training.default_model.sounds import Copies, Sounds, ravdess_sounds

SETTINGS = HeadSettings(units=8, epochs=6, batch_size=16, rate=1e-2, weight_decay=0.01)


@pytest.fixture(scope="module", autouse=True)
def two_folds() -> Iterator[None]:
    """Two folds instead of five, for quick tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound_training, "FOLDS", 2)
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def sounds(ravdess: Path, cache: Path) -> Sounds:
    return ravdess_sounds(
        ravdess,
        cache,
        labels=LABELS,
        front_end=FRONT_END,
        copies=Copies(moved=1, altered=2),
        console=Console(quiet=True),
    )


def train(sounds: Sounds, cache: Path, seed: int = 1) -> TrainedSound:
    return train_sound(sounds, labels=3, seed=seed, cache=cache, console=Console(quiet=True), settings=SETTINGS)


@pytest.fixture(scope="module")
def trained(sounds: Sounds, cache: Path) -> TrainedSound:
    return train(sounds, cache)


def test_folds_have_both_men_and_women() -> None:
    actors = np.arange(1, 21)
    for fold in range(2):
        held = actors[fold_of(actors) == fold]
        assert len(held) == 10
        assert (held % 2).sum() == 5


def test_classes_are_told_apart_by_actors_never_heard(trained: TrainedSound) -> None:
    assert trained.logits.shape == (60, 4, 3)
    assert (trained.logits[:, 0].argmax(1) == trained.labels).mean() > 0.9
    assert (trained.logits[:, trained.altered].argmax(2) == trained.labels[:, None]).mean() > 0.7


def test_held_out_answers_do_not_depend_on_the_held_out_labels(
    sounds: Sounds, trained: TrainedSound, cache: Path, tmp_path: Path
) -> None:
    held = fold_of(sounds.actors) == 0
    labels = sounds.labels.copy()
    labels[held] = (labels[held] + 1) % 3
    again = train(replace(sounds, labels=labels), tmp_path)
    np.testing.assert_allclose(again.logits[held], trained.logits[held], atol=1e-5)
    assert np.abs(again.logits[~held] - trained.logits[~held]).max() > 1e-2


def test_same_seed_same_weights(sounds: Sounds, trained: TrainedSound, tmp_path: Path) -> None:
    again, other = train(sounds, tmp_path), train(sounds, tmp_path, seed=2)
    for first, second in zip(trained.head.get_weights(), again.head.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(trained.logits, again.logits)
    assert np.abs(trained.logits - other.logits).max() > 1e-2


def test_finished_parts_are_not_trained_again(
    sounds: Sounds, trained: TrainedSound, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = sorted(cache.glob("sound-head-*-1.npz"))
    assert len(heads) == 1
    heads[0].unlink()
    made = []
    build = sound_training._MixedStatistics

    def counted(*arguments: object) -> object:
        made.append(arguments)
        return build(*arguments)  # type: ignore[arg-type]  # stands in for a class

    monkeypatch.setattr(sound_training, "_MixedStatistics", counted)
    again = train(sounds, cache)
    assert len(made) == 1
    np.testing.assert_array_equal(trained.logits, again.logits)


def test_the_head_that_ships_heard_everyone_and_gives_nothing_for_silence(
    sounds: Sounds, trained: TrainedSound, cache: Path
) -> None:
    statistics = picture_statistics(sounds.steps, cache, Console(quiet=True))
    answers = trained.head.predict_on_batch(statistics[:, 0])
    assert (answers.argmax(1) == trained.labels).mean() > 0.95
    silence = picture_statistics(np.zeros((1, 1, 32, 32), np.uint8), cache, Console(quiet=True))
    np.testing.assert_array_equal(trained.head.predict_on_batch(silence[0]), np.zeros((1, 3)))
