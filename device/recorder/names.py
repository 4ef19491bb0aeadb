"""What the user calls things: classes, which become folders and labels, the speaker, and sentences to read aloud."""

from collections.abc import Sequence
from pathlib import Path

from device.errors import RecordingError

_NO_FOLDER = '/\\:*?"<>|'
"""What some file system that a data set may be copied to does not take in a name."""
_LONGEST_NAME = 100


def class_names(given: str) -> tuple[str, ...]:
    """The classes of a list with commas between them.

    Raises:
        RecordingError: one cannot be the name of a folder and of a class, or is there twice.
    """
    names = tuple(name.strip() for name in given.split(","))
    for name in names:
        if reason := _fault(name):
            raise RecordingError(
                f"class {name!r} {reason}; each name becomes a folder, so give plain ones: --classes happy,calm,angry"
            )
    folded = [name.casefold() for name in names]
    for name in names:
        if folded.count(name.casefold()) > 1:
            raise RecordingError(f"class {name!r} is there twice; name each class once")
    return names


def is_class_name(name: str) -> bool:
    """Whether a folder of this name may be a class's."""
    return not _fault(name)


def speaker_name(given: str) -> str:
    """The name without spaces around it.

    Raises:
        RecordingError: it does not fit into a line of a table.
    """
    name = given.strip()
    if not name.isprintable():
        raise RecordingError(f"speaker {name!r} holds characters that cannot be printed; give a plain name")
    return name


def read_sentences(path: Path) -> Sequence[str]:
    """The sentences of a prompts file, one per line; empty lines are passed over.

    Raises:
        RecordingError: it cannot be read, is not text in UTF-8, or has no sentence.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise RecordingError(f"{path}: cannot be read ({reason}); --prompts takes text, a sentence per line") from None
    sentences = [" ".join(line.split()) for line in lines if line.strip()]
    for sentence in sentences:
        if not sentence.isprintable():
            raise RecordingError(f"{path}: {sentence[:40]!r} is no text; --prompts takes text, a sentence per line")
    if not sentences:
        raise RecordingError(f"{path}: no sentence in it; --prompts takes text, a sentence per line")
    return sentences


def _fault(name: str) -> str:
    """Why this is no name of a class; empty if it is one."""
    if not name:
        return "has no name"
    if not name.isprintable():
        return "holds characters that cannot be printed"
    if wrong := next((letter for letter in name if letter in _NO_FOLDER), ""):
        return f"holds {wrong}"
    if name[0] in ".-" or name[-1] == ".":
        return "begins with . or -, or ends with ."
    if len(name.encode()) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} bytes"
    return ""
