"""Text files as people bring them: other encodings, line ends and kinds of files, each reported with its line."""

import os
from pathlib import Path

import pytest

from device.errors import SettingsError
from device.system.text_files import read_text


@pytest.mark.parametrize(
    "content",
    [
        b"a = 1\nb = 2\n",
        b"\xef\xbb\xbfa = 1\nb = 2\n",
        b"a = 1\r\nb = 2\r\n",
        b"\xef\xbb\xbfa = 1\r\nb = 2\r\n",
        b"a = 1\rb = 2\r",
    ],
)
def test_byte_order_mark_and_line_ends_do_not_matter(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert read_text(file, SettingsError) == "a = 1\nb = 2\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a = 1\n".encode("utf-16"), "line 1: UTF-16"),
        ("a = 1\nb".encode("utf-16-be"), "line 1: a NUL byte"),
        (b"a\nb\ncaf\xe9\n", "line 3: the byte 0xe9 is not UTF-8"),
        (b"a\rb\rcaf\xe9\r", "line 3: the byte 0xe9 is not UTF-8"),
        (b"a\r\nb\r\ncaf\xe9\r\n", "line 3: the byte 0xe9 is not UTF-8"),
        (b"a\n\0\n", "line 2: a NUL byte"),
        (b"a" * ((1 << 20) + 1), "larger than 1 MB"),
    ],
)
def test_other_content_is_reported_with_its_line(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_text(file, SettingsError, largest=1 << 20)
    assert words in caught.value.message
    assert caught.value.message.startswith(str(file))
    assert caught.value.fix


def test_what_is_no_file_never_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "pipe", "no program writes to"),
        (tmp_path, "is a folder"),
        (tmp_path / "none", "no such file"),
        (Path("/dev/zero"), "larger than 1 MB"),
    ):
        with pytest.raises(SettingsError, match=words) as caught:
            read_text(path, SettingsError, fix="name a settings file", largest=1 << 20)
        assert caught.value.fix == "name a settings file"


def test_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4\nsize 1\n")
    with pytest.raises(SettingsError, match=r"labels\.txt: holds a pointer of Git LFS .*; .*git lfs pull"):
        read_text(tmp_path / "labels.txt", SettingsError)
