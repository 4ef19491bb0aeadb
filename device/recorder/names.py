"""Checks what the user supplies to a recording session: class names, a speaker's name, and sentences to read aloud."""

from collections.abc import Sequence
from pathlib import Path

from device.bundle import label_problem
from device.errors import RecordingError
from device.system.display import displayable, shortened
from device.system.text_files import read_text

_FORBIDDEN = '/\\:*?"<>|'
"""Characters that some file system to which a data set may be copied does not allow in a name."""


def class_names(text: str) -> tuple[str, ...]:
    """Parse class names that are separated by commas.

    Raises:
        RecordingError: one cannot be the name of a folder and of a class, or is named twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if reason := _fault(name):
            raise RecordingError(
                f"class {shortened(name)} {reason}, and the name of a class becomes the name of a folder",
                fix="use plain names, such as --classes happy,calm,angry",
            )
    folded = [name.casefold() for name in names]
    for name in names:
        if folded.count(name.casefold()) > 1:
            raise RecordingError(f"class {shortened(name)} is named twice", fix="name each class once")
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
    if name and (problem := label_problem(name)):
        raise RecordingError(f"speaker {shortened(name)} {problem}", fix="use a short name in plain text")
    return name


def read_sentences(path: Path) -> Sequence[str]:
    """Read the sentences of a prompts file, one per line; empty lines are skipped.

    Raises:
        RecordingError: it cannot be read, is not UTF-8 text, or contains no sentence.
    """
    fix = "--prompts needs a text file with a sentence per line"
    lines = read_text(path, RecordingError, fix=fix).splitlines()
    sentences = [" ".join(line.split()) for line in lines if line.strip()]
    for sentence in sentences:
        if displayable(sentence) != sentence:
            raise RecordingError(f"{displayable(path)}: {shortened(sentence)} is not text", fix=fix)
    if not sentences:
        raise RecordingError(f"{path}: contains no sentence", fix=fix)
    return sentences


def _fault(name: str) -> str:
    """Why this cannot be the name of a class; empty if it can."""
    if not name:
        return "has no name"
    if problem := label_problem(name):
        return problem
    if character := next((each for each in name if each in _FORBIDDEN), ""):
        return f"contains {character}"
    if name[0] in ".-" or name[-1] == ".":
        return "begins with . or -, or ends with ."
    return ""
