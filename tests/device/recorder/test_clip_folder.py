"""Clips and their table are consistent, even if the process is killed or the disk is full between the two."""

import csv
import os
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

AUDIO = np.arange(4000, dtype=np.int16)


@pytest.fixture
def announced() -> list[str]:
    return []


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def noise(seconds: float) -> NDArray[np.int16]:
    """Audio that cannot be compressed."""
    return np.random.default_rng(0).integers(-20_000, 20_000, int(16_000 * seconds), np.int16)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Simulate a full disk: no file can be larger than `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_clips_are_numbered_and_have_rows(tmp_path: Path, announced: list[str]) -> None:
    with ClipFolder(tmp_path / "new" / "data", announced.append) as folder:
        assert folder.counts() == {}
        assert folder.add(AUDIO, "angry", "", "") == "angry/0001.flac"
        assert not folder.has_transcripts
        assert folder.add(AUDIO, "happy", "what a day", "Ann") == "happy/0001.flac"
        assert folder.has_transcripts
        assert folder.add(AUDIO[::-1], "happy", 'say "no", now', "Ann") == "happy/0002.flac"
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
    np.testing.assert_array_equal(samples, AUDIO[::-1])
    info = soundfile.info(folder.path / "happy/0002.flac")
    assert (info.format, info.subtype, info.channels) == ("FLAC", "PCM_16", 1)
    assert files(folder.path) == ["angry/0001.flac", "clips.csv", "happy/0001.flac", "happy/0002.flac"]
    assert announced == []


def test_numbers_continue_and_none_is_used_twice(tmp_path: Path, announced: list[str]) -> None:
    for _ in range(2):
        with ClipFolder(tmp_path, announced.append) as folder:
            folder.add(AUDIO, "happy", "", "")
    (tmp_path / "happy/0001.flac").unlink()
    (tmp_path / "happy/note.txt").write_text("not a clip")
    with ClipFolder(tmp_path, announced.append) as folder:
        assert folder.counts() == {"happy": 1}
        assert folder.add(AUDIO, "happy", "", "") == "happy/0003.flac"
    assert [row["audio"] for row in rows(tmp_path)] == ["happy/0002.flac", "happy/0003.flac"]
    [line] = announced
    assert "happy/0001.flac was deleted" in line


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"])), speaker=st.sampled_from(["", "Ann", "Jürg, jr."]))
def test_the_row_of_a_clip_is_restored_from_its_tags(
    tmp_path_factory: pytest.TempPathFactory, text: str, speaker: str
) -> None:
    path = tmp_path_factory.mktemp("data")
    with ClipFolder(path, print) as folder:
        folder.add(AUDIO, "happy", text, speaker)
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
def test_table_and_clips_match_after_the_process_was_killed(tmp_path: Path, call: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, tmp_path, "fsync", str(call)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    saved = done.stdout.splitlines()
    assert saved == ["happy/0001.flac"]
    with ClipFolder(tmp_path, print) as folder:
        assert not list(tmp_path.rglob("*.part"))
        found = [path for path in files(tmp_path) if path.endswith(".flac")]
        assert [row["audio"] for row in rows(tmp_path)] == found
        assert [row["text"] for row in rows(tmp_path)] == [f"word {number}" for number in range(len(found))]
        assert {row["speaker"] for row in rows(tmp_path)} == {"Ann"}
        assert set(saved) <= set(found)
        folder.add(AUDIO, "happy", "", "")


def test_a_concurrent_reader_reads_a_complete_table(tmp_path: Path, announced: list[str]) -> None:
    with ClipFolder(tmp_path, announced.append) as folder:
        folder.add(AUDIO, "happy", "first", "")
        before = (tmp_path / "clips.csv").read_text()
        with (tmp_path / "clips.csv").open() as reader:
            folder.add(AUDIO, "happy", "second", "")
            assert reader.read() == before


def test_a_full_disk_changes_nothing_and_later_recording_continues(tmp_path: Path, announced: list[str]) -> None:
    with ClipFolder(tmp_path, announced.append) as folder:
        folder.add(AUDIO, "happy", "word " * 2000, "")
        before, table = files(tmp_path), (tmp_path / "clips.csv").read_bytes()
        with largest_file(20_000), pytest.raises(RecordingError, match="cannot be written") as error:
            folder.add(noise(2), "happy", "second", "")
        assert error.value.fix == "free some space; the clips saved before are safe"
        assert (files(tmp_path), (tmp_path / "clips.csv").read_bytes()) == (before, table)
        # Here there is space for the clip, but not for the table.
        with largest_file(9000), pytest.raises(RecordingError, match="cannot be written"):
            folder.add(np.zeros(999, np.int16), "happy", "second", "")
        assert (files(tmp_path), (tmp_path / "clips.csv").read_bytes()) == (before, table)
        assert folder.counts() == {"happy": 1}
        assert folder.add(noise(2), "happy", "second", "") == "happy/0002.flac"
    assert [row["text"].strip()[-6:] for row in rows(tmp_path)] == ["d word", "second"]


def test_rows_and_columns_of_other_programs_stay(tmp_path: Path, announced: list[str]) -> None:
    (tmp_path / "clips.csv").write_bytes(
        "\ufeffid,audio,text,label,split\n7,../elsewhere.wav,hé,calm,validation\n,,only words,calm,train\n".encode()
    )
    with ClipFolder(tmp_path, announced.append) as folder:
        assert folder.counts() == {"calm": 1}
        folder.add(AUDIO, "happy", "new", "Ann")
    assert rows(tmp_path) == [
        {"id": "7", "audio": "../elsewhere.wav", "text": "hé", "label": "calm", "split": "validation", "speaker": ""},
        {"id": "", "audio": "", "text": "only words", "label": "calm", "split": "train", "speaker": ""},
        # If some rows have a split, training requires one of every row.
        {"id": "", "audio": "happy/0001.flac", "text": "new", "label": "happy", "split": "train", "speaker": "Ann"},
    ]


def test_a_clip_with_a_row_gets_no_second_one(tmp_path: Path, announced: list[str]) -> None:
    with ClipFolder(tmp_path, announced.append) as folder:
        folder.add(AUDIO, "happy", "", "")
    for written in ("./happy/0001.flac", str(tmp_path / "happy/0001.flac")):
        (tmp_path / "clips.csv").write_text(f"audio,text,label\n{written},,happy\n")
        with ClipFolder(tmp_path, announced.append) as folder:
            assert folder.counts() == {"happy": 1}
    assert announced == []


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"a;b;c\n1;2;3\n", b"audio,text\n", b"audio,text,label,label\n", b"\xff\xfea\0", b"just text"),
        *(b"audio,text,label\na,b\n", b'audio,text,label\na,"b,c\n'),
    ],
)
def test_a_file_that_is_not_a_clip_table_stays_unchanged(tmp_path: Path, announced: list[str], content: bytes) -> None:
    table = tmp_path / "clips.csv"
    table.write_bytes(content)
    with pytest.raises(RecordingError) as error:
        ClipFolder(tmp_path, announced.append)
    assert error.value.message.startswith(str(table))
    assert error.value.fix
    assert table.read_bytes() == content


def test_a_table_that_is_a_pointer_of_git_lfs(tmp_path: Path, announced: list[str]) -> None:
    (tmp_path / "clips.csv").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 1\n")
    with pytest.raises(RecordingError, match=r"clips\.csv: holds a pointer of Git LFS .*; .*git lfs pull"):
        ClipFolder(tmp_path, announced.append)


def test_paths_that_cannot_be_folders(tmp_path: Path, announced: list[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="it is a file"):
        ClipFolder(tmp_path / "file", announced.append)
    for path in (tmp_path / "file" / "below", Path("/proc/self"), Path("a\0b")):
        with pytest.raises(RecordingError, match="cannot record into it") as error:
            ClipFolder(path, announced.append)
        assert error.value.fix == "use another folder"


def test_one_process_at_a_time(tmp_path: Path, announced: list[str]) -> None:
    with (
        ClipFolder(tmp_path, announced.append),
        pytest.raises(RecordingError, match="another edge-mcnn is recording") as error,
    ):
        ClipFolder(tmp_path, announced.append)
    assert error.value.fix == "stop that one first"
    with ClipFolder(tmp_path, announced.append) as folder:
        folder.add(AUDIO, "happy", "", "")


def test_a_file_that_only_looks_like_a_clip(tmp_path: Path, announced: list[str]) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy/0001.flac").write_text("text")
    with pytest.raises(RecordingError, match=r"0001\.flac: not a readable recording") as error:
        ClipFolder(tmp_path, announced.append)
    assert error.value.fix == "delete it or move it away"
    assert (tmp_path / "happy/0001.flac").read_text() == "text"


def test_a_pipe_that_only_looks_like_a_clip(tmp_path: Path, announced: list[str]) -> None:
    (tmp_path / "happy").mkdir()
    os.mkfifo(tmp_path / "happy/0001.flac")
    with pytest.raises(RecordingError, match=r"0001\.flac: is a pipe"):
        ClipFolder(tmp_path, announced.append)


def test_a_clip_in_a_folder_whose_name_is_not_utf8(tmp_path: Path, announced: list[str]) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    with ClipFolder(path, announced.append) as folder:
        folder.add(AUDIO, "happy", "hello", "Ann")
    (path / "clips.csv").unlink()
    with ClipFolder(path, announced.append) as folder:
        assert folder.has_transcripts, "read from the tags of the clip"
