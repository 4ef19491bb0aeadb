"""Features of images are computed once, cached, found again, and removed when they are out of date."""

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
from training.data.clip_table import read_trainable_clips
from training.images.feature_cache import FeatureCache, digest
from training.images.spectrogram_images import ClipImages, clip_images

FRONT_END = FrontEnd()


def trunk(seed: int, pooling: str = "max") -> tf_keras.Model:
    tf_keras.utils.set_random_seed(seed)
    images = tf_keras.layers.Input((64, 64, 3))
    pool = tf_keras.layers.GlobalMaxPool2D if pooling == "max" else tf_keras.layers.GlobalAveragePooling2D
    return tf_keras.Model(images, pool()(tf_keras.layers.Conv2D(5, 8, 8)(images)))


class Counting(FeatureCache):
    """Records how many images each call computes."""

    def __init__(self, trunk: tf_keras.Model, folder: Path | None) -> None:
        super().__init__(trunk, folder)
        self.computed: list[int] = []

    def compute(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.computed.append(len(images))
        return super().compute(images)


def load(corpus: Path, features: FeatureCache, folder: Path | None, front_end: FrontEnd = FRONT_END) -> ClipImages:
    return clip_images(read_trainable_clips(corpus), front_end, Console(quiet=True), folder, features)


def test_features_equal_those_of_the_images(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train3.wav").write_text("broken")
    monkeypatch.setattr("training.images.spectrogram_images._AT_ONCE", 7)
    network = trunk(1)
    expected = clip_images(read_trainable_clips(corpus), FRONT_END, console)
    features = Counting(network, None)
    found = load(corpus, features, None)
    assert found.clips == expected.clips
    assert found.unreadable == expected.unreadable == (tmp_path / "train3.wav",)
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_allclose(found.images[:], network.predict_on_batch(expected.images[:]), atol=1e-6)
    # However large the corpus, only so many images are in memory at a time: silence, and then 7 of 24.
    assert sum(features.computed) == len(expected.images) == 24
    assert max(features.computed) == 7


def test_cached_features_are_not_computed_again(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    first = Counting(trunk(1), folder)
    found = load(corpus, first, folder)
    second = Counting(trunk(1), folder)
    cached = load(corpus, second, folder)
    assert (sum(first.computed), sum(second.computed)) == (25, 1)  # silence is always computed
    np.testing.assert_array_equal(found.images[:], cached.images[:])
    # One recording changes, and only its own features are computed.
    (tmp_path / "train1.wav").write_bytes((tmp_path / "train0.wav").read_bytes() + b"\0\0")
    changed = Counting(trunk(1), folder)
    assert load(corpus, changed, folder).clips == found.clips
    assert sum(changed.computed) == 2


def test_another_trunk_or_front_end_computes_again(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    load(corpus, FeatureCache(trunk(1), folder), folder)
    assert len({digest(trunk(1)), digest(trunk(2)), digest(trunk(1, "average"))}) == 3
    assert digest(trunk(1)) == digest(trunk(1))
    for other in (trunk(2), trunk(1, "average")):
        features = Counting(other, folder)
        load(corpus, features, folder)
        assert sum(features.computed) == 25
    features = Counting(trunk(1), folder)
    load(corpus, features, folder, replace(FRONT_END, db_floor=60.0))
    assert sum(features.computed) == 25
    # The images of the former front end were removed, and their features, which are not used any more, follow.
    before = set(folder.glob("features-*/*.npz"))
    FeatureCache(trunk(1), folder)
    assert len(before - set(folder.glob("features-*/*.npz"))) == 1


def test_interrupted_run_and_damaged_file(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "images"
    monkeypatch.setattr("training.images.spectrogram_images._AT_ONCE", 10)

    class Stopped(Counting):
        def compute(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
            if len(self.computed) == 2:
                raise KeyboardInterrupt
            return super().compute(images)

    with pytest.raises(KeyboardInterrupt):
        load(corpus, Stopped(trunk(1), folder), folder)
    (file,) = folder.glob("features-*/*")
    features = Counting(trunk(1), folder)
    load(corpus, features, folder)
    assert sum(features.computed) == 1 + 24 - 10
    file.write_bytes(file.read_bytes()[:100])
    features = Counting(trunk(1), folder)
    assert not file.exists()
    load(corpus, features, folder)
    assert sum(features.computed) == 1 + 10


def test_full_disk(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "images"
    monkeypatch.setattr("training.images.spectrogram_images._AT_ONCE", 10)
    save = np.savez
    written: list[object] = []

    def full(stream: object, **arrays: Sequence[object]) -> None:
        written.append(stream)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        save(stream, **arrays)  # type: ignore[arg-type]  # stands in for a function

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(TrainingError, match=r"features-.*cannot be written to \(No space left.*is not repeated"):
            load(corpus, FeatureCache(trunk(1), folder), folder)
    assert len(list(folder.glob("features-*/*"))) == 1
    features = Counting(trunk(1), folder)
    load(corpus, features, folder)
    assert sum(features.computed) == 1 + 24 - 10
