import contextlib
import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.errors import EdgeMcnnError, TrainingError
from training.data.clip_table import read_clip_table, read_trainable_clips

WriteTable = Callable[[Sequence[Sequence[str]]], Path]
GOOD = [
    ("", "one", "a", "train"),
    ("", "two", "b", "train"),
    ("", "three", "a", "dev"),
    ("", "four", "b", "validation"),
]


def test_reads_every_row(tmp_path: Path, write_table: WriteTable) -> None:
    (tmp_path / "x.wav").touch()
    rows = [*GOOD, ("x.wav", " Hello, \nworld ", "a", "test"), ("", "", "", "")]
    clips = read_trainable_clips(write_table(rows))
    assert [clip.split for clip in clips] == ["train", "train", "validation", "validation", "test"]
    assert clips[0].audio is None
    assert (clips[4].audio, clips[4].text) == (tmp_path / "x.wav", "Hello, \nworld")


def test_audio_root_and_other_columns(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "x.wav").touch()
    table = tmp_path / "t.csv"
    rows = ["joey,train,a,,x.wav", "ross,train,b,hi,", "joey,dev,a,hi,", "ross,dev,b,hi,"]
    table.write_text("\n".join(["\ufeffspeaker,split, label ,text,audio", *rows]), encoding="utf-8")
    assert read_trainable_clips(table, tmp_path / "audio")[0].audio == tmp_path / "audio" / "x.wav"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], "no rows below the header"),
        ([*GOOD, ("missing.wav", "", "a", "train")], r"line 6: no such file or folder: .*missing\.wav; .*--audio-root"),
        ([*GOOD, (".", "", "a", "train")], "line 6: is a folder, not a file: "),
        ([*GOOD, ("x" * 300 + ".wav", "", "a", "train")], "line 6: the name is too long .*: .*--audio-root"),
        ([*GOOD, ("", "five", "c", "dev"), ("", "six", "c", "dev")], "label 'c' is in validation rows only; add train"),
        ([*GOOD, ("", "five", "c", "train")], "label 'c' is in one row only"),
        ([("", "one", "a", "train"), ("", "two", "a", "dev")], "every clip has the label 'a'; .*at least 2 labels"),
        ([*GOOD, ("", " ?! ", "a", "train")], "line 6: neither audio nor text"),
        ([row for row in GOOD if row[3] == "train"], "label 'a' is in one row only"),
        ([row for row in GOOD if row[3] != "train"], "no clip has split 'train'"),
        ([(*row[:3], "test") for row in GOOD], "no clip has split 'train'"),
        ([*GOOD, ("", "five", "a", "trein")], "line 6: split is 'trein'; use one of train, validation"),
        ([*GOOD, ("", "five", " ", "train")], "line 6: label '' is empty"),
        ([*GOOD, ("", "five", "a\nb", "train")], r"line 7: label 'a\\nb' contains characters"),
        ([*GOOD, ("", "yes", " he said", "a", "train")], "line 6: 5 values for 4 columns; .*double quotes"),
        ([*GOOD, ("", "yes")], "line 6: 2 values for 4 columns"),
    ],
)
def test_wrong_rows_are_reported_with_file_and_line(
    rows: list[tuple[str, ...]], expected: str, write_table: WriteTable
) -> None:
    with pytest.raises(TrainingError, match=expected) as caught:
        read_trainable_clips(write_table(rows))
    assert "table.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the table is empty"),
        (b"\n\n", "the table is empty"),
        (b"audio,text,split\n", r"line 1: no column label \(found: audio, text, split\)"),
        (b"audio;text;label;split\r\n;hi;a;train\r\n", "line 1: columns are separated by semicolons; save it again"),
        (b"audio\ttext\tlabel\n", "line 1: columns are separated by tabs"),
        (b"audio,text,label,text\n,hi,a,ho\n", "line 1: column text appears 2 times"),
        (b"audio,text,label,label \n,hi,a,b\n", "line 1: column label appears 2 times"),
        (b"audio,text,label,Label \n,hi,a,b\n", "line 1: columns label and Label differ only in case; rename or"),
        (b"audio,TEXT,label,Text\n,hi,a,b\n", "line 1: columns TEXT and Text differ only in case"),
        ("audio,text,label,split\n,caf\u00e9,a,train\n".encode("latin-1"), "line 2: not UTF-8 text .*save it again"),
        ("audio,text,label,split\n".encode("utf-16"), "line 1: not UTF-8 text .*UTF-16"),
        ("audio,text,label,split\n".encode("utf-16-le"), "line 1: not UTF-8 text .*UTF-16"),
        (b"audio,text,label,split\n,a\0b,a,train\n", "line 2: not UTF-8 text .*NUL"),
        (b'audio,text,label,split\n,"never closed,a,train\n,hi,a,train\n', "line 2: not valid CSV .*close the quotes"),
        (b"audio,text,label,split\n," + b"x" * 200_000 + b",a,train\n", "not valid CSV .*field"),
    ],
)
def test_files_that_are_not_tables_are_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(content)
    with pytest.raises(TrainingError, match=expected):
        read_trainable_clips(table)


@pytest.mark.parametrize(
    "header", ["audio,text,label ,split", "Audio, TEXT,Label,\u00a0split", "audio,text,\tLABEL,Split"]
)
def test_case_and_spaces_of_columns_and_spaces_of_labels_do_not_count(header: str, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"{header}\n,hi,a,train\n,ho,a ,train\n,hi,\u00a0b,train\n,ho,b,dev\n", "utf-8")
    assert [clip.label for clip in read_clip_table(table)[0]] == ["a", "a", "b", "b"]


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no such file"):
        read_trainable_clips(tmp_path / "missing.csv")
    with pytest.raises(TrainingError, match="is a folder"):
        read_trainable_clips(tmp_path)


def test_unused_recordings_and_texts_may_be_missing(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("audio,text,label,split\nmissing.wav,hi,a,train\n")
    assert read_clip_table(table, audio=False)[0][0].text == "hi"
    table.write_text("text,label,split\nhi,a,train\n")
    assert read_clip_table(table, audio=False)[0][0].audio is None
    with pytest.raises(TrainingError, match="no column audio"):
        read_clip_table(table)
    (tmp_path / "x.wav").touch()
    table.write_text("audio,label,split\nx.wav,a,train\n")
    assert read_clip_table(table, text=False)[0][0].text == ""
    with pytest.raises(TrainingError, match="no column text"):
        read_clip_table(table)


def test_usual_names_of_splits(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    names = {"Training": "train", "DEV": "validation", "test_set": "test", "eval": "test", "train_sent_emo": "train"}
    table.write_text("\n".join(["audio,text,label,split", *(f",hi,a,{name}" for name in names)]), encoding="utf-8")
    read = read_clip_table(table)
    assert [clip.split for clip in read.clips] == list(names.values())
    assert read.remarks == ("split 'eval' is read as 'test'",)


def test_missing_validation_is_taken_from_train(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    rows = [f",hi,{label},{split}" for split in ("train", "test") for label in "ab" for _ in range(5)]
    table.write_text("\n".join(["audio,text,label,split", *rows]))
    read = read_clip_table(table)
    assert Counter(clip.split for clip in read.clips) == {"train": 8, "validation": 2, "test": 10}
    assert "no validation split, made from its train clips" in read.note


def test_recordings_that_cannot_be_opened_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "x.wav").touch()
    (tmp_path / "link.wav").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.wav")
    table = tmp_path / "table.csv"
    names = ("x.wav", "", "missing.wav", ".", "link.wav", "pipe.wav", "missing.wav")
    table.write_text("\n".join(["audio,text,label,split", *(f"{name},hi,a,train" for name in names)]))
    read = read_clip_table(table)
    assert [clip.audio for clip in read.clips] == [tmp_path / "x.wav", None]
    assert [(each.recording.name, each.reason) for each in read.skipped] == [
        ("missing.wav", "no such file or folder (line 4 of the table)"),
        (tmp_path.name, "is a folder, not a file (line 5 of the table)"),
        ("link.wav", "is a symbolic link to nowhere, which does not exist (line 6 of the table)"),
        ("pipe.wav", "is a pipe or a device, not a file (line 7 of the table)"),
    ]
    assert len(read_clip_table(table, audio=False).clips) == 7


def test_label_in_two_spellings_is_named(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("audio,text,label,split\n,hi,Sad,train\n,hi,b,train\n,hi,sad,dev\n,hi,sad,dev\n,ho,b,dev\n")
    with pytest.raises(TrainingError, match=r"'Sad' is in one row only \(there is also 'sad'\)"):
        read_trainable_clips(table)


CELLS = st.sampled_from(["audio", "text", "label", "split", "speaker", "train", "dev", "a", "", ".", "x.wav", "\u2028"])
TABLES = st.lists(st.lists(CELLS | st.text(max_size=8) | st.just("y" * 5000), max_size=6), max_size=5)
HEADERS = st.sampled_from([[], [["audio", "text", "label", "split"]], [["text", "label"]]])


def encoded(rows: list[list[str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode("utf-8", "surrogatepass")


@settings(max_examples=60)
@given(st.binary(max_size=60) | st.builds(lambda head, rows: encoded(head + rows), HEADERS, TABLES))
def test_any_bytes_give_clips_or_edge_mcnn_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    table = tmp_path_factory.getbasetemp() / "random.csv"
    table.write_bytes(content)
    for audio, text in ((True, True), (False, True), (True, False)):
        with contextlib.suppress(EdgeMcnnError):
            clips = read_clip_table(table, audio=audio, text=text).clips
            assert clips
            assert all(clip.label and clip.split for clip in clips)
