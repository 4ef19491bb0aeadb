"""Checks what the user supplies to a recording session: class names, a speaker's name, and sentences to read aloud."""

from collections.abc import Sequence
from pathlib import Path

from device.errors import RecordingError

_FORBIDDEN = '/\\:*?"<>|'
"""Characters that some file system to which a data set may be copied does not allow in a name."""
_LONGEST_NAME = 100


def class_names(text: str) -> tuple[str, ...]:
    """Parse class names that are separated by commas.

    Raises:
        RecordingError: one cannot be the name of a folder and of a class, or is named twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if reason := _fault(name):
            raise RecordingError(
                f"class {name!r} {reason}, and the name of a class becomes the name of a folder",
                fix="use plain names, such as --classes happy,calm,angry",
            )
    folded = [name.casefold() for name in names]
    for name in names:
        if folded.count(name.casefold()) > 1:
            raise RecordingError(f"class {name!r} is named twice", fix="name each class once")
    return names


def is_class_name(name: str) -> bool:
    """Whether a folder of this name may hold the clips of a class."""
    return not _fault(name)


def speaker_name(text: str) -> str:
    """The name of a speaker, without spaces around it.

    Raises:
        RecordingError: it does not fit into one line of a table.
    """
    name = text.strip()
    if not name.isprintable():
        raise RecordingError(f"speaker {name!r} contains characters that cannot be printed", fix="use a plain name")
    return name


def read_sentences(path: Path) -> Sequence[str]:
    """Read the sentences of a prompts file, one per line; empty lines are skipped.

    Raises:
        RecordingError: it cannot be read, is not UTF-8 text, or contains no sentence.
    """
    fix = "--prompts needs a text file with a sentence per line"
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise RecordingError(f"{path}: cannot be read ({reason})", fix=fix) from None
    sentences = [" ".join(line.split()) for line in lines if line.strip()]
    for sentence in sentences:
        if not sentence.isprintable():
            raise RecordingError(f"{path}: {sentence[:40]!r} is not text", fix=fix)
    if not sentences:
        raise RecordingError(f"{path}: contains no sentence", fix=fix)
    return sentences


def _fault(name: str) -> str:
    """Why this cannot be the name of a class; empty if it can."""
    if not name:
        return "has no name"
    if not name.isprintable():
        return "contains characters that cannot be printed"
    if character := next((each for each in name if each in _FORBIDDEN), ""):
        return f"contains {character}"
    if name[0] in ".-" or name[-1] == ".":
        return "begins with . or -, or ends with ."
    if len(name.encode()) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} bytes"
    return ""
