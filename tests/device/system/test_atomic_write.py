import os
from pathlib import Path

import pytest

from device.system.atomic_write import atomic_write, remove_partial_files


def test_it_takes_its_place_at_the_end_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with atomic_write(path) as stream:
        stream.write(b"after")
        stream.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("where", ["while it is written", "when it is brought to the disk"])
def test_what_ends_badly_leaves_all_as_it_was(
    error: BaseException, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise error

    def write() -> None:
        with atomic_write(path) as stream:
            stream.write(b"after")
            if where == "while it is written":
                fail()

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_takes_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "none" / "file"):
        pytest.fail("nothing can be written there")


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    for name in (".0001.flac.99.part", ".other.csv.99.part", "0001.flac"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path, "*.flac")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.csv.99.part", "0001.flac"]
