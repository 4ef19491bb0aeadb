"""What the trunk sees is computed once, kept, found again, and forgotten when it would be wrong."""

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
from training.data.clip_table import read_clip_table
from training.images.feature_cache import FeatureCache, digest
from training.images.spectrogram_images import ClipImages, clip_images

FRONT_END = FrontEnd()


def trunk(seed: int, pooling: str = "max") -> tf_keras.Model:
    tf_keras.utils.set_random_seed(seed)
    images = tf_keras.layers.Input((64, 64, 3))
    pool = tf_keras.layers.GlobalMaxPool2D if pooling == "max" else tf_keras.layers.GlobalAveragePooling2D
    return tf_keras.Model(images, pool()(tf_keras.layers.Conv2D(5, 8, 8)(images)))


class Counting(FeatureCache):
    """Counts the pictures that are looked at, and notes how many at once."""

    def __init__(self, trunk: tf_keras.Model, folder: Path | None) -> None:
        super().__init__(trunk, folder)
        self.looked: list[int] = []

    def of(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        self.looked.append(len(pictures))
        return super().of(pictures)


def look(corpus: Path, features: FeatureCache, folder: Path | None, front_end: FrontEnd = FRONT_END) -> ClipImages:
    return clip_images(read_clip_table(corpus), front_end, Console(quiet=True), folder, features)


def test_features_are_those_of_the_pictures(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train3.wav").write_text("broken")
    monkeypatch.setattr("training.images.spectrogram_images._AT_ONCE", 7)
    network = trunk(1)
    expected = clip_images(read_clip_table(corpus), FRONT_END, console)
    seen = Counting(network, None)
    found = look(corpus, seen, None)
    assert found.clips == expected.clips
    assert found.unreadable == expected.unreadable == (tmp_path / "train3.wav",)
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_allclose(found.images, network.predict_on_batch(expected.images), atol=1e-6)
    # However large the corpus, no more pictures than these are there at a time: silence, and then 7 of 24.
    assert sum(seen.looked) == len(expected.images) == 24
    assert max(seen.looked) == 7


def test_kept_features_are_not_computed_again(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    first, again = Counting(trunk(1), folder), Counting(trunk(1), folder)
    found = look(corpus, first, folder)
    again = Counting(trunk(1), folder)
    kept = look(corpus, again, folder)
    assert (sum(first.looked), sum(again.looked)) == (25, 1)  # silence is always looked at
    np.testing.assert_array_equal(found.images, kept.images)
    # One recording changes, and nothing but its own features is computed.
    (tmp_path / "train1.wav").write_bytes((tmp_path / "train0.wav").read_bytes() + b"\0\0")
    changed = Counting(trunk(1), folder)
    assert look(corpus, changed, folder).clips == found.clips
    assert sum(changed.looked) == 2


def test_another_trunk_or_front_end_sees_anew(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    look(corpus, FeatureCache(trunk(1), folder), folder)
    assert len({digest(trunk(1)), digest(trunk(2)), digest(trunk(1, "average"))}) == 3
    assert digest(trunk(1)) == digest(trunk(1))
    for other in (trunk(2), trunk(1, "average")):
        seen = Counting(other, folder)
        look(corpus, seen, folder)
        assert sum(seen.looked) == 25
    seen = Counting(trunk(1), folder)
    look(corpus, seen, folder, replace(FRONT_END, db_floor=60.0))
    assert sum(seen.looked) == 25
    # The pictures of the former front end are gone, and the features that nobody will ask for any more go after them.
    before = set(folder.glob("features-*/*.npz"))
    FeatureCache(trunk(1), folder)
    assert len(before - set(folder.glob("features-*/*.npz"))) == 1


def test_stopped_and_damaged(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pictures"
    monkeypatch.setattr("training.images.spectrogram_images._AT_ONCE", 10)

    class Stopped(Counting):
        def of(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
            if len(self.looked) == 2:
                raise KeyboardInterrupt
            return super().of(pictures)

    with pytest.raises(KeyboardInterrupt):
        look(corpus, Stopped(trunk(1), folder), folder)
    (file,) = folder.glob("features-*/*")
    seen = Counting(trunk(1), folder)
    look(corpus, seen, folder)
    assert sum(seen.looked) == 1 + 24 - 10
    file.write_bytes(file.read_bytes()[:100])
    seen = Counting(trunk(1), folder)
    assert not file.exists()
    look(corpus, seen, folder)
    assert sum(seen.looked) == 1 + 10


def test_full_disk(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pictures"
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
        with pytest.raises(TrainingError, match=r"features-.*cannot be written to \(No space left.*is kept"):
            look(corpus, FeatureCache(trunk(1), folder), folder)
    assert len(list(folder.glob("features-*/*"))) == 1
    seen = Counting(trunk(1), folder)
    look(corpus, seen, folder)
    assert sum(seen.looked) == 1 + 24 - 10
