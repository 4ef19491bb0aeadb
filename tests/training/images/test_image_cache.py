import json
import os
import signal
import subprocess
import sys
import time
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
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import MAGMA, mel_power, spectrogram_image
from edge_mcnn.main import app
from training.data.audio_reading import read_recording
from training.data.clips import Clip
from training.images.image_cache import INDEX, ImageCache
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
    """Names of the recordings whose pictures were computed, in this order."""
    names: list[str] = []
    read = read_recording

    def counted(file: Path, rate: int) -> Any:
        names.append(file.name)
        return read(file, rate)

    monkeypatch.setattr(training.images.image_cache, "read_recording", counted)
    return names


def pngs(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.png")}


def test_png_holds_the_very_picture(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    folder = ImageCache(tmp_path / "p", FRONT_END)
    folder.fill(recordings, console)
    for recording in recordings:
        expected = spectrogram_image(mel_power(read_recording(recording, 16_000), FRONT_END), FRONT_END)
        with Image.open(folder.path(recording)) as image:
            assert (image.size, image.mode) == ((64, 64), "RGB")
            np.testing.assert_array_equal(np.asarray(image) / np.float32(255), expected)
        kept = folder.picture(recording)
        assert kept.dtype == np.float32
        np.testing.assert_array_equal(kept, expected)
    every_colour = (MAGMA / np.float32(255)).astype(np.float32)
    np.testing.assert_array_equal(np.rint(every_colour * 255).astype(np.uint8), MAGMA)


def test_index_says_which_is_whose(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    recordings[3].write_text("broken")
    filled = ImageCache(tmp_path / "p", FRONT_END).fill([*recordings, recordings[0]], console)
    assert (filled.computed, filled.kept, filled.removed) == (11, 0, 0)
    assert [each.recording for each in filled.skipped] == [recordings[3]]
    index = json.loads((tmp_path / "p" / INDEX).read_text())["recordings"]
    assert list(index) == sorted(f"../clips/{path.name}" for path in recordings)
    assert "not a readable recording" in index["../clips/3.wav"].pop("skipped")
    assert {entry["picture"] for entry in index.values() if entry} == pngs(tmp_path / "p")


def test_goes_on_after_ctrl_c(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save = training.images.image_cache._save

    def interrupted(path: Path, what: Any) -> None:
        if path.name.startswith("7-"):
            path.with_name(f".{path.name}.part").write_bytes(b"half")
            raise KeyboardInterrupt
        save(path, what)

    folder = ImageCache(tmp_path / "p", FRONT_END)
    with monkeypatch.context() as patch:
        patch.setattr(training.images.image_cache, "_save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder.fill(recordings, console)
    there = pngs(tmp_path / "p")
    assert len(there) >= 7
    assert not any(name.startswith("7-") for name in there)
    assert set(json.loads((tmp_path / "p" / INDEX).read_text())["recordings"]) >= {"../clips/6.wav"}
    computed.clear()
    filled = ImageCache(tmp_path / "p", FRONT_END).fill(recordings, console)
    assert (filled.computed, filled.kept) == (12 - len(there), len(there)) == (len(computed), len(there))
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == sorted([*pngs(tmp_path / "p"), INDEX])
    assert len(pngs(tmp_path / "p")) == 12


@pytest.mark.parametrize("stopped_by", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_process_goes_on(stopped_by: signal.Signals, recordings: list[Path], tmp_path: Path) -> None:
    """A real process, a real signal, wherever in the work it strikes."""
    for number in range(120):
        soundfile.write(tmp_path / "clips" / f"more{number}.wav", np.random.default_rng(number).random(80_000), 16_000)
    (tmp_path / "corpus" / "noise").mkdir(parents=True)
    (tmp_path / "clips").rename(tmp_path / "corpus" / "noise" / "clips")
    folder, whole = tmp_path / "p", tmp_path / "q"
    command = [sys.executable, "-m", "edge_mcnn", "pictures", str(tmp_path / "corpus"), "-o"]
    process = subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    limit = time.monotonic() + 60
    while len(pngs(folder)) < 5:
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(stopped_by)
    output, _ = process.communicate(timeout=60)
    if stopped_by == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped; run the same command again to continue" in output
        assert "Traceback" not in output
        assert not list(folder.glob(".*"))
    done = {name: (folder / name).read_bytes() for name in pngs(folder)}
    assert len(done) < 132
    again = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True, timeout=120).stdout
    assert f"{132 - len(done)} images computed, {len(done)} reused, 0 outdated removed" in again
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert done.items() <= found.items()
    # Each picture and the index are what they would be without the interruption, and nothing else is left behind.
    assert CliRunner().invoke(app, ["pictures", str(tmp_path / "corpus"), "-o", str(whole)]).exit_code == 0
    assert found == {path.name: path.read_bytes() for path in whole.iterdir()}


def test_a_full_disk_keeps_what_is_done(tmp_path: Path) -> None:
    """A real limit in a real process: pictures of noise do not fit, those of a tone do."""
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
        f"edge-mcnn: {tmp_path / 'p'}: cannot be written to (File too large); free some space and run it again, "
        "what is done is kept\n"
    )
    assert {name[0] for name in pngs(tmp_path / "p")} == set("012345")
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == sorted([*pngs(tmp_path / "p"), INDEX])
    result = CliRunner().invoke(app, command)
    assert "2 images computed, 6 reused" in result.output


def test_a_lost_index_loses_nothing(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str]
) -> None:
    folder = ImageCache(tmp_path / "p", FRONT_END)
    folder.fill(recordings, console)
    index = (tmp_path / "p" / INDEX).read_text()
    for content in ("{", "[]", '{"format": 1, "recordings": 3}', '{"format": 1, "recordings": {"../clips/1.wav": 3}}'):
        (tmp_path / "p" / INDEX).write_text(content)
        assert folder.fill(recordings, console).kept == 12
        assert (tmp_path / "p" / INDEX).read_text() == index
    assert len(computed) == 12


def test_what_changed_is_computed_anew(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str]
) -> None:
    ImageCache(tmp_path / "p", FRONT_END).fill(recordings, console)
    before = pngs(tmp_path / "p")
    soundfile.write(recordings[2], np.full(9000, 0.1), 16_000)
    os.utime(recordings[4], ns=(1, 1))
    computed.clear()
    filled = ImageCache(tmp_path / "p", FRONT_END).fill(recordings[:6], console)
    assert (filled.computed, filled.kept, filled.removed) == (2, 4, 2)
    assert sorted(computed) == ["2.wav", "4.wav"]
    assert len(before & pngs(tmp_path / "p")) == 10  # those that were not asked for stay

    computed.clear()
    of_words = replace(FRONT_END, sequence_length=50, num_words=99)
    assert ImageCache(tmp_path / "p", of_words).fill(recordings, console).kept == 12
    finer = replace(FRONT_END, hop_length=256)
    filled = ImageCache(tmp_path / "p", finer).fill(recordings[:6], console)
    assert (filled.computed, filled.kept, filled.removed) == (6, 0, 12)
    assert len(pngs(tmp_path / "p")) == 6


def test_a_damaged_png_is_computed_anew(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    folder = ImageCache(tmp_path / "p", FRONT_END)
    whole = folder.picture(recordings[0])
    content = folder.path(recordings[0]).read_bytes()
    for damaged in (b"", content[:40], content[: len(content) // 2], b"x" * 100):
        folder.path(recordings[0]).write_bytes(damaged)
        np.testing.assert_array_equal(folder.picture(recordings[0]), whole)
        assert folder.path(recordings[0]).read_bytes() == content


def test_training_takes_them_from_there(
    recordings: list[Path], tmp_path: Path, console: Console, computed: list[str]
) -> None:
    clips = [Clip(path, "", "a", "train") for path in recordings]
    in_memory = clip_images(clips, FRONT_END, console)
    ImageCache(tmp_path / "p", FRONT_END).fill(recordings[:8], console)
    computed.clear()
    kept = clip_images(clips, FRONT_END, console, tmp_path / "p")
    assert sorted(computed) == ["10.wav", "11.wav", "8.wav", "9.wav"]
    np.testing.assert_array_equal(kept.images, in_memory.images)
    assert len(pngs(tmp_path / "p")) == 12


def test_folder_and_corpus_move_together(recordings: list[Path], tmp_path: Path, console: Console) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "clips").rename(tmp_path / "old" / "clips")
    moved = [tmp_path / "old" / "clips" / path.name for path in recordings]
    ImageCache(tmp_path / "old" / "p", FRONT_END).fill(moved, console)
    (tmp_path / "old").rename(tmp_path / "new")
    again = [tmp_path / "new" / "clips" / path.name for path in recordings]
    assert ImageCache(tmp_path / "new" / "p", FRONT_END).fill(again, console).kept == 12


def test_no_place_for_pictures(
    recordings: list[Path], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="file: cannot be made"):
        ImageCache(tmp_path / "file", FRONT_END)

    def full(_self: object, path: Path, *_arguments: object, **_options: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(TrainingError, match=r"cannot be written to \(No space left on device\); free some space"):
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


def test_nothing_to_draw(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("audio,text,label\n,hi,a\n,ho,b\n")
    result = CliRunner().invoke(app, ["pictures", str(tmp_path / "t.csv"), "-o", str(tmp_path / "p")])
    assert isinstance(result.exception, TrainingError)
    assert "no clip has a recording" in str(result.exception)
    assert not (tmp_path / "p").exists()
