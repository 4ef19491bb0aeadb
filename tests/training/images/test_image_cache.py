import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import training.images.image_cache
import training.parallel
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import MAGMA, mel_power, spectrogram_image
from edge_mcnn.main import app
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn
from tests.full_disk import full_disk
from tests.waiting import wait_until
from training.data.clips import Clip
from training.data.finished_images import IMAGE_TABLE, INDEX
from training.data.reading.audio import read_recording
from training.images.image_cache import ImageCache
from training.images.spectrogram import compute_image
from training.images.spectrogram_images import clip_images

FRONT_END = FrontEnd()
Compute = Callable[..., Any]


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(0)
    paths = [tmp_path / "clips" / f"{number}.wav" for number in range(12)]
    paths[0].parent.mkdir()
    for path in paths:
        soundfile.write(path, 0.1 * random.standard_normal(8000).cumsum() / 50, 16_000)
    return paths


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the recordings whose images were computed, in this order."""
    names: list[str] = []
    read = read_recording

    def counted(file: Path, rate: int) -> Any:
        names.append(file.name)
        return read(file, rate)

    monkeypatch.setattr(training.images.image_cache, "read_recording", counted)
    return names


def pngs(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.png")}


def test_png_stores_the_exact_image(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    cache = ImageCache(tmp_path / "p", FRONT_END)
    cache.fill(recordings, console)
    for recording in recordings:
        samples = read_recording(recording, 16_000)
        expected = compute_image(samples, FRONT_END)
        # The device's transform has another precision, which moves a few points to the next colour.
        assert np.mean(expected != spectrogram_image(mel_power(samples, FRONT_END), FRONT_END)) < 0.005
        with Image.open(cache.path(recording)) as image:
            assert (image.size, image.mode) == ((64, 64), "RGB")
            np.testing.assert_array_equal(np.asarray(image) / np.float32(255), expected)
        cached = cache.image(recording)
        assert cached.dtype == np.float32
        np.testing.assert_array_equal(cached, expected)
    every_colour = (MAGMA / np.float32(255)).astype(np.float32)
    np.testing.assert_array_equal(np.rint(every_colour * 255).astype(np.uint8), MAGMA)


def test_index_lists_each_recording_with_its_image(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    recordings[3].write_text("broken")
    update = ImageCache(tmp_path / "p", FRONT_END).fill([*recordings, recordings[0]], console)
    assert (update.computed, update.reused, update.removed) == (11, 0, 0)
    assert [each.recording for each in update.skipped] == [recordings[3]]
    index = json.loads((tmp_path / "p" / INDEX).read_text())["recordings"]
    assert list(index) == sorted(f"../clips/{path.name}" for path in recordings)
    assert "not a readable recording" in index["../clips/3.wav"].pop("skipped")
    assert {entry["image"] for entry in index.values() if entry} == pngs(tmp_path / "p")


def test_two_paths_of_one_recording_have_one_image(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str]
) -> None:
    (tmp_path / "links").mkdir()
    links = [tmp_path / "links" / path.name for path in recordings]
    for link, path in zip(links, recordings, strict=True):
        link.symlink_to(path)
    recordings[3].write_text("broken")
    cache = ImageCache(tmp_path / "p", FRONT_END)
    update = cache.fill([*recordings, *links], console)
    assert len(computed) == len(recordings)
    assert (update.computed, update.reused) == (11, 0)
    assert {update.files[path] for path in recordings if path != recordings[3]} == pngs(tmp_path / "p")
    assert {each.recording for each in update.skipped} == {recordings[3], links[3]}
    for link in links[:3]:
        assert update.files[link] == cache.path(link).name
    assert cache.fill([*links, *recordings], console).reused == 11


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, for any number of recordings and on any machine."""
    monkeypatch.setattr(training.images.image_cache, "_WORTH_PROCESSES", 1)
    monkeypatch.setattr(training.parallel, "_cores", lambda: 2)


@pytest.mark.usefixtures("two_processes")
def test_processes_compute_the_same_files(
    recordings: list[Path], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings[10].write_text("broken")
    recordings[11].unlink()
    folder, expected = tmp_path / "p", tmp_path / "q"
    read = read_recording

    def waiting(file: Path, rate: int) -> Any:
        wait_until(lambda: pngs(folder))  # this process writes none yet, so the other one does
        return read(file, rate)

    with monkeypatch.context() as patch:
        patch.setattr(training.images.image_cache, "read_recording", waiting)
        update = ImageCache(folder, FRONT_END).fill(recordings, console)
    monkeypatch.setattr(training.images.image_cache, "_WORTH_PROCESSES", len(recordings) + 1)
    assert update == ImageCache(expected, FRONT_END).fill(recordings, console)
    assert (update.computed, len(update.skipped)) == (10, 2)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in expected.iterdir()
    }


@pytest.mark.usefixtures("two_processes")
def test_no_process_starts_for_cached_images(
    recordings: list[Path], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ImageCache(tmp_path / "p", FRONT_END)
    cache.fill(recordings, console)
    monkeypatch.setattr(subprocess, "Popen", None)
    assert cache.fill(recordings, console).reused == 12


@pytest.mark.usefixtures("two_processes")
def test_another_process_cannot_write(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    folder = tmp_path / "p"
    cache = ImageCache(folder, FRONT_END)
    cache.fill(recordings[:8], console)  # what this process gets
    (folder / f".{cache.path(recordings[8]).name}.part").mkdir()
    with pytest.raises(TrainingError, match=r"p: cannot be written to \(Is a directory\); free"):
        cache.fill(recordings, console)


def test_continues_after_ctrl_c(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save = training.images.image_cache._save

    def interrupted(path: Path, image: Any) -> None:
        if path.name.startswith("7-"):
            path.with_name(f".{path.name}.part").write_bytes(b"partial")
            raise KeyboardInterrupt
        save(path, image)

    cache = ImageCache(tmp_path / "p", FRONT_END)
    with monkeypatch.context() as patch:
        patch.setattr(training.images.image_cache, "_save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.fill(recordings, console)
    done = pngs(tmp_path / "p")
    assert len(done) >= 7
    assert not any(name.startswith("7-") for name in done)
    assert set(json.loads((tmp_path / "p" / INDEX).read_text())["recordings"]) >= {"../clips/6.wav"}
    computed.clear()
    update = ImageCache(tmp_path / "p", FRONT_END).fill(recordings, console)
    assert (update.computed, update.reused) == (12 - len(done), len(done)) == (len(computed), len(done))
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == sorted([*pngs(tmp_path / "p"), INDEX])
    assert len(pngs(tmp_path / "p")) == 12


def test_after_ctrl_c_the_index_has_every_finished_image(
    recordings: list[Path], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, image: Any) -> None:
        if path.name.startswith("0-"):  # whose result the others wait for
            wait_until(lambda: len(pngs(tmp_path / "p")) >= 5)
            raise KeyboardInterrupt
        save(path, image)

    save = training.images.image_cache._save
    monkeypatch.setattr(training.parallel, "_cores", lambda: 2)
    monkeypatch.setattr(training.images.image_cache, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ImageCache(tmp_path / "p", FRONT_END).fill(recordings, console)
    index = json.loads((tmp_path / "p" / INDEX).read_text())["recordings"]
    assert {entry["image"] for entry in index.values()} == pngs(tmp_path / "p")
    monkeypatch.setattr(training.images.image_cache, "_save", save)
    other = replace(FRONT_END, n_mels=32)
    assert ImageCache(tmp_path / "p", other).fill(recordings, console).removed == len(index)


@pytest.mark.parametrize("stopped_by", [signal.SIGINT, signal.SIGKILL])
def test_stopped_process_continues(stopped_by: signal.Signals, recordings: list[Path], tmp_path: Path) -> None:
    """A real signal to a real process, at any point of its work."""
    for number in range(120):
        soundfile.write(tmp_path / "clips" / f"more{number}.wav", np.random.default_rng(number).random(80_000), 16_000)
    (tmp_path / "corpus" / "noise").mkdir(parents=True)
    (tmp_path / "clips").rename(tmp_path / "corpus" / "noise" / "clips")
    folder, uninterrupted = tmp_path / "p", tmp_path / "q"
    command = [sys.executable, "-m", "edge_mcnn", "pictures", str(tmp_path / "corpus"), "-o"]
    process = subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def has_five_images() -> bool:
        assert process.poll() is None
        return len(pngs(folder)) >= 5

    wait_until(has_five_images, limit_s=60, message="fewer than five images were computed")
    process.send_signal(stopped_by)
    output, _ = process.communicate(timeout=60)
    if stopped_by == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped; run the same command again to continue" in output
        assert "Traceback" not in output
        assert not list(folder.glob(".*"))
    done = {name: (folder / name).read_bytes() for name in pngs(folder)}
    assert len(done) < 132
    output = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True, timeout=120).stdout
    assert f"{132 - len(done)} images computed, {len(done)} reused, 0 outdated removed" in output
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert done.items() <= found.items()
    # Images and index equal those of an uninterrupted run, and no other file is left.
    assert CliRunner().invoke(app, ["pictures", str(tmp_path / "corpus"), "-o", str(uninterrupted)]).exit_code == 0
    assert found == {path.name: path.read_bytes() for path in uninterrupted.iterdir()}


def test_full_disk_leaves_finished_images(tmp_path: Path) -> None:
    """A real limit in a real process: images of noise do not fit, those of a tone do."""
    (tmp_path / "corpus" / "a").mkdir(parents=True)
    for number in range(8):
        sound = np.random.default_rng(number).random(16_000) if number > 5 else np.sin(np.arange(16_000) * 0.2)
        soundfile.write(tmp_path / "corpus" / "a" / f"{number}.wav", 0.5 * sound, 16_000)
    limited = (
        "import resource, sys; from edge_mcnn.main import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2); main()"
    )
    command = ["pictures", str(tmp_path / "corpus"), "-o", str(tmp_path / "p")]
    full = subprocess.run(
        [sys.executable, "-c", limited, "3000", *command], capture_output=True, text=True, check=False, timeout=60
    )
    assert full.returncode == 1
    assert full.stderr == (
        f"edge-mcnn: {tmp_path / 'p'}: cannot be written to (File too large)\n"
        "  fix: free some space and run it again; finished work is not repeated\n"
    )
    assert {name[0] for name in pngs(tmp_path / "p")} == set("012345")
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == sorted([*pngs(tmp_path / "p"), INDEX])
    result = CliRunner().invoke(app, command)
    assert "2 images computed, 6 reused" in result.output


def test_damaged_index_loses_no_image(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str]
) -> None:
    cache = ImageCache(tmp_path / "p", FRONT_END)
    cache.fill(recordings, console)
    index = (tmp_path / "p" / INDEX).read_text()
    for content in ("{", "[]", '{"format": 1, "recordings": 3}', '{"format": 1, "recordings": {"../clips/1.wav": 3}}'):
        (tmp_path / "p" / INDEX).write_text(content)
        assert cache.fill(recordings, console).reused == 12
        assert (tmp_path / "p" / INDEX).read_text() == index
    assert len(computed) == 12


def test_changed_recordings_and_settings_are_computed_again(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str]
) -> None:
    ImageCache(tmp_path / "p", FRONT_END).fill(recordings, console)
    before = pngs(tmp_path / "p")
    soundfile.write(recordings[2], np.full(9000, 0.1), 16_000)
    os.utime(recordings[4], ns=(1, 1))
    computed.clear()
    update = ImageCache(tmp_path / "p", FRONT_END).fill(recordings[:6], console)
    assert (update.computed, update.reused, update.removed) == (2, 4, 2)
    assert sorted(computed) == ["2.wav", "4.wav"]
    assert len(before & pngs(tmp_path / "p")) == 10  # images of other recordings stay

    computed.clear()
    other_text_settings = replace(FRONT_END, sequence_length=50, num_words=99)
    assert ImageCache(tmp_path / "p", other_text_settings).fill(recordings, console).reused == 12
    finer = replace(FRONT_END, hop_length=256)
    update = ImageCache(tmp_path / "p", finer).fill(recordings[:6], console)
    assert (update.computed, update.reused, update.removed) == (6, 0, 12)
    assert len(pngs(tmp_path / "p")) == 6


def test_index_of_an_earlier_version_is_read(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    ImageCache(tmp_path / "p", FRONT_END).fill(recordings, console)
    index = tmp_path / "p" / INDEX
    current = index.read_text()
    index.write_text(current.replace('"image":', '"picture":'))
    os.utime(recordings[4], ns=(1, 1))
    update = ImageCache(tmp_path / "p", FRONT_END).fill(recordings[:6], console)
    assert (update.computed, update.reused, update.removed) == (1, 5, 1)
    assert len(pngs(tmp_path / "p")) == 12
    assert index.read_text().count('"image":') == 12


def test_damaged_png_is_computed_again(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    cache = ImageCache(tmp_path / "p", FRONT_END)
    expected = cache.image(recordings[0])
    content = cache.path(recordings[0]).read_bytes()
    for damaged in (b"", content[:40], content[: len(content) // 2], b"x" * 100):
        cache.path(recordings[0]).write_bytes(damaged)
        np.testing.assert_array_equal(cache.image(recordings[0]), expected)
        assert cache.path(recordings[0]).read_bytes() == content


def test_training_uses_cached_images(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str]
) -> None:
    clips = [Clip(path, "", "a", "train") for path in recordings]
    in_memory = clip_images(clips, FRONT_END, console)
    ImageCache(tmp_path / "p", FRONT_END).fill(recordings[:8], console)
    computed.clear()
    cached = clip_images(clips, FRONT_END, console, tmp_path / "p")
    assert sorted(computed) == ["10.wav", "11.wav", "8.wav", "9.wav"]
    np.testing.assert_array_equal(cached.images[:], in_memory.images[:])
    assert len(pngs(tmp_path / "p")) == 12


def test_cache_and_corpus_can_move_together(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "clips").rename(tmp_path / "old" / "clips")
    moved = [tmp_path / "old" / "clips" / path.name for path in recordings]
    ImageCache(tmp_path / "old" / "p", FRONT_END).fill(moved, console)
    (tmp_path / "old").rename(tmp_path / "new")
    moved = [tmp_path / "new" / "clips" / path.name for path in recordings]
    assert ImageCache(tmp_path / "new" / "p", FRONT_END).fill(moved, console).reused == 12


def test_unusable_folder(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="file: cannot be made"):
        ImageCache(tmp_path / "file", FRONT_END)

    with (
        full_disk(100),
        pytest.raises(TrainingError, match=r"cannot be written to \(File too large\); free"),
    ):
        ImageCache(tmp_path / "p", FRONT_END).fill(recordings, console)
    assert not [path for path in (tmp_path / "p").iterdir() if path.name != INDEX]


def test_command(meld: Path, tmp_path: Path) -> None:
    options = ["pictures", "--meld", str(meld), "-o", str(tmp_path / "p")]
    first = CliRunner().invoke(app, options)
    assert first.exit_code == 0
    assert "dia3_utt0.mp4: no such file" in first.output
    assert "5 of 28 recordings skipped" in first.output
    assert "23 images computed, 0 reused, 0 outdated removed" in first.output
    assert "0 images computed, 23 reused" in CliRunner().invoke(app, options).output


def test_corpus_without_a_readable_recording(tmp_path: Path) -> None:
    (tmp_path / "corpus" / "noise").mkdir(parents=True)
    for name in ("a.wav", "b.wav"):
        (tmp_path / "corpus" / "noise" / name).write_text("broken")
    refused = edge_mcnn("pictures", str(tmp_path / "corpus"), "-o", str(tmp_path / "p"))
    assert_refused(refused, "none of the 2 recordings is readable", "a.wav", "convert it to WAV, FLAC or mp4")
    assert "2 of 2 recordings skipped" in refused.stdout
    assert not (tmp_path / "p" / IMAGE_TABLE).exists()


def test_corpus_without_recordings(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("audio,text,label\n,hi,a\n,ho,b\n")
    result = CliRunner().invoke(app, ["pictures", str(tmp_path / "t.csv"), "-o", str(tmp_path / "p")])
    assert isinstance(result.exception, TrainingError)
    assert "no clip has a recording" in str(result.exception)
    assert not (tmp_path / "p").exists()
