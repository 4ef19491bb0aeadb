from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, silent_image, spectrogram_image
from tests.training.default_model.conftest import FRONT_END, write_corpus, write_ravdess
from training.data.reading.audio import read_recording
from training.default_model.audio_branch.acted_speech import NEMO, RAVDESS
from training.default_model.audio_branch.augmented_images import (
    AugmentedImages,
    CopySettings,
    corpus_images,
    to_colour_indices,
    to_rgb,
)
from training.default_model.class_sets import EMOTIONS, SENTIMENT, ClassSet

COPIES = CopySettings(shifted=2, augmented=3)
ALL_EMOTIONS = {"neutral": 1200, "happy": 4000, "sad": 200, "angry": 300, "surprised": 500, "fearful": 2500}


def compute(
    data: Path, cache: Path, console: Console, copies: CopySettings = COPIES, classes: ClassSet = SENTIMENT
) -> AugmentedImages:
    return corpus_images(data, RAVDESS, cache, classes=classes, front_end=FRONT_END, copies=copies, console=console)


def test_images_equal_those_of_the_device(ravdess: Path, tmp_path: Path, console: Console) -> None:
    images = compute(ravdess, tmp_path, console)
    assert images.colours.shape == (60, 6, 32, 32)
    assert np.bincount(images.labels).tolist() == [20, 20, 20]
    assert sorted(set(images.speakers.tolist())) == list(range(1, 11))
    file = ravdess / "ravdess" / "flac" / "03-neutral-1.flac"
    (row,) = np.flatnonzero((images.speakers == 3) & (images.labels == 1))[1:]
    expected = spectrogram_image(mel_power(read_recording(file, 16_000), FRONT_END), FRONT_END)
    np.testing.assert_allclose(to_rgb(images.colours[row, 0]), expected, atol=1e-6)
    assert (images.shifted, images.augmented) == (slice(1, 3), slice(3, 6))
    differing = (images.colours[:, 1:] != images.colours[:, :1]).mean((0, 2, 3))
    assert differing[2:].min() > differing[:2].max() > 0


def test_colour_indices_are_exact() -> None:
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_colour_indices(to_rgb(indices)), indices)
    assert not to_colour_indices(silent_image(FrontEnd())).any()


def test_cached_images_are_used_and_missing_ones_computed(ravdess: Path, tmp_path: Path, console: Console) -> None:
    first = compute(ravdess, tmp_path, console)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 10
    before = {path: path.stat().st_mtime_ns for path in files}
    files[2].unlink()
    files[4].write_bytes(files[4].read_bytes()[:1000])
    again = compute(ravdess, tmp_path, console)
    np.testing.assert_array_equal(first.colours, again.colours)
    assert {path for path in files if path.stat().st_mtime_ns != before[path]} == {files[2], files[4]}


def test_other_settings_or_recordings_are_computed_again(tmp_path: Path, console: Console) -> None:
    data, cache = write_ravdess(tmp_path / "data", actors=2), tmp_path / "cache"
    first = compute(data, cache, console)
    other_seed = compute(data, cache, console, CopySettings(shifted=2, augmented=3, seed=2))
    np.testing.assert_array_equal(first.colours[:, 0], other_seed.colours[:, 0])
    assert (first.colours[:, 1:] != other_seed.colours[:, 1:]).any()
    flac = data / "ravdess" / "flac"
    (flac / "01-neutral-0.flac").write_bytes((flac / "01-happy-0.flac").read_bytes())
    changed = compute(data, cache, console)
    assert [bool(differs) for differs in (first.colours[:, 0] != changed.colours[:, 0]).any((1, 2))].count(True) == 1


def test_class_sets_share_the_cached_images(tmp_path: Path, console: Console) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    write_corpus(data / "nemo", ["Zoe", "Anna"], ALL_EMOTIONS)  # no disgust, which nEMO does not have
    arguments = (data, NEMO, cache)
    settings = {"front_end": FRONT_END, "copies": COPIES, "console": console}
    three = corpus_images(*arguments, classes=SENTIMENT, **settings)  # type: ignore[arg-type]  # dict of objects
    files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    seven = corpus_images(*arguments, classes=EMOTIONS, **settings)  # type: ignore[arg-type]  # dict of objects
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == files
    assert np.bincount(three.labels).tolist() == [12, 4, 4]
    assert np.bincount(seven.labels, minlength=7).tolist() == [4, 4, 4, 4, 2, 4, 0]
    surprise = seven.labels == EMOTIONS.labels.index("surprise")
    np.testing.assert_array_equal(seven.colours[~surprise], three.colours)


def test_corpora_without_numbered_speakers(corpora: Path, tmp_path: Path, console: Console) -> None:
    images = corpus_images(
        corpora, NEMO, tmp_path, classes=SENTIMENT, front_end=FRONT_END, copies=COPIES, console=console
    )
    assert images.colours.shape == (24, 6, 32, 32)
    assert images.speakers.tolist() == [speaker for speaker in (1, 2, 3, 4) for _ in range(6)]
    assert sorted(path.name.rsplit("-", 1)[0] for path in tmp_path.iterdir()) == [
        f"nemo-speaker{number:02}" for number in (1, 2, 3, 4)
    ]
    others = images.without([2, 3])
    assert set(others.speakers.tolist()) == {1, 4}
    np.testing.assert_array_equal(others.colours, images.colours[np.isin(images.speakers, [1, 4])])


def test_broken_corpora(tmp_path: Path, console: Console) -> None:
    with pytest.raises(TrainingError, match=r"labels\.csv: cannot be read"):
        compute(tmp_path, tmp_path / "cache", console)
    data = write_ravdess(tmp_path / "data", actors=2)
    with pytest.raises(TrainingError, match=r"labels\.csv: no clip is labelled sad, fearful, disgust") as error:
        compute(data, tmp_path / "cache", console, classes=EMOTIONS)
    assert error.value.fix == "check its column emotion"
    clip = data / "ravdess" / "flac" / "02-neutral-0.flac"
    clip.write_bytes(b"not a recording")
    with pytest.raises(TrainingError, match=r"02-neutral-0\.flac: ") as error:
        compute(data, tmp_path / "cache", console)
    assert error.value.fix == "download RAVDESS's flac/02-neutral-0.flac again"
    assert len(list((tmp_path / "cache").iterdir())) == 1  # actor 1 is finished
    clip.unlink()
    with pytest.raises(TrainingError, match=r"02-neutral-0\.flac: cannot be read") as error:
        compute(data, tmp_path / "cache", console)
    assert error.value.fix.startswith("the corpus is incomplete")
    table = data / "ravdess" / "labels.csv"
    table.write_text(table.read_text().replace("actor02", "Joey"))
    with pytest.raises(TrainingError, match=r"the speaker of 02-angry-0\.flac is 'Joey', expected actor01"):
        compute(data, tmp_path / "cache", console)
