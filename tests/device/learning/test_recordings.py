"""Which recordings a table or a folder names; `tests.edge_mcnn.detect.test_learn` learns from some."""

import os
import re
from pathlib import Path

import pytest

from device.errors import RecordingError
from device.learning.recordings import LabelledRecording, find_recordings

LABELS = ("negative", "neutral", "positive")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_table_with_any_columns(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "\ufeffspeaker,label, audio ,text,split\nAnn, positive ,a/1.flac,hello,train\n\nBob,negative,/b.wav,,\n"
    )
    found = find_recordings(table, LABELS)
    assert found.recordings == [
        LabelledRecording(tmp_path / "a/1.flac", "positive"),
        LabelledRecording(Path("/b.wav"), "negative"),
    ]
    assert found.remarks == []


def test_rows_without_a_recording_and_repeated_rows_are_counted(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("audio,label\n,positive\n1.wav,neutral\n./1.wav,negative\n2.wav,neutral\n")
    found = find_recordings(table, LABELS)
    assert [(each.path.name, each.label) for each in found.recordings] == [("1.wav", "negative"), ("2.wav", "neutral")]
    assert found.remarks == [
        "left out 1 row without a recording", "left out 1 row whose recording is in a later row",
    ]  # fmt: skip


def test_a_recorded_folder_is_read_by_its_table(tmp_path: Path) -> None:
    touch(tmp_path, "positive/0001.flac", "neutral/0001.flac")
    (tmp_path / "clips.csv").write_text("audio,text,label,split,speaker\npositive/0001.flac,,positive,,\n")
    assert find_recordings(tmp_path, LABELS).recordings == [
        LabelledRecording(tmp_path / "positive/0001.flac", "positive")
    ]


def test_a_folder_per_class(tmp_path: Path) -> None:
    touch(
        tmp_path, "positive/b.WAV", "positive/a.flac", "positive/deep/c.mp3", "negative/notes.txt", "negative/1.ogg",
        "readme.txt", "empty/notes.txt", ".hidden/1.wav", "positive/._a.flac",
    )  # fmt: skip
    found = find_recordings(tmp_path, LABELS)
    assert [(each.path.relative_to(tmp_path).as_posix(), each.label) for each in found.recordings] == [
        ("negative/1.ogg", "negative"),
        ("positive/a.flac", "positive"),
        ("positive/b.WAV", "positive"),
        ("positive/deep/c.mp3", "positive"),
    ]
    assert found.remarks == ["left out 3 files that are no recordings in the folder of a class"]


def test_a_link_that_leads_in_a_circle_is_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "positive/a.flac")
    (tmp_path / "positive/again").symlink_to(tmp_path / "positive")
    assert len(find_recordings(tmp_path, LABELS).recordings) == 1


def test_classes_that_the_model_does_not_have(tmp_path: Path) -> None:
    touch(tmp_path, "positive/1.wav", "happy/1.wav", "calm/1.wav")
    with pytest.raises(RecordingError) as error:
        find_recordings(tmp_path, LABELS)
    assert "calm, happy are no classes of the model, which has negative, neutral, positive" in error.value.message
    assert "--model" in error.value.fix
    (tmp_path / "t.csv").write_text("audio,label\n1.wav,Positive\n")
    with pytest.raises(RecordingError, match="Positive is no class of the model"):
        find_recordings(tmp_path / "t.csv", LABELS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("audio,text\n1.wav,a\n", "its first line must name audio, label, with"),
        ("audio,label\n", "no recordings in it"),
        ("audio,label\n1.wav,\n", "line 2: no label"),
        ("audio,label\n1.wav\n", "line 2: 1 values for 2 columns"),
        ('audio,label\n"1.wav,negative\n', "not valid CSV"),
        ("version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("", "not a table of clips"),
    ],
)
def test_tables_that_cannot_be_used(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(RecordingError, match=re.escape(message)) as error:
        find_recordings(tmp_path / "t.csv", LABELS)
    assert error.value.fix


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no recordings in it"):
        find_recordings(tmp_path, LABELS)
    with pytest.raises(RecordingError, match="cannot be read"):
        find_recordings(tmp_path / "none.csv", LABELS)
    (tmp_path / "binary.csv").write_bytes(os.urandom(64) + b"\xff")
    with pytest.raises(RecordingError, match="not UTF-8"):
        find_recordings(tmp_path / "binary.csv", LABELS)
