"""Trainings on few recordings with augmented copies: by default, resumed, refused, and never for validation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from rich.console import Console

from device.errors import TrainingError
from tests.training.conftest import printed
from training.data.clip_table import read_trainable_clips
from training.data.corpus import open_corpus
from training.fit import augmentation
from training.fit.augmentation import check_augmentation, train_copies
from training.fit.checkpoints import Checkpoint
from training.fit.settings import TrainingSettings
from training.fit.trainer import train
from training.images.feature_cache import FeatureCache
from training.images.spectrogram_images import clip_images
from training.networks.network import build_network

SETTINGS = TrainingSettings(network="evidence", epochs=2, batch_size=4)
LINE = "each epoch uses 18 train recordings, about half of them as one of 8 augmented copies"
BECAUSE = ", because there are fewer than 200; --no-augment turns this off"


def weights(path: Path) -> list[Any]:
    return list(tf_keras.models.load_model(path, compile=False).get_weights())


@pytest.fixture
def features() -> FeatureCache:
    network = build_network("evidence", labels=2, vocabulary=1, front_end=SETTINGS.front_end)
    return FeatureCache(network.trunk, None)


def test_few_recordings_are_augmented_by_default(
    corpus: Path, console: Console, features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = clip_images(read_trainable_clips(corpus), SETTINGS.front_end, console, None, features)
    copies = train_copies(data, SETTINGS, features, None, console)
    assert copies is not None
    assert copies.features.shape == (18, 8, features.length)
    assert LINE + BECAUSE in printed(console)
    for clip, row in zip(data.clips, copies.index, strict=True):
        assert (row >= 0) == (clip.split == "train" and clip.audio is not None)
    assert sorted(set(copies.index.tolist())) == [-1, *range(18)]
    assert train_copies(data, replace(SETTINGS, augment=False), features, None, console) is None
    monkeypatch.setattr(augmentation, "AUGMENTED_BELOW", 18)
    assert train_copies(data, SETTINGS, features, None, console) is None
    assert printed(console).count(LINE) == 1
    assert train_copies(data, replace(SETTINGS, augment=True), features, None, console) is not None
    assert f"{LINE}\n" in printed(console)


def test_what_has_no_recordings_is_refused_only_if_augmentation_is_required(
    tmp_path: Path, write_table: Any, console: Console
) -> None:
    required = replace(SETTINGS, augment=True)
    spoken: Sequence[Sequence[str]] = [
        ("", f"word {label}", label, split) for label in "ab" for split in ("train", "dev")
    ]
    with pytest.raises(TrainingError, match=r"the train rows have no recordings, .*; leave out --augment"):
        check_augmentation(open_corpus(write_table(spoken)), required)
    images = tmp_path / "images"
    images.mkdir()
    for name in "ab":
        (images / f"{name}.png").write_bytes(b"not read")
    table = tmp_path / "images.csv"
    table.write_text("ID,text,label,split\na,x,a,train\nb,y,b,train\n,z,a,dev\n,z,b,dev\n", "utf-8")
    corpus = open_corpus(table, images=images)
    with pytest.raises(TrainingError, match=r"images\.csv: the train rows have finished images instead of recordings"):
        train(corpus, tmp_path / "Model.h5", required, console)
    assert printed(console) == ""  # before any work
    check_augmentation(corpus, SETTINGS)


@pytest.mark.slow
def test_a_seed_determines_the_weights_with_or_without_a_cache(corpus: Path, tmp_path: Path, console: Console) -> None:
    cached = replace(SETTINGS, image_cache=tmp_path / "images")
    for name, settings in (
        ("first", SETTINGS),
        ("cached", cached),
        ("again", cached),
        ("plain", replace(SETTINGS, augment=False)),
    ):
        result = train(corpus, tmp_path / f"{name}.h5", settings, console)
        assert result.companions.card["augmented_copies"] == (0 if name == "plain" else 8)
    first, *same, plain = (weights(tmp_path / f"{name}.h5") for name in ("first", "cached", "again", "plain"))
    for other in same:
        for one, two in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, two)
    assert any(abs(one - two).max() > 1e-3 for one, two in zip(first, plain, strict=True))


@pytest.mark.slow
def test_a_stopped_training_continues_with_the_same_copies_or_not_at_all(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(corpus, tmp_path / "expected.h5", replace(SETTINGS, epochs=3), console)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "remove", lambda _self: None)
        train(corpus, tmp_path / "Model.h5", replace(SETTINGS, epochs=1), console)
    resumed = replace(SETTINGS, epochs=3, resume=True)
    with pytest.raises(TrainingError, match=r"a training with other augmentation \(8 copies \(1\) there, none here\)"):
        train(corpus, tmp_path / "Model.h5", replace(resumed, augment=False), console)
    train(corpus, tmp_path / "Model.h5", resumed, console)
    for one, two in zip(weights(tmp_path / "expected.h5"), weights(tmp_path / "Model.h5"), strict=True):
        np.testing.assert_array_equal(one, two)
