import os
from pathlib import Path

import pytest

from device.system.atomic_write import atomic_write, remove_partial_files, write_bytes, write_text, write_together
from tests.full_disk import full_disk


def test_the_file_is_replaced_at_the_end_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with atomic_write(path) as stream:
        stream.write(b"after")
        stream.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("where", ["while writing", "while syncing"])
def test_a_failure_leaves_the_file_unchanged(
    error: BaseException, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise error

    def write() -> None:
        with atomic_write(path) as stream:
            stream.write(b"after")
            if where == "while writing":
                fail()

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "none" / "file"):
        pytest.fail("the folder is missing")


def test_partial_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    for name in (".0001.flac.99.part", ".other.csv.99.part", "0001.flac"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path, "*.flac")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.csv.99.part", "0001.flac"]


def test_full_disk_leaves_everything_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_text(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "\u00e4\n")
    assert (tmp_path / "file").read_bytes() == b"\xc3\xa4\n"


def test_files_that_belong_together_are_replaced_as_one(tmp_path: Path) -> None:
    files = {tmp_path / "a": b"1", tmp_path / "b": b"22"}
    write_together(files)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    with full_disk(largest=2), pytest.raises(OSError, match="File too large") as caught:
        write_together({tmp_path / "a": b"2", tmp_path / "b": b"333"})
    assert caught.value.filename == str(tmp_path / "b")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_not_replaced(kind: str, tmp_path: Path) -> None:
    path = Path("/dev/null") if kind == "device" else tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    before = path.stat().st_mode
    with pytest.raises(OSError, match=r"Is a directory|Not a regular file"):
        write_bytes(path, b"x")
    with pytest.raises(OSError, match=r"Is a directory|Not a regular file"):
        write_together({path: b"x"})
    assert path.stat().st_mode == before
    assert len(list(tmp_path.iterdir())) == (kind != "device")


@pytest.mark.parametrize("umask", [0, 0o027, 0o777])
def test_a_mode_is_that_of_the_file_from_the_beginning_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(umask)
    try:
        with atomic_write(path, mode=0o600) as stream:
            (partial,) = tmp_path.iterdir()
            assert partial.stat().st_mode & 0o777 == 0o600
            stream.write(b"x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("mode", [None, 0o600])
def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(mode: int | None, tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "file"
    other.write_bytes(b"of someone else")
    (tmp_path / f".file.{os.getpid()}.part").symlink_to(other)
    with atomic_write(path, mode=mode) as stream:
        stream.write(b"x")
    assert (path.read_bytes(), other.read_bytes()) == (b"x", b"of someone else")
    write_together({path: b"y"})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "other"]


def test_only_partial_files_of_these_names_are_removed(tmp_path: Path) -> None:
    for name in (".a.1.part", ".a.b.2.part", ".a.x.part", ".[ab].3.part"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path, "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".[ab].3.part", ".a.b.2.part", ".a.x.part"]
