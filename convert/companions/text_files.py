"""Texts that a user gives: files of them are read, and what will not do in them is told in one line, not too long."""

import json
from pathlib import Path

from device.errors import ConversionError

LONGEST_SHOWN = 40
"""Characters of a value."""
_LARGEST_FILE = 16 << 20
_PICKLE_STARTS = (b"\x80", b"ccopy_reg\n", b"(dp")


def read_text(path: Path, takes: str, *, pickles: bool = False) -> str:
    """The text of a file that a user names.

    Args:
        path: the file.
        takes: what the option takes, for messages.
        pickles: whether people may think of giving a pickle.

    Raises:
        ConversionError: it cannot be read, is too large, or is no UTF-8 text with more than spaces in it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({error.strerror}); {takes}") from None
    if pickles and (content.startswith(_PICKLE_STARTS) or path.suffix.lower() in (".pkl", ".pickle")):
        raise ConversionError(f"{path}: a pickle can carry code; save it with tokenizer.to_json()")
    if len(content) > _LARGEST_FILE:
        raise ConversionError(f"{path}: larger than {_LARGEST_FILE >> 20} MB; {takes}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConversionError(f"{path}: line {line} is not UTF-8; save it as UTF-8 text") from None
    if "\0" in text:
        raise ConversionError(f"{path}: is binary or UTF-16, not UTF-8 text; {takes}")
    if not text.strip():
        raise ConversionError(f"{path}: is empty; {takes}")
    return text


def broken_json(path: Path, error: Exception) -> ConversionError:
    """What to tell of a file in which `json.loads` found this error."""
    if isinstance(error, json.JSONDecodeError):
        return ConversionError(f"{path}: line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})")
    return ConversionError(f"{path}: not valid JSON ({error})")


def shown(value: object) -> str:
    """A value in a message: quoted, on one line, not too long."""
    if isinstance(value, list | dict):
        return "a JSON list" if isinstance(value, list) else "a JSON object"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
