"""Reads the text files that a user supplies, and words the errors about their content in one short line."""

import json
from pathlib import Path

from device.errors import ConversionError
from device.system.display import displayable, shortened
from device.system.paths import GIT_LFS, cannot_use, error_about, is_git_lfs_pointer, open_file
from device.system.text_files import decode_text

LONGEST_SHOWN = 40
"""Number of characters of a value that an error message shows."""
_LARGEST_FILE = 16 << 20
"""Bytes."""
_NUMPY_START = b"\x93NUMPY"
_PICKLE_STARTS = (b"\x80", b"ccopy_reg\n", b"(dp")


def read_text(path: Path, usage: str, *, pickle_fix: str = "") -> str:
    """Read a text file that a user names.

    Args:
        path: the file.
        usage: what the option accepts, in the imperative; the fix in error messages.
        pickle_fix: what users who have a pickle can do; empty where nobody has one.

    Raises:
        ConversionError: the file cannot be read, is too large, is not UTF-8 text, or is empty.
    """
    name = displayable(path)
    try:
        with open_file(path) as file:
            content = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise cannot_use(path, error, ConversionError, fix=usage) from None
    if is_git_lfs_pointer(content):
        raise error_about(path, GIT_LFS, ConversionError)
    if pickle_fix and (content.startswith(_PICKLE_STARTS) or path.suffix.lower() in (".pkl", ".pickle")):
        raise ConversionError(f"{name}: a pickle can carry code", fix=pickle_fix)
    if content.startswith(_NUMPY_START):
        raise ConversionError(f"{name}: a file of numpy, expected text", fix=usage)
    if len(content) > _LARGEST_FILE:
        raise ConversionError(f"{name}: larger than {_LARGEST_FILE >> 20} MB", fix=usage)
    text = decode_text(content, name, ConversionError)
    if not text.strip():
        raise ConversionError(f"{name}: is empty", fix=usage)
    return text


def invalid_json(path: Path, error: Exception, usage: str) -> ConversionError:
    """The error about a file in which `json.loads` found `error`.

    Args:
        path: the file.
        error: raised by `json.loads`.
        usage: what the option accepts, in the imperative; the fix.
    """
    name = displayable(path)
    if isinstance(error, json.JSONDecodeError):
        place = f"line {error.lineno}, column {error.colno}: "
        return ConversionError(f"{name}: {place}not valid JSON ({error.msg})", fix=usage)
    return ConversionError(f"{name}: not valid JSON ({error})", fix=usage)


def shown(value: object) -> str:
    """A value as an error message shows it: quoted, on one line, and shortened if it is long."""
    if isinstance(value, list | dict):
        return "a JSON list" if isinstance(value, list) else "a JSON object"
    return shortened(value, LONGEST_SHOWN) if isinstance(value, str) else displayable(value)[:LONGEST_SHOWN]
