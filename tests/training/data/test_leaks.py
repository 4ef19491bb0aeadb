"""What train clips share with validation and test clips, by content and by name."""

from pathlib import Path

import pytest
from rich.console import Console

from device.errors import TrainingError
from tests.training.conftest import MELD_PARTS, printed
from training.data import leaks
from training.data.clips import Clip
from training.data.corpus import open_corpus, open_meld
from training.data.leaks import describe_leaks, find_leaks, first_of_content, refuse_identical
from training.data.splits import make_splits


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_files_are_compared_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digested = []
    digest = leaks._digest

    def observed(file: Path) -> bytes:
        digested.append(file.name)
        return digest(file)

    monkeypatch.setattr(leaks, "_digest", observed)
    middle = bytes(10_000) + b"m" * 10_000
    files = [
        write(tmp_path / name, content)
        for name, content in {
            "a": middle + bytes(10_000),
            "same": middle + bytes(10_000),
            "other end": middle + bytes(9_999) + b"x",
            "other middle": bytes(30_000),
            "other size": b"a",
            "empty 1": b"",
            "empty 2": b"",
        }.items()
    ]
    (tmp_path / "link").symlink_to(tmp_path / "a")
    files += [tmp_path / "link", tmp_path / "missing"]
    found = first_of_content(files)
    assert {file.name for file, first in found.items() if first != file} == {"same", "link"}
    assert found[tmp_path / "same"] == found[tmp_path / "link"] == tmp_path / "a"
    assert set(digested) == {"a", "same", "other end", "link"}  # no other file is read completely


def shared(tmp_path: Path) -> list[Clip]:
    """Clips of three splits that share two recordings, a speaker and a dialogue."""
    rows = [
        ("1", b"one", "train", "Anna", "d1"),
        ("2", b"two", "train", "Ben", "d2"),
        ("3", b"one", "validation", "Anna", "d3"),
        ("4", b"4", "test", "Carl", "d2"),
        ("2", b"two", "test", "", ""),
    ]
    return [
        Clip(write(tmp_path / name, content), "x", "a", split, speaker=speaker, dialogue=dialogue)
        for name, content, split, speaker, dialogue in rows
    ]


def test_leaks_are_named_and_counted(tmp_path: Path) -> None:
    clips = shared(tmp_path)
    validation, test = find_leaks(clips)
    assert validation.recordings == ((tmp_path / "1", tmp_path / "3"),)
    assert (validation.speakers, validation.dialogues) == (("Anna",), ())
    assert test.recordings == ((tmp_path / "2", tmp_path / "2"),)
    assert (test.speakers, test.dialogues) == ((), ("d2",))
    assert describe_leaks(clips) == [
        f"warning: 1 recording of validation is identical to recordings of train: {tmp_path / '1'} and "
        f"{tmp_path / '3'}; the scores will be too good",
        "warning: 1 speaker is in train and in validation (Anna); the scores do not hold for other speakers",
        f"warning: 1 recording of test is identical to recordings of train: {tmp_path / '2'} (the same file); the "
        "scores will be too good",
        "warning: 1 dialogue is in train and in test (d2); the scores do not hold for other dialogues",
    ]
    assert not any("Anna" in line for line in describe_leaks(clips, made=True))


def test_very_many_leaks_are_counted(tmp_path: Path) -> None:
    clips = [
        Clip(write(tmp_path / f"{split}{number}", b"%d" % number), "x", "a", split, speaker=f"s{number}")
        for split in ("train", "validation")
        for number in range(5)
    ]
    recordings, speakers = describe_leaks(clips)
    assert "5 recordings of validation are identical to recordings of train: " in recordings
    assert "train2 and " in recordings
    assert "train3" not in recordings
    assert " and 2 more; the scores" in recordings
    assert "5 speakers are in train and in validation (s0, s1, s2 and 2 more)" in speakers


def test_only_validation_is_refused(tmp_path: Path) -> None:
    clips = shared(tmp_path)
    with pytest.raises(TrainingError, match=r"t\.csv: 1 recording of validation .*1 and .*3; the .*--allow-identical"):
        refuse_identical(clips, "t.csv")
    refuse_identical([clip for clip in clips if clip.split != "validation"], "t.csv")


def test_every_kind_of_corpus_is_searched(tmp_path: Path, meld: Path, console: Console) -> None:
    for split in ("train", "test"):
        write(tmp_path / "folders" / split / "a" / f"{split}.wav", b"same")
        write(tmp_path / "folders" / split / "b" / f"{split}.wav", split.encode())
    open_corpus(tmp_path / "folders").report(console)
    assert "1 recording of test is identical to recordings of train: " in printed(console)
    (tmp_path / "table.csv").write_text(
        "audio,text,label,split,speaker\nfolders/train/a/train.wav,x,a,train,Eve\nfolders/test/a/test.wav,x,b,dev,Eve\n"
    )
    open_corpus(tmp_path / "table.csv").report(console)
    assert "1 recording of validation is identical to recordings of train: " in printed(console)
    assert "1 speaker is in train and in validation (Eve)" in printed(console)
    open_meld(meld).report(console)
    assert f"{len(MELD_PARTS)} speakers are in train and in validation (Joey, Monica, Ross)" in printed(console)
    assert "dialogues are" not in printed(console)  # MELD counts them from 0 in each split


@pytest.mark.parametrize("seed", range(5))
def test_made_splits_keep_identical_recordings_together(tmp_path: Path, seed: int) -> None:
    clips = [Clip(write(tmp_path / str(n), b"%d" % (n // 2)), f"w{n}", "ab"[n // 2 % 2], "") for n in range(40)]
    split, _ = make_splits(clips, seed)
    assert {clip.split for clip in split} == {"train", "validation"}
    assert not any(each.recordings for each in find_leaks(split))
