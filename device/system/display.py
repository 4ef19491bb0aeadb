"""The one way to show foreign text: names of files, microphones, speakers and classes, and other programs' messages.

A name may hold anything: characters that control a terminal, characters that reverse the direction of the text around
them, bytes that are not UTF-8. They are shown as escapes, so that a reader sees what is there and a terminal does
nothing.
"""

import json
import logging
import re
import shlex
import unicodedata
from typing import Any

_JOINERS = "\u200c\u200d"
"""Invisible, but part of the spelling of Persian and Hindi words and of many emoji."""


def displayable(text: object) -> str:
    r"""Return the text on one line, with each character that cannot be displayed replaced by its escape.

    Letters, digits, punctuation, symbols and spaces of all scripts stay unchanged. A byte of a file name that is not
    UTF-8 is shown as that byte, such as `caf\xe9`.

    Args:
        text: a text, or a path or other object with a text form.
    """
    return "".join(letter if _is_displayable(letter) else _escape(letter) for letter in str(text))


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: `1 example`, `3 examples`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def displayable_lines(text: object) -> str:
    """Return a text of several lines, each of them `displayable`, with the same line breaks."""
    return "\n".join(map(displayable, str(text).split("\n")))


def on_one_line(text: object) -> str:
    """Return a message of another program, which may have several lines, as one displayable line."""
    return displayable(re.sub(r"\s*[\r\n]\s*", " ", str(text).strip("\r\n")))


def shortened(text: object, longest: int = 40) -> str:
    """Return a value from elsewhere for a message: displayable, in quotation marks, and not longer than useful."""
    shown = displayable(text)
    return f"'{shown}'" if len(shown) <= longest else f"'{shown[:longest]}...'"


def shell_quoted(argument: object) -> str:
    r"""Return an argument as a shell reads it back, displayable; for commands that users copy.

    A name with characters that cannot be displayed is written in the notation `$'caf\xe9'` of bash, zsh and ksh.

    Args:
        argument: a text or a path.
    """
    text = str(argument)
    if displayable(text) == text:
        return shlex.quote(text)
    return f"$'{''.join(_shell_escape(letter) for letter in text)}'"


def as_json(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Return a value as JSON that any terminal displays and any encoding contains, and that reads back as the value.

    JSON itself allows characters that control a terminal, and Python writes halves of surrogate pairs, which UTF-8
    cannot represent; both are written as JSON's escapes.

    Args:
        value: what `json.dumps` accepts.
        indent: spaces per level; None for one line.
        ascii_only: whether every other character is escaped, too.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    if text.isprintable():
        return text
    return "".join(letter if letter == "\n" or _is_displayable(letter) else json.dumps(letter)[1:-1] for letter in text)


class DisplayableFormatter(logging.Formatter):
    """Formats log records so that names and other programs' messages in them cannot control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, and the traceback if there is one, with every line displayable."""
        return displayable_lines(super().format(record))


def _is_displayable(letter: str) -> bool:
    return letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == "Zs"


def _shell_escape(letter: str) -> str:
    if letter in "\\'":
        return f"\\{letter}"
    if _is_displayable(letter):
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))


def _escape(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # how Python represents a byte of a file name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")
