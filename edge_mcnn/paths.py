"""Paths on the command line: each is checked when the command line is parsed, before any work begins.

Every option and argument that takes a path names one of these parsers, so that a folder that may not be entered, a
name that is too long or a folder in place of a file is one line at once, never a traceback, a wait, or a surprise
after hours.
"""

import os
from collections.abc import Callable
from pathlib import Path

from device.bundle import NAME_A_MODEL, SHIPPED_BUNDLES
from device.errors import PathError
from device.system.paths import (
    PathProblem,
    error_about,
    file_problem,
    folder_problem,
    name_problem,
    output_problem,
)

Parser = Callable[[str | Path], Path]
"""Turns the text of an option into a path that the command can use.

Raises:
    PathError: it cannot use the path.
"""


def input_file(fix: str, *, pipes: bool = False) -> Parser:
    """Return the parser for a file to read.

    Args:
        fix: what the option requires, in the imperative.
        pipes: whether a pipe or a device will do.
    """
    return _parser(lambda path: file_problem(path, pipes=pipes), fix)


def model_file(fix: str = NAME_A_MODEL) -> Parser:
    """Return the parser for a model: the name of one that ships, which stays a name, or a file to read.

    Args:
        fix: what the option requires, in the imperative.
    """
    return _model_parser(input_file(fix))


def reported_model() -> Parser:
    """Return the parser for a model as `model_file` does, without a check of the file."""
    return _model_parser(Path)


def _model_parser(parse_file: Parser) -> Parser:
    def parse(text: str | Path) -> Path:
        if text in SHIPPED_BUNDLES:
            return Path(text)
        path = parse_file(text)
        # Only the name itself is one: Path shortens "./emotions" to it.
        return path.absolute() if str(path) in SHIPPED_BUNDLES else path

    return parse


def input_folder(fix: str) -> Parser:
    """Return the parser for a folder to read; `fix` states what the option requires, in the imperative."""
    return _parser(folder_problem, fix)


def input_path(fix: str, *, pipes: bool = False) -> Parser:
    """Return the parser for a file or folder to read; arguments as for `input_file`."""
    return _parser(lambda path: folder_problem(path) if _is_folder(path) else file_problem(path, pipes=pipes), fix)


def output_file() -> Parser:
    """Return the parser for a file to write; folders that are missing can be created."""
    return _parser(output_problem, "name a file that can be written")


def new_file() -> Parser:
    """Return the parser for a file to create: whatever exists there may be the only copy of something."""
    return _parser(_new_problem, "name a file that can be written")


def _new_problem(path: Path) -> PathProblem | None:
    if problem := output_problem(path):
        return problem
    return PathProblem("exists already", "choose another name, or move it away") if os.path.lexists(path) else None


def output_folder() -> Parser:
    """Return the parser for a folder to write into, which is created if it is missing."""
    return _parser(lambda path: output_problem(path, folder=True), "name a folder that can be written to")


def cache_folder() -> Parser:
    """Return the parser for a folder that is read if it exists, even if it cannot be written to, or else created."""
    return _parser(
        lambda path: folder_problem(path) if os.path.lexists(path) else output_problem(path, folder=True),
        "name a folder of images, or one that can be created",
    )


def output_path() -> Parser:
    """Return the parser for a file to write, or a folder to write a file into."""
    fix = "name a file or a folder that can be written"
    return _parser(lambda path: output_problem(path, folder=_is_folder(path)), fix)


def existing_socket() -> Parser:
    """Return the parser for a socket; whether a program listens on it is found when it is used."""
    return _parser(name_problem, "name the socket of a daemon")


def _parser(check: Callable[[Path], PathProblem | None], fix: str) -> Parser:
    def parse(text: str | Path) -> Path:
        if text == "":
            raise PathError("the path is empty", fix=fix)
        path = Path(text)
        if problem := check(path):
            raise error_about(path, problem, PathError, fix=fix)
        return path

    return parse


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises for a folder that may not be entered
