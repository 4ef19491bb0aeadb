"""What is wrong with a path, in words: for root and for a user without permissions alike."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import AudioError
from device.system.paths import (
    cannot_use,
    explain,
    file_problem,
    folder_problem,
    open_file,
    output_problem,
    require_file,
    require_folder,
)
from tests.ordinary_user import ordinary_user as ordinary_user
from tests.ordinary_user import tmp_path as tmp_path

pytestmark = pytest.mark.usefixtures("ordinary_user")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "file").write_text("x")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def test_a_usable_path_has_no_problem(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert output_problem(file) is None
    file.touch()
    assert file_problem(file) is None
    assert folder_problem(tmp_path) is None
    assert output_problem(file) is None
    assert output_problem(tmp_path / "new" / "deep", folder=True) is None
    assert output_problem(tmp_path / "new" / "file") is None


@pytest.mark.parametrize("problem", [file_problem, folder_problem, output_problem])
@pytest.mark.parametrize("below", ["file", "none", "deep/er/file"])
def test_the_closed_folder_is_named(problem, below: str, closed: Path) -> None:  # type: ignore[no-untyped-def]  # three functions
    found = problem(closed / below)
    assert found is not None
    assert f"may not enter the folder {closed}" in found.message
    assert found.message.startswith("permission denied: ")
    assert found.fix


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "my file"
    file.touch(mode=0)
    found = file_problem(file)
    assert found is not None
    assert "may not read the file" in found.message
    assert found.fix.endswith(f"sudo chmod a+r '{file}'")


def test_a_folder_that_may_not_be_listed(closed: Path) -> None:
    found = folder_problem(closed)
    assert found is not None
    assert f"may not enter the folder {closed}" in found.message


@pytest.mark.parametrize("output", ["file", "new/file"])
def test_a_folder_that_may_not_be_written_to(output: str, tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    found = output_problem(folder / output)
    assert found is not None
    assert f"may not write to the folder {folder}" in found.message
    assert output_problem(folder, folder=True) == found


@pytest.mark.parametrize("problem", [file_problem, folder_problem, output_problem])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a" * 256, "name is too long (256 bytes"),
        ("ä" * 150, "name is too long (300 bytes"),
        ("a/" * 2500, "path is too long"),
        ("nul\0", "NUL"),
        ("loop", "leads back to itself"),
        ("file/below", "file is a file, not a folder"),
        ("dangling", "is a symbolic link to nowhere, which does not exist"),
    ],
)
def test_names_that_no_path_can_have(problem, name: str, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # three functions
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    found = problem(tmp_path / name)
    assert found is not None
    assert words in found.message
    assert found.fix


def test_a_name_with_which_no_temporary_file_can_be_made(tmp_path: Path) -> None:
    found = output_problem(tmp_path / ("a" * 250))
    assert found is not None
    assert "too long" in found.message
    assert "longer names are needed for files beside it" in str(output_problem(tmp_path / ("a" * 230)))
    assert output_problem(tmp_path / ("a" * 200)) is None


def test_the_missing_folder_is_named(tmp_path: Path) -> None:
    found = file_problem(tmp_path / "none" / "deep" / "file")
    assert found is not None
    assert found.message == f"no such file or folder: there is no folder {tmp_path / 'none'}"
    found = file_problem(tmp_path / "file")
    assert found is not None
    assert found.message == "no such file or folder"


def test_the_wrong_kind(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for found, words in (
        (file_problem(tmp_path), "is a folder"),
        (folder_problem(file), "is a file"),
        (output_problem(tmp_path), "is a folder"),
        (output_problem(file, folder=True), "is a file"),
        (output_problem(Path("/dev/null")), "is not a regular file"),
    ):
        assert found is not None
        assert words in found.message


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket may have only 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        found = file_problem(Path("socket"))
    assert found is not None
    assert "socket" in found.message


def test_a_pipe_without_a_writer_is_at_its_end_and_another_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert file_problem(pipe) is None
    with open_file(pipe) as stream:
        assert stream.read() == b""
    with open_file(pipe) as stream:
        with pipe.open("wb") as writer:
            writer.write(b"content")
        assert stream.read() == b"content"
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)


def test_errors_show_the_path_and_the_fix(closed: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="may not enter") as denied:
        require_file(closed / "file", AudioError, fix="name a recording")
    assert "permissions" in denied.value.fix
    with pytest.raises(AudioError, match="no such file") as missing:
        require_folder(tmp_path / "\x1b[31m", AudioError, fix="name a folder of recordings")
    assert missing.value.fix == "name a folder of recordings"
    assert r"\x1b[31m" in missing.value.message
    error = cannot_use(tmp_path, OSError(errno.ENOSPC, "No space left on device"), AudioError)
    assert error.message == f"{tmp_path}: the disk is full"


def test_other_errors_use_the_words_of_the_operating_system() -> None:
    assert explain(OSError(errno.EIO, "Input/output error"), Path("x")).message == "input/output error"
    assert (
        "cannot be used" in explain(UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"), Path("é")).message
    )
