"""Folders of recordings in the layouts that people have, and everything in them that is not a clip."""

import itertools
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from device.errors import TrainingError
from tests.training.conftest import printed
from training.data.class_folders import read_class_folders
from training.data.clips import ReadClips
from training.data.corpus import open_corpus
from training.data.split_names import is_split_name

CLOSED = ("closed", "secret.wav")
"""Names that nobody may read in the tests that say so."""


def folder_of(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def two_classes(*folders: str, classes: tuple[str, ...] = ("happy", "sad"), count: int = 3) -> list[str]:
    return [f"{folder}/{label}/{number}.wav" for folder in folders for label in classes for number in range(count)]


def parts(read: ReadClips) -> set[tuple[str, str]]:
    return {(clip.split, clip.label) for clip in read.clips}


def expected(*splits: str) -> set[tuple[str, str]]:
    return set(itertools.product(splits, ("happy", "sad")))


def test_class_folders(tmp_path: Path) -> None:
    files = [f"{label}/{part}{number}.wav" for label in ("glad", "sad") for part in ("", "old/") for number in range(5)]
    corpus = open_corpus(folder_of(tmp_path, *files, "glad/notes.txt", ".git/x.wav", "sad/._0.wav"))
    assert {clip.id for clip in corpus.clips} == set(files)
    assert all(clip.label == clip.id.partition("/")[0] and clip.audio == tmp_path / clip.id for clip in corpus.clips)
    assert all(clip.text == "" for clip in corpus.clips)
    assert "made by clip (seed 1): 16 train and 4 validation clips" in corpus.note


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "validation", "test"),
        ("train", "val", "test"),
        ("Train", "Valid", "Test"),
        ("TRAINING", "dev", "TESTING"),
        ("tr", "devel", "tst"),
        ("train_data", "val-set", "test.clips"),
        ("01_train", "02_val", "03_test"),
        ("train", "eval", "test"),
        ("train", "dev", "eval"),
        ("train_splits", "dev_splits_complete", "output_repeated_splits_test"),
    ],
)
@pytest.mark.parametrize("layout", ["around", "within", "wrapped"])
def test_usual_names_of_splits_beside_stray_folders(
    train: str, validation: str, test: str, layout: str, tmp_path: Path
) -> None:
    names = (train, validation, test)
    files = two_classes(*names)
    if layout == "within":
        files = ["/".join((label, split, name)) for split, label, name in (file.split("/") for file in files)]
    if layout == "wrapped":
        files = [f"my-corpus/{file}" for file in files]
    folder_of(tmp_path, *files, "__MACOSX/._train", "__MACOSX/train/happy/._0.wav", "docs/read me.txt", ".git/x.wav")
    read = read_class_folders(tmp_path)
    assert parts(read) == expected("train", "validation", "test")
    assert len(read.clips) == len(files)
    assert read.note == ""
    assert read.skipped == ()
    assert any("no recordings in it: __MACOSX, docs" in remark for remark in read.remarks) or layout == "wrapped"


def test_recordings_beside_splits_are_counted(tmp_path: Path) -> None:
    folder_of(tmp_path, *two_classes("train", "val"), "extra/happy/0.wav", "extra/1.wav", "2.wav", "train/3.wav")
    read = read_class_folders(tmp_path)
    assert parts(read) == expected("train", "validation")
    assert len(read.clips) == 12
    text = "\n".join(read.remarks)
    assert f"left out 2 recordings in {tmp_path / 'extra'}, which is no split" in text
    assert f"left out 1 recordings directly in {tmp_path}, not in the folder of a class, first 2.wav" in text
    assert f"left out 1 recordings directly in {tmp_path / 'train'}, not in the folder of a class" in text


def test_unlabelled_test_split_is_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path, *two_classes("train", "val"), "test/0.wav", "test/1.wav")
    read = read_class_folders(tmp_path)
    assert parts(read) == expected("train", "validation")
    assert any(f"left out 2 recordings directly in {tmp_path / 'test'}" in remark for remark in read.remarks)


def test_missing_validation_is_taken_from_train(tmp_path: Path) -> None:
    folder_of(tmp_path, *two_classes("Train", "Test", count=10), "docs/demo.wav")
    read = read_class_folders(tmp_path)
    assert Counter(clip.split for clip in read.clips) == {"train": 16, "validation": 4, "test": 20}
    assert "no validation split, made from its train clips by clip (seed 1): 16 train and 4 validation" in read.note
    assert all("Test" in clip.id for clip in read.clips if clip.split == "test")


def test_only_a_train_folder(tmp_path: Path) -> None:
    folder_of(tmp_path, *two_classes("train", count=10))
    assert parts(read_class_folders(tmp_path)) == expected("train", "validation")


def test_only_a_test_folder(tmp_path: Path) -> None:
    assert parts(read_class_folders(folder_of(tmp_path, *two_classes("test")))) == expected("test")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["happy/0.wav", "sad/0.wav", "test/0.wav"], r"test: named like a split, but with recordings and no class"),
        (["train/0.wav", "val/0.wav"], r"train, val: named like a split, but with recordings and no class"),
        (["car/0.wav", "bus/0.wav", "train/0.wav"], r"train: named like a split, .* rename it if it is a class"),
        ([*two_classes("test"), "happy/0.wav"], r"test: named like a split, but beside happy, so it may be a class"),
        ([*two_classes("train"), "car/0.wav"], r"train: named like a split, but beside car"),
        (["en/0.wav", "tr/ankara/0.wav"], r"tr: named like a split, but beside en"),
        ([*two_classes("train", "val"), "train/test/0.wav"], r"train/test: a split in a split, or a class"),
        (["happy/train/0.wav", "happy/val/1.wav", "sad/0.wav"], r"happy holds folders for splits .*, and sad none"),
    ],
)
def test_layouts_that_can_be_read_in_two_ways_are_refused(files: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        read_class_folders(folder_of(tmp_path, *files))
    assert "\n" not in str(caught.value)
    assert caught.value.fix


def test_folders_of_speakers_are_no_splits(tmp_path: Path) -> None:
    folder_of(tmp_path, *two_classes("happy", "sad", classes=("en", "tr", "ann", "dev1")))
    assert {clip.label for clip in read_class_folders(tmp_path).clips} == {"happy", "sad"}


@pytest.mark.parametrize("wrapper", ["data/data", "Dataset", "archive/audio", "{root}"])
def test_wrapped_classes(wrapper: str, tmp_path: Path) -> None:
    wrapper = wrapper.format(root=tmp_path.name)
    read = read_class_folders(folder_of(tmp_path, *two_classes(wrapper), "docs/x.wav"))
    assert {clip.label for clip in read.clips} == {"happy", "sad"}
    assert f"the data set is read from {tmp_path / wrapper}" in read.remarks
    assert any("left out 1 recordings outside of the folders above, first x.wav" in remark for remark in read.remarks)
    assert read.clips[0].id == f"{wrapper}/happy/0.wav"


def test_wrapped_classes_in_splits(tmp_path: Path) -> None:
    folder_of(tmp_path, *two_classes("train/wav", "val/wav"))
    assert parts(read_class_folders(tmp_path)) == expected("train", "validation")


def test_class_with_the_name_of_a_wrapper(tmp_path: Path) -> None:
    folder_of(tmp_path, "train/speech/ann/0.wav", "train/music/0.wav", "val/speech/ann/1.wav", "val/speech/bob/1.wav")
    assert parts(read_class_folders(tmp_path)) == {("train", "music"), ("train", "speech"), ("validation", "speech")}


def test_one_folder_that_may_hold_the_classes(tmp_path: Path) -> None:
    read = read_class_folders(folder_of(tmp_path, *two_classes("emodb")))
    assert read.remarks == ("all recordings are of one class, emodb; if it holds the classes, give its path",)


def test_folders_without_clips(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no folders in it; make a folder for each class"):
        read_class_folders(folder_of(tmp_path, "1.wav"))
    with pytest.raises(TrainingError, match=r"in its folders \(found: 2 \.txt, 1 without an ending\); add"):
        read_class_folders(folder_of(tmp_path, "glad/1.txt", "glad/2.TXT", "sad/x"))
    (tmp_path / "sad" / "1.wav").symlink_to("nowhere")
    with pytest.raises(TrainingError, match=r"1 are skipped, the first is .*1\.wav \(is a symbolic link to"):
        read_class_folders(tmp_path)
    with pytest.raises(TrainingError, match="nowhere: no such file or folder"):
        read_class_folders(tmp_path / "nowhere")


def test_empty_folders_of_classes_are_named(tmp_path: Path) -> None:
    (tmp_path / "plain" / "calm").mkdir(parents=True)
    read = read_class_folders(folder_of(tmp_path / "plain", *two_classes("."), "sad/empty/notes.txt"))
    assert "left out, because there are no recordings in it: calm" in read.remarks
    for folder in ("around/train/calm", "around/test/calm", "within/calm", "within/happy/test"):
        (tmp_path / folder).mkdir(parents=True)
    read = read_class_folders(folder_of(tmp_path / "around", *two_classes("train", "dev"), "test/happy/0.wav"))
    assert "left out, because there are no recordings in it: test/calm, train/calm" in read.remarks
    files = [f"{label}/{split}/{n}.wav" for label in ("happy", "sad") for split in ("train", "dev") for n in (0, 1)]
    read = read_class_folders(folder_of(tmp_path / "within", *files))
    assert "left out, because there are no recordings in it: calm, happy/test" in read.remarks


def test_folder_of_a_class_without_a_readable_recording_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path, *two_classes("train", "dev"))
    (tmp_path / "train" / "calm").mkdir()
    (tmp_path / "train" / "calm" / "0.wav").symlink_to("nowhere.wav")
    read = read_class_folders(tmp_path)
    assert "left out, because no recording in it can be read: train/calm" in read.remarks


def test_other_files_are_counted_and_metadata_is_not(tmp_path: Path) -> None:
    files = ["a.csv", "happy/0.TextGrid", "happy/0.txt", "sad/1.txt", "sad/LICENSE", "happy/Thumbs.db", "desktop.ini"]
    read = read_class_folders(folder_of(tmp_path, *two_classes("."), *files, ".DS_Store", "happy/._0.wav"))
    assert len(read.clips) == 6
    assert "left out, because they are no recordings: 2 .txt, 1 .csv, 1 .textgrid, 1 without an ending" in read.remarks


def test_what_cannot_be_read_is_named_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console: Console
) -> None:
    folder_of(tmp_path, *two_classes("."), "closed/0.wav", "happy/closed/0.wav", "sad/secret.wav", "happy/\udce4.wav")
    (tmp_path / "happy" / "broken.wav").symlink_to("nowhere.wav")
    (tmp_path / "happy" / "broken folder").symlink_to("nowhere")
    (tmp_path / "happy" / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "happy" / "around").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "happy" / "pipe.wav")
    # A user that may read everything, as root may, meets no such refusal.
    listdir, access = os.listdir, os.access

    def refuse(path: Any) -> list[str]:
        if Path(path).name in CLOSED:
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode, **_: Path(path).name not in CLOSED and access(path, mode))

    corpus = open_corpus(tmp_path)
    assert len(corpus.clips) == 6
    expected_reasons = {
        "closed": "permission denied",
        "happy/closed": "permission denied",
        "happy/around": "is a link to a folder around it",
        "happy/broken folder": "is a symbolic link to nowhere, which does not exist",
        "happy/broken.wav": "is a symbolic link to nowhere.wav, which does not exist",
        "happy/loop.wav": "is a symbolic link that leads back to itself",
        "happy/pipe.wav": "is a pipe or a device, not a file",
        "happy/\udce4.wav": "its name is not UTF-8, so no table can hold it",
        "sad/secret.wav": "permission denied",
    }
    assert {str(each.recording.relative_to(tmp_path)) for each in corpus.skipped} == set(expected_reasons)
    for each in corpus.skipped:
        assert each.reason.startswith(expected_reasons[str(each.recording.relative_to(tmp_path))])
    corpus.report(console)
    output = printed(console)
    assert f"skipped folder {tmp_path / 'closed'}: permission denied" in output
    assert f"skipped {tmp_path}/happy/\\xe4.wav: its name is not UTF-8" in output
    assert "6 of 12 recordings skipped\n3 folders skipped with everything inside" in output


def test_linked_folders_are_read(tmp_path: Path) -> None:
    folder_of(tmp_path / "store", *two_classes("."))
    (tmp_path / "data").mkdir()
    for label in ("happy", "sad"):
        (tmp_path / "data" / label).symlink_to(tmp_path / "store" / label)
    assert len(read_class_folders(tmp_path / "data").clips) == 6


def test_very_deep_folders_are_named(tmp_path: Path) -> None:
    folder_of(tmp_path, *two_classes("."), "happy/" + "x/" * 60 + "0.wav")
    read = read_class_folders(tmp_path)
    assert [each.reason for each in read.skipped] == ["is more than 50 folders deep"]


@pytest.mark.parametrize(
    ("pair", "shown"),
    [
        (("Happy", "happy"), "'Happy' (3 clips) and 'happy' (3 clips)"),
        (("very happy", "veryhappy"), "'very happy' (3 clips) and 'veryhappy' (3 clips)"),
        (("very  happy", "very_Happy"), "'very  happy' (3 clips) and 'very_Happy' (3 clips)"),
        (("caf\u00e9", "cafe\u0301"), "'cafe\\u0301' (3 clips) and 'caf\\xe9' (3 clips)"),
        (("happy", "\uff48\uff41\uff50\uff50\uff59"), "'happy' (3 clips) and '\uff48"),
        (("very happy", "very\u00a0happy"), "'very happy' (3 clips) and "),
    ],
)
def test_labels_that_look_alike(pair: tuple[str, str], shown: str, tmp_path: Path, console: Console) -> None:
    open_corpus(folder_of(tmp_path, *two_classes(".", classes=(*pair, "sad")))).report(console)
    assert f"warning: {shown}" in printed(console)
    assert "count as 2 different classes" in printed(console)
    assert "'sad'" not in printed(console)


def test_spaces_around_a_label_do_not_count(tmp_path: Path, console: Console) -> None:
    corpus = open_corpus(folder_of(tmp_path, *two_classes(".", classes=("happy", "happy ", "sad"))))
    assert Counter(clip.label for clip in corpus.clips) == {"happy": 6, "sad": 3}
    corpus.report(console)
    assert "warning: 'happy' (3 clips) and 'happy ' (3 clips) are read as one class" in printed(console)


def test_names_that_no_label_can_have(tmp_path: Path) -> None:
    names = {"two\nlines": "contains", "gl\udce4d": "contains", " ": "is empty", "x" * 101: "is longer", "a\x1b": "con"}
    for number, (name, message) in enumerate(names.items()):
        folder = folder_of(tmp_path / str(number), "sad/1.wav", f"{name}/1.wav")
        with pytest.raises(TrainingError, match=f"label '.*' {message}.*; rename the folder"):
            read_class_folders(folder)


NAMES = st.sampled_from(["happy", "sad", "train", "Val", "test", "eval", "docs", "data", "x"])
TREES = st.sets(st.lists(NAMES, max_size=4).map("/".join), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_no_recording_is_left_out_in_silence(tmp_path_factory: pytest.TempPathFactory, folders: set[str]) -> None:
    """Whatever the layout, it is refused, or each recording is a clip or counted."""
    root = tmp_path_factory.mktemp("tree")
    folder_of(root, *(f"{folder or '.'}/{number}.wav" for folder in folders for number in range(2)))
    try:
        read = read_class_folders(root)
    except TrainingError:
        return
    counted = [int(found.group(1)) for remark in read.remarks if (found := re.match(r"left out (\d+) rec", remark))]
    assert len(read.clips) + sum(counted) == 2 * len(folders)
    assert len({clip.audio for clip in read.clips}) == len(read.clips)
    assert not [clip for clip in read.clips if is_split_name(clip.label)]
