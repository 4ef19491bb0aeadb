"""Text files that a user supplies: read without waiting for a pipe, and whatever is wrong reported with its line."""

import codecs
import os
import stat
from pathlib import Path

from device.errors import EdgeMcnnError
from device.system.display import displayable
from device.system.paths import GIT_LFS, cannot_use, error_about, is_git_lfs_pointer, open_file

LARGEST = 16 << 20
"""Bytes that are read unless the caller states another limit."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE_AS_UTF8 = "save the file as UTF-8 text"


def read_text(
    path: Path,
    error: type[EdgeMcnnError],
    *,
    fix: str = "",
    not_text_fix: str = _SAVE_AS_UTF8,
    largest: int = LARGEST,
) -> str:
    r"""Read a text file in UTF-8, with or without a byte order mark, and with any usual line ends.

    Args:
        path: the file.
        error: type of the error to raise.
        fix: what the file should be, in the imperative; used where the path names no such file.
        not_text_fix: what to do about a file that is not UTF-8 text.
        largest: largest accepted size in bytes.

    Returns:
        The text, in which every line ends with `\n`.

    Raises:
        EdgeMcnnError: of the type `error`: the file cannot be read, is too large, or is not UTF-8 text. The message
            names the line.
    """
    try:
        with open_file(path) as stream:
            content = stream.read(largest + 1)
            is_pipe = stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError) as problem:
        raise cannot_use(path, problem, error, fix=fix) from None
    if is_git_lfs_pointer(content):
        raise error_about(path, GIT_LFS, error)
    if is_pipe and not content:
        raise error(f"{displayable(path)}: is a pipe that no program writes to", fix=fix or "name a file")
    if len(content) > largest:
        raise error(f"{displayable(path)}: larger than {largest >> 20} MB", fix=fix or "name a text file")
    return decode_text(content, displayable(path), error, not_text_fix)


def decode_text(content: bytes, name: str, error: type[EdgeMcnnError], fix: str = _SAVE_AS_UTF8) -> str:
    r"""Decode the content of a text file.

    Args:
        content: the bytes of the file.
        name: name of the file, for messages.
        error: type of the error to raise.
        fix: what to do about a file that is not UTF-8 text.

    Returns:
        The text, in which every line ends with `\n`.

    Raises:
        EdgeMcnnError: of the type `error`: it is not UTF-8 text.
    """
    if content.startswith(_UTF_16):
        raise error(f"{name}, line 1: UTF-16, not UTF-8 text", fix=fix)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        place = f"{name}, line {_line(problem.object, problem.start)}"
        byte = problem.object[problem.start]
        raise error(f"{place}: the byte 0x{byte:02x} is not UTF-8 text", fix=fix) from None
    if "\0" in text:
        line = _line(content, content.index(b"\0"))
        raise error(f"{name}, line {line}: a NUL byte, as binary files and UTF-16 have", fix=fix)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line(content: bytes, position: int) -> int:
    """Number of the line of a byte, from 1 on, whichever line ends the file has."""
    before = content[:position].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return before.count(b"\n") + 1
