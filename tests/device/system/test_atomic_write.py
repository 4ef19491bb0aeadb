import os
from pathlib import Path

import pytest

from device.system.atomic_write import atomic_write, remove_partial_files


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
