"""Clips and their table go together, whatever happens between them."""

import csv
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.errors import RecordingError
from device.recorder.clip_folder import ClipFolder
from device.recorder.clip_table import RECORDED_COLUMNS

SOUND = np.arange(4000, dtype=np.int16)


@pytest.fixture
def told() -> list[str]:
    return []


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def noise(seconds: float) -> NDArray[np.int16]:
    """Sound that cannot be compressed."""
    return np.random.default_rng(0).integers(-20_000, 20_000, int(16_000 * seconds), np.int16)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As if there were no more space than that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_clips_are_numbered_and_have_their_rows(tmp_path: Path, told: list[str]) -> None:
    with ClipFolder(tmp_path / "new" / "data", told.append) as folder:
        assert folder.counts() == {}
        assert folder.add(SOUND, "angry", "", "") == "angry/0001.flac"
        assert not folder.has_words
        assert folder.add(SOUND, "happy", "what a day", "Ann") == "happy/0001.flac"
        assert folder.has_words
        assert folder.add(SOUND[::-1], "happy", 'say "no", now', "Ann") == "happy/0002.flac"
        assert folder.counts() == {"happy": 2, "angry": 1}
    assert rows(folder.path) == [
        dict(zip(RECORDED_COLUMNS, values, strict=True))
        for values in [
            ("angry/0001.flac", "", "angry", "", ""),
            ("happy/0001.flac", "what a day", "happy", "", "Ann"),
            ("happy/0002.flac", 'say "no", now', "happy", "", "Ann"),
        ]
    ]
    samples, rate = soundfile.read(folder.path / "happy/0002.flac", dtype="int16")
    assert rate == 16_000
    np.testing.assert_array_equal(samples, SOUND[::-1])
    info = soundfile.info(folder.path / "happy/0002.flac")
    assert (info.format, info.subtype, info.channels) == ("FLAC", "PCM_16", 1)
    assert files(folder.path) == ["angry/0001.flac", "clips.csv", "happy/0001.flac", "happy/0002.flac"]
    assert told == []


def test_numbers_go_on_and_none_is_given_twice(tmp_path: Path, told: list[str]) -> None:
    for _ in range(2):
        with ClipFolder(tmp_path, told.append) as folder:
            folder.add(SOUND, "happy", "", "")
    (tmp_path / "happy/0001.flac").unlink()
    (tmp_path / "happy/note.txt").write_text("not ours")
    with ClipFolder(tmp_path, told.append) as folder:
        assert folder.counts() == {"happy": 1}
        assert folder.add(SOUND, "happy", "", "") == "happy/0003.flac"
    assert [row["audio"] for row in rows(tmp_path)] == ["happy/0002.flac", "happy/0003.flac"]
    [line] = told
    assert "happy/0001.flac is gone" in line


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"])), speaker=st.sampled_from(["", "Ann", "Jürg, jr."]))
def test_a_clip_without_a_row_brings_its_words_and_speaker(
    tmp_path_factory: pytest.TempPathFactory, text: str, speaker: str
) -> None:
    path = tmp_path_factory.mktemp("data")
    with ClipFolder(path, print) as folder:
        folder.add(SOUND, "happy", text, speaker)
    before = rows(path)
    (path / "clips.csv").unlink()
    with ClipFolder(path, print) as folder:
        assert folder.counts() == {"happy": 1}
    assert rows(path) == before


_KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from device.recorder.clip_folder import ClipFolder

real, calls = getattr(os, sys.argv[2]), 0
def counted(*arguments, **more):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **more)
setattr(os, sys.argv[2], counted)
with ClipFolder(Path(sys.argv[1]), print) as folder:
    for number in range(3):
        print(folder.add(np.arange(999, dtype=np.int16), "happy", f"word {number}", "Ann"), flush=True)
"""


@pytest.mark.parametrize("call", range(5, 9))  # the second clip: file, folder, table, folder
def test_killed_at_any_moment_table_and_clips_match(tmp_path: Path, call: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, tmp_path, "fsync", str(call)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    kept = done.stdout.splitlines()
    assert kept == ["happy/0001.flac"]
    with ClipFolder(tmp_path, print) as folder:
        assert not list(tmp_path.rglob("*.part"))
        found = [path for path in files(tmp_path) if path.endswith(".flac")]
        assert [row["audio"] for row in rows(tmp_path)] == found
        assert [row["text"] for row in rows(tmp_path)] == [f"word {number}" for number in range(len(found))]
        assert {row["speaker"] for row in rows(tmp_path)} == {"Ann"}
        assert set(kept) <= set(found)
        folder.add(SOUND, "happy", "", "")


def test_whoever_reads_the_table_meanwhile_reads_a_whole_one(tmp_path: Path, told: list[str]) -> None:
    with ClipFolder(tmp_path, told.append) as folder:
        folder.add(SOUND, "happy", "first", "")
        before = (tmp_path / "clips.csv").read_text()
        with (tmp_path / "clips.csv").open() as reader:
            folder.add(SOUND, "happy", "second", "")
            assert reader.read() == before


def test_a_full_disk_leaves_all_as_it_was_and_later_it_goes_on(tmp_path: Path, told: list[str]) -> None:
    with ClipFolder(tmp_path, told.append) as folder:
        folder.add(SOUND, "happy", "word " * 2000, "")
        before, table = files(tmp_path), (tmp_path / "clips.csv").read_bytes()
        with largest_file(20_000), pytest.raises(RecordingError, match=r"cannot be written .*safe"):
            folder.add(noise(2), "happy", "second", "")
        assert (files(tmp_path), (tmp_path / "clips.csv").read_bytes()) == (before, table)
        # Here there is space for the clip, and none for the table.
        with largest_file(9000), pytest.raises(RecordingError, match="cannot be written"):
            folder.add(np.zeros(999, np.int16), "happy", "second", "")
        assert (files(tmp_path), (tmp_path / "clips.csv").read_bytes()) == (before, table)
        assert folder.counts() == {"happy": 1}
        assert folder.add(noise(2), "happy", "second", "") == "happy/0002.flac"
    assert [row["text"].strip()[-6:] for row in rows(tmp_path)] == ["d word", "second"]


def test_rows_and_columns_of_others_stay(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "clips.csv").write_bytes(
        "\ufeffid,audio,text,label,split\n7,../elsewhere.wav,hé,calm,validation\n,,only words,calm,train\n".encode()
    )
    with ClipFolder(tmp_path, told.append) as folder:
        assert folder.counts() == {"calm": 1}
        folder.add(SOUND, "happy", "new", "Ann")
    assert rows(tmp_path) == [
        {"id": "7", "audio": "../elsewhere.wav", "text": "hé", "label": "calm", "split": "validation", "speaker": ""},
        {"id": "", "audio": "", "text": "only words", "label": "calm", "split": "train", "speaker": ""},
        # Where others have a split, training wants one of each.
        {"id": "", "audio": "happy/0001.flac", "text": "new", "label": "happy", "split": "train", "speaker": "Ann"},
    ]


def test_a_clip_that_has_a_row_gets_no_second_one(tmp_path: Path, told: list[str]) -> None:
    with ClipFolder(tmp_path, told.append) as folder:
        folder.add(SOUND, "happy", "", "")
    for written in ("./happy/0001.flac", str(tmp_path / "happy/0001.flac")):
        (tmp_path / "clips.csv").write_text(f"audio,text,label\n{written},,happy\n")
        with ClipFolder(tmp_path, told.append) as folder:
            assert folder.counts() == {"happy": 1}
    assert told == []


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"a;b;c\n1;2;3\n", b"audio,text\n", b"audio,text,label,label\n", b"\xff\xfea\0", b"just text"),
        *(b"audio,text,label\na,b\n", b'audio,text,label\na,"b,c\n'),
    ],
)
def test_a_table_of_another_format_is_left_alone(tmp_path: Path, told: list[str], content: bytes) -> None:
    table = tmp_path / "clips.csv"
    table.write_bytes(content)
    with pytest.raises(RecordingError) as refused:
        ClipFolder(tmp_path, told.append)
    assert str(refused.value).startswith(str(table))
    assert table.read_bytes() == content


def test_folders_that_are_none(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="it is a file"):
        ClipFolder(tmp_path / "file", told.append)
    for path in (tmp_path / "file" / "below", Path("/proc/self"), Path("a\0b")):
        with pytest.raises(RecordingError, match="cannot record into it"):
            ClipFolder(path, told.append)


def test_one_process_at_a_time(tmp_path: Path, told: list[str]) -> None:
    with ClipFolder(tmp_path, told.append), pytest.raises(RecordingError, match="another edge-mcnn records"):
        ClipFolder(tmp_path, told.append)
    with ClipFolder(tmp_path, told.append) as folder:
        folder.add(SOUND, "happy", "", "")


def test_a_file_that_only_looks_like_a_clip(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy/0001.flac").write_text("text")
    with pytest.raises(RecordingError, match=r"0001\.flac: not a readable recording"):
        ClipFolder(tmp_path, told.append)
    assert (tmp_path / "happy/0001.flac").read_text() == "text"
