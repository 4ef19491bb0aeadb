from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, silent_image, spectrogram_image
from tests.training.default_model.conftest import FRONT_END, LABELS, write_ravdess
from training.data.audio_reading import read_recording
from training.default_model.sounds import (
    Copies,
    Sounds,
    colour_steps,
    painted,
    ravdess_sounds,
)

COPIES = Copies(moved=2, altered=3)


def compute(data: Path, cache: Path, console: Console, copies: Copies = COPIES, labels: object = LABELS) -> Sounds:
    assert isinstance(labels, tuple)
    return ravdess_sounds(data, cache, labels=labels, front_end=FRONT_END, copies=copies, console=console)


def test_pictures_are_those_of_the_device(ravdess: Path, tmp_path: Path, console: Console) -> None:
    sounds = compute(ravdess, tmp_path, console)
    assert sounds.steps.shape == (60, 6, 32, 32)
    assert np.bincount(sounds.labels).tolist() == [20, 20, 20]
    assert sorted(set(sounds.actors.tolist())) == list(range(1, 11))
    file = ravdess / "ravdess" / "flac" / "03-neutral-1.flac"
    (row,) = np.flatnonzero((sounds.actors == 3) & (sounds.labels == 1))[1:]
    expected = spectrogram_image(mel_power(read_recording(file, 16_000), FRONT_END), FRONT_END)
    np.testing.assert_allclose(painted(sounds.steps[row, 0]), expected, atol=1e-6)
    assert (sounds.moved, sounds.altered) == (slice(1, 3), slice(3, 6))
    differing = (sounds.steps[:, 1:] != sounds.steps[:, :1]).mean((0, 2, 3))
    assert differing[2:].min() > differing[:2].max() > 0


def test_colour_steps_are_exact() -> None:
    steps = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(colour_steps(painted(steps)), steps)
    assert not colour_steps(silent_image(FrontEnd())).any()


def test_what_is_done_is_kept_and_the_rest_made_up_for(ravdess: Path, tmp_path: Path, console: Console) -> None:
    first = compute(ravdess, tmp_path, console)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 10
    before = {path: path.stat().st_mtime_ns for path in files}
    files[2].unlink()
    files[4].write_bytes(files[4].read_bytes()[:1000])
    again = compute(ravdess, tmp_path, console)
    np.testing.assert_array_equal(first.steps, again.steps)
    assert {path for path in files if path.stat().st_mtime_ns != before[path]} == {files[2], files[4]}


def test_other_settings_or_recordings_are_computed_anew(tmp_path: Path, console: Console) -> None:
    data, cache = write_ravdess(tmp_path / "data", actors=2), tmp_path / "cache"
    first = compute(data, cache, console)
    other_seed = compute(data, cache, console, Copies(moved=2, altered=3, seed=2))
    np.testing.assert_array_equal(first.steps[:, 0], other_seed.steps[:, 0])
    assert (first.steps[:, 1:] != other_seed.steps[:, 1:]).any()
    flac = data / "ravdess" / "flac"
    (flac / "01-neutral-0.flac").write_bytes((flac / "01-positive-0.flac").read_bytes())
    changed = compute(data, cache, console)
    assert [bool(differs) for differs in (first.steps[:, 0] != changed.steps[:, 0]).any((1, 2))].count(True) == 1


def test_broken_corpora(tmp_path: Path, console: Console) -> None:
    with pytest.raises(TrainingError, match=r"labels\.csv: cannot be read"):
        compute(tmp_path, tmp_path / "cache", console)
    data = write_ravdess(tmp_path / "data", actors=2)
    with pytest.raises(TrainingError, match=r"labels\.csv: no clip is labelled bored"):
        compute(data, tmp_path / "cache", console, labels=("neutral", "bored"))
    clip = data / "ravdess" / "flac" / "02-neutral-0.flac"
    clip.write_bytes(b"nothing that sounds")
    with pytest.raises(TrainingError, match=r"02-neutral-0\.flac: .*get RAVDESS's flac/02-neutral-0\.flac again"):
        compute(data, tmp_path / "cache", console)
    assert len(list((tmp_path / "cache").iterdir())) == 1  # actor 1 is done
    clip.unlink()
    with pytest.raises(TrainingError, match=r"02-neutral-0\.flac: cannot be read .*corpus is incomplete"):
        compute(data, tmp_path / "cache", console)
    table = data / "ravdess" / "labels.csv"
    table.write_text(table.read_text().replace("actor02", "Joey"))
    with pytest.raises(TrainingError, match=r"the speaker of 02-negative-0\.flac is 'Joey', expected actor01"):
        compute(data, tmp_path / "cache", console)
