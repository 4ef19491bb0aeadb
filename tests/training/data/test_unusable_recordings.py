"""Corpora whose files are pointers of Git LFS, or recordings that were cut off: one message, however many there are."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from device.errors import AudioError, TrainingError
from tests.training.conftest import printed
from training.data.corpus import open_corpus, open_meld
from training.data.meld import SUFFIXES
from training.data.reading.audio import read_audio
from training.data.reading.images import read_image

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 12345\n"


def pointer(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(POINTER)
    return path


def classes(root: Path, ending: str = "wav") -> Path:
    for number in range(30):
        pointer(root / "ab"[number % 2] / f"{number}.{ending}")
    return root


def table(root: Path, ending: str = "wav") -> Path:
    classes(root / "clips", ending)
    rows = "".join(f"clips/{'ab'[n % 2]}/{n}.{ending},hi,{'ab'[n % 2]}\n" for n in range(30))
    (root / "table.csv").write_text(f"audio,text,label\n{rows}")
    return root / "table.csv"


@pytest.mark.parametrize("make", [classes, table, lambda root: table(root, "png"), lambda root: classes(root, "mp4")])
def test_corpus_of_pointers_is_refused_in_one_message(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as refused:
        open_corpus(make(tmp_path))
    assert "all 30 files hold a pointer of Git LFS instead of their content, such as " in refused.value.message
    assert "git lfs pull" in refused.value.fix


def test_meld_of_pointers_is_refused_in_one_message(meld: Path, tmp_path: Path) -> None:
    for original in sorted(meld.rglob("*")):
        if original.suffix in SUFFIXES:
            pointer(tmp_path / original.relative_to(meld))
        elif original.suffix == ".csv":
            (tmp_path / original.name).write_bytes(original.read_bytes())
    pointer(tmp_path / "train_splits" / "dia3_utt0.mp4")  # which the original lacks
    with pytest.raises(TrainingError, match=r"all 28 files hold a pointer of Git LFS .*; .*git lfs pull"):
        open_meld(tmp_path)


def test_some_pointers_have_one_line(tmp_path: Path, console: Console) -> None:
    root = classes(tmp_path)
    for name in ("a/real.wav", "b/real.wav"):
        soundfile.write(root / name, np.ones(1000) / 2, 16_000)
    open_corpus(root).report(console)
    assert printed(console).count("git lfs pull") == 1
    assert "skipped 30 files that hold a pointer of Git LFS instead of their content, first " in printed(console)
    assert "30 of 32 recordings skipped" in printed(console)


def test_every_reader_names_a_pointer(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"x\.wav: holds a pointer of Git LFS .*git lfs pull"):
        read_audio(pointer(tmp_path / "x.wav"))
    with pytest.raises(TrainingError, match=r"x\.png: holds a pointer of Git LFS .*git lfs pull"):
        read_image(pointer(tmp_path / "x.png"), 8, 8)
    with pytest.raises(TrainingError, match=r"x\.csv: holds a pointer of Git LFS .*git lfs pull"):
        open_corpus(pointer(tmp_path / "x.csv"))


def test_recordings_that_were_cut_off_are_counted_once(tmp_path: Path, console: Console) -> None:
    rows = ""
    for number in range(4):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.full(16_000, (number + 1) / 8), 16_000)
        if number:
            path.write_bytes(path.read_bytes()[: 44 + 16_000])
        rows += f"{number}.wav,hi,{'ab'[number % 2]},{('train', 'dev')[number // 2]}\n" * 2
    (tmp_path / "t.csv").write_text(f"audio,text,label,split\n{rows}")
    open_corpus(tmp_path / "t.csv").report(console)
    assert f"warning: {tmp_path / '1.wav'}: cut off: its header states 1.0 s of audio" in printed(console)
    assert "; 3 recordings are like this or similar\n" in printed(console)
    assert printed(console).count("cut off") == 1


def test_header_without_a_length_does_not_hide_the_audio(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.full(16_000, 0.5), 16_000)
    content = path.read_bytes()
    place = content.index(b"data") + 4
    path.write_bytes(content[:place] + struct.pack("<I", 0) + content[place + 4 :])
    samples, rate = read_audio(path)
    assert (len(samples), rate) == (16_000, 16_000)
