"""The one way to show foreign text: names of files, microphones, speakers and classes, and other programs' messages.

A name may hold anything: characters that control a terminal, characters that reverse the direction of the text around
them, bytes that are not UTF-8. They are shown as escapes, so that a reader sees what is there and a terminal does
nothing.
"""

import unicodedata

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


def _is_displayable(letter: str) -> bool:
    return letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == "Zs"


def _escape(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # how Python represents a byte of a file name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")
