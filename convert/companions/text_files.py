"""Reads the text files that a user supplies, and words the errors about their content in one short line."""

import json
from pathlib import Path

from device.errors import ConversionError

LONGEST_SHOWN = 40
"""Number of characters of a value that an error message shows."""
_LARGEST_FILE = 16 << 20
"""Bytes."""
_PICKLE_STARTS = (b"\x80", b"ccopy_reg\n", b"(dp")


def read_text(path: Path, usage: str, *, may_be_pickle: bool = False) -> str:
    """Read a text file that a user names.

    Args:
        path: the file.
        usage: what the option accepts, in the imperative; the fix in error messages.
        may_be_pickle: whether users may try to give a pickle, which then gets a specific error message.

    Raises:
        ConversionError: the file cannot be read, is too large, is not UTF-8 text, or is empty.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({error.strerror})", fix=usage) from None
    if may_be_pickle and (content.startswith(_PICKLE_STARTS) or path.suffix.lower() in (".pkl", ".pickle")):
        raise ConversionError(f"{path}: a pickle can carry code", fix="save it with tokenizer.to_json()")
    if len(content) > _LARGEST_FILE:
        raise ConversionError(f"{path}: larger than {_LARGEST_FILE >> 20} MB", fix=usage)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConversionError(f"{path}: line {line} is not UTF-8", fix="save it as UTF-8 text") from None
    if "\0" in text:
        raise ConversionError(f"{path}: is binary or UTF-16, not UTF-8 text", fix=usage)
    if not text.strip():
        raise ConversionError(f"{path}: is empty", fix=usage)
    return text


def invalid_json(path: Path, error: Exception, usage: str) -> ConversionError:
    """The error about a file in which `json.loads` found `error`.

    Args:
        path: the file.
        error: raised by `json.loads`.
        usage: what the option accepts, in the imperative; the fix.
    """
    if isinstance(error, json.JSONDecodeError):
        place = f"line {error.lineno}, column {error.colno}: "
        return ConversionError(f"{path}: {place}not valid JSON ({error.msg})", fix=usage)
    return ConversionError(f"{path}: not valid JSON ({error})", fix=usage)


def shown(value: object) -> str:
    """A value as an error message shows it: quoted, on one line, and shortened if it is long."""
    if isinstance(value, list | dict):
        return "a JSON list" if isinstance(value, list) else "a JSON object"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
