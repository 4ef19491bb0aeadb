"""Augmented copies: the same for the same seed and recording, computed once, and never mixed up."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tf_keras
from numpy.typing import NDArray
from rich.console import Console

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from tests.training.conftest import printed
from training.data.reading.audio import read_recording
from training.images.augmented_copies import Augmentation, augmented_features
from training.images.feature_cache import FeatureCache
from training.images.image_cache import ImageCache
from training.images.spectrogram import compute_image

FRONT_END = FrontEnd()
THREE = Augmentation(copies=3, seed=1)


class Counting(FeatureCache):
    """Mean colours of each column as features; records how many images it computes."""

    def __init__(self, folder: Path | None) -> None:
        images = tf_keras.layers.Input((64, 64, 3))
        pooled = tf_keras.layers.AveragePooling2D((64, 1))(images)
        super().__init__(tf_keras.Model(images, tf_keras.layers.Flatten()(pooled)), folder)
        self.computed = 0

    def compute(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.computed += len(images)
        return super().compute(images)


@pytest.fixture
def recordings(corpus: Path) -> list[Path]:
    """Six recordings."""
    return sorted(corpus.parent.glob("train*.wav"))[:6]


def compute(
    recordings: Sequence[Path],
    augmentation: Augmentation = THREE,
    folder: Path | None = None,
    features: Counting | None = None,
    console: Console | None = None,
) -> NDArray[np.float32]:
    if folder is not None:
        ImageCache(folder, FRONT_END).fill(recordings, Console(quiet=True))
    return augmented_features(
        recordings, augmentation, FRONT_END, features or Counting(folder), console or Console(quiet=True), folder
    )


def test_copies_depend_on_seed_number_and_content_only(recordings: list[Path], tmp_path: Path) -> None:
    copies = compute(recordings)
    assert copies.shape == (6, 3, 192)
    np.testing.assert_array_equal(copies, compute(recordings))
    np.testing.assert_array_equal(copies[::-1], compute(recordings[::-1]))
    np.testing.assert_array_equal(copies[:, :2], compute(recordings, replace(THREE, copies=2)))
    moved = recordings[2].rename(tmp_path / "moved.wav")
    np.testing.assert_array_equal(copies[2:3], compute([moved]))
    other = compute([moved], replace(THREE, seed=2))
    originals = Counting(None).compute(np.stack([compute_image(read_recording(moved, 16_000), FRONT_END)]))
    each = np.concatenate([originals, copies[2], other[0]])
    distances = np.abs(each[:, None] - each[None]).mean(axis=2)
    assert distances[~np.eye(len(each), dtype=bool)].min() > 1e-3  # neither equal each other nor the recording


def test_copies_are_cached_beside_the_images(recordings: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    first = Counting(folder)
    copies = compute(recordings, folder=folder, features=first)
    again = Counting(folder)
    np.testing.assert_array_equal(copies, compute(recordings, folder=folder, features=again))
    assert (first.computed, again.computed) == (18, 0)
    more = Counting(folder)
    compute(recordings, replace(THREE, copies=5), folder, more)
    other_seed = Counting(folder)
    compute(recordings, replace(THREE, seed=2), folder, other_seed)
    assert (more.computed, other_seed.computed) == (12, 18)
    # One recording changes, and its copies only are computed again.
    recordings[1].write_bytes(recordings[0].read_bytes() + b"\0\0")
    changed = Counting(folder)
    compute(recordings, folder=folder, features=changed)
    assert changed.computed == 3
    # When no image is left, the features follow.
    for image in folder.glob("*.png"):
        image.unlink()
    Counting(folder)
    assert not list(folder.glob("features-*/*.npz"))


def test_an_interrupted_run_leaves_finished_copies(
    recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console: Console
) -> None:
    folder = tmp_path / "images"
    monkeypatch.setattr("training.images.augmented_copies._AT_ONCE", 6)

    class Stopped(Counting):
        def compute(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
            if self.computed == 12:
                raise KeyboardInterrupt
            return super().compute(images)

    with pytest.raises(KeyboardInterrupt):
        compute(recordings, folder=folder, features=Stopped(folder), console=console)
    continued = Counting(folder)
    compute(recordings, folder=folder, features=continued, console=console)
    assert continued.computed == 6
    assert "augmented copies" in printed(console)


@pytest.mark.parametrize("cached", [False, True])
def test_a_recording_that_disappears_is_one_error(recordings: list[Path], tmp_path: Path, cached: bool) -> None:
    folder = tmp_path / "images" if cached else None
    features = Counting(folder)
    recordings[4].unlink()
    with pytest.raises(TrainingError, match=rf"{recordings[4].name}: "):
        compute(recordings, folder=folder, features=features)
