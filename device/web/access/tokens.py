"""Tokens with which scripts use the page: `Authorization: Bearer TOKEN`. Only their hashes are stored."""

import re
import secrets
from pathlib import Path

from device.errors import WebError
from device.system.display import counted, displayable, shortened
from device.web.access.folder import read_table, write_table
from device.web.access.sessions import hashed

FILE = "web-tokens"
MOST = 100
_NAME = re.compile(r"[\w.-]{1,40}")
_RANDOM_BYTES = 32


def read_tokens(folder: Path) -> dict[str, str]:
    """The name of each token, by its hash.

    Raises:
        WebError: the file cannot be read, or is damaged.
    """
    table = read_table(folder / FILE)
    if not all(isinstance(value, str) for value in table.values()):
        fix = "remove it, and make the tokens again: edge-mcnn web --make-token NAME"
        raise WebError(f"{displayable(folder / FILE)}: the file is damaged", fix=fix)
    return {value: name for name, value in table.items()}


def make_token(folder: Path, name: str) -> str:
    """Make a token, and return it; a token that had the name is no longer valid.

    Raises:
        WebError: the name cannot be used, there are too many tokens, or the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise WebError(f"{shortened(name)} is not a name for a token", fix="use letters, digits, - and .")
    named = {each: token for token, each in read_tokens(folder).items()}
    if name not in named and len(named) >= MOST:
        raise WebError(
            f"there are {counted(MOST, 'token')} already", fix="remove one: edge-mcnn web --remove-token NAME"
        )
    token = secrets.token_urlsafe(_RANDOM_BYTES)
    write_table(folder / FILE, {**named, name: hashed(token)})
    return token


def remove_token(folder: Path, name: str) -> None:
    """Remove a token.

    Raises:
        WebError: there is none of this name, or the file cannot be written.
    """
    named = {each: token for token, each in read_tokens(folder).items()}
    if name not in named:
        fix = f"use one of {', '.join(sorted(named))}" if named else "make one: edge-mcnn web --make-token NAME"
        raise WebError(f"there is no token {shortened(name)}", fix=fix)
    del named[name]
    write_table(folder / FILE, named)
