"""Why a path cannot be used, and the fix: the one place that words the errors of the operating system about paths.

`Path.exists` and `Path.is_file` raise an error for a path in a folder that may not be entered, or call it missing.
Use the functions here instead: they name the folder or the part of the path that causes the problem.
"""

import contextlib
import errno
import os
import pwd
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple

from device.errors import EdgeMcnnError
from device.system.display import displayable, shell_quoted


class PathProblem(NamedTuple):
    """Why a path cannot be used."""

    message: str
    """What is wrong, without the path itself, such as `permission denied: the folder /data may not be entered`."""
    fix: str
    """What the user can do about it, in the imperative."""
    is_missing: bool = False
    """Whether nothing is there, and everything above it can be entered."""


GIT_LFS = PathProblem(
    "holds a pointer of Git LFS instead of its content", "install git-lfs, and run in its folder: git lfs pull"
)
"""The problem of a file that was cloned without Git LFS, or downloaded from a repository that uses it."""
LARGEST_POINTER = 1024
"""Bytes that a pointer of Git LFS has at most, by its specification."""


def is_git_lfs_pointer(content: bytes) -> bool:
    """Return whether the content of a file, or its beginning, is a pointer of Git LFS."""
    return content.startswith(b"version https://git-lfs")


def is_git_lfs_pointer_file(path: Path) -> bool:
    """Return whether a regular file can be read and is a pointer of Git LFS; only files of up to 1 KB are opened."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size < LARGEST_POINTER:
            return False
        with path.open("rb") as stream:
            return is_git_lfs_pointer(stream.read(LARGEST_POINTER))
    except (OSError, ValueError):
        return False


def require_no_pointers(folder: Path, error: type[EdgeMcnnError]) -> None:
    """Check that no file in a folder, at any depth, is a pointer of Git LFS.

    Raises:
        EdgeMcnnError: of the type `error`: one is, the first by name.
    """
    with contextlib.suppress(OSError):  # the code that reads the files reports what cannot be read
        for path in sorted(folder.rglob("*")):
            if is_git_lfs_pointer_file(path):
                raise error_about(path, GIT_LFS, error)


def file_problem(path: Path, *, pipes: bool = True) -> PathProblem | None:
    """Why the content of a file cannot be read: missing, a folder, not readable, in a closed folder; None if it can.

    A pointer of Git LFS is a problem, too: the content is elsewhere.

    A pipe is not opened here, which would take its content from the caller; `open_file` never waits for one.

    Args:
        path: the file.
        pipes: whether a pipe or a device will do, because the file is read once, from its beginning to its end.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return explain(_os_error(errno.EISDIR), path)
        if not pipes and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            kind = "pipe" if stat.S_ISFIFO(mode) else "device"
            return PathProblem(f"is a {kind}, not a regular file", "save the content to a file, and name that")
        if stat.S_ISSOCK(mode):
            return explain(_os_error(errno.ENXIO), path)
        if not os.access(path, os.R_OK, effective_ids=True):
            return explain(_os_error(errno.EACCES), path)
    except (OSError, ValueError) as error:
        return explain(error, path)
    return GIT_LFS if is_git_lfs_pointer_file(path) else None


def folder_problem(path: Path) -> PathProblem | None:
    """Why the files of a folder cannot be listed and opened: missing, a file, not readable; None if they can."""
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            return explain(_os_error(errno.ENOTDIR), path)
        if not os.access(path, os.R_OK | os.X_OK, effective_ids=True):
            return explain(_os_error(errno.EACCES), path)
    except (OSError, ValueError) as error:
        return explain(error, path)
    return None


def output_problem(path: Path, *, folder: bool = False) -> PathProblem | None:
    """Why a file or folder cannot be written at a path; None if it can, as far as this is known before the disk fills.

    Missing folders are no problem if they can be created. Nothing is created here.

    Args:
        path: file to create or replace, or folder to create or write into.
        folder: whether it is a folder.
    """
    try:
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode) != folder:
            return explain(_os_error(errno.ENOTDIR if folder else errno.EISDIR), path)
        if mode is not None and not folder and not stat.S_ISREG(mode):
            return PathProblem("is not a regular file", "choose the name of a file")
        parent = path if folder and mode is not None else path.absolute().parent
        while _mode(parent) is None:
            parent = parent.parent
        if not os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
            return _may_not("write to", parent)
        # The checkpoint or the journal beside it, and its temporary file, have longer names.
        _mode(path.with_name(f".{path.name}{_LONGEST_SUFFIX}.{os.getpid()}.part"))
    except (OSError, ValueError) as error:
        return explain(error, path)
    return None


def name_problem(path: Path) -> PathProblem | None:
    """Why nothing can ever be found at a path, whatever it should be: a closed folder, an impossible name."""
    try:
        _mode(path)
    except (OSError, ValueError) as error:
        return explain(error, path)
    return None


def expanded(path: str) -> Path:
    """Return a path from a settings file with `~` and `~user` replaced; the name of an unknown user is not changed."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser raises for an unknown user


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading without ever waiting: a pipe that no program writes to is at its end at once.

    Raises:
        OSError: it cannot be opened, or is a folder.
        ValueError: the name contains a NUL.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _os_error(errno.EISDIR)
    os.set_blocking(descriptor, True)  # what a program is still writing into a pipe is awaited
    return os.fdopen(descriptor, "rb")


def require_file(path: Path, error: type[EdgeMcnnError], *, fix: str = "") -> None:
    """Check that a file can be read.

    Args:
        path: the file.
        error: type of the error to raise.
        fix: what the user can do if the path names something else, in the imperative.

    Raises:
        EdgeMcnnError: of the type `error`: it cannot be read.
    """
    _require(path, file_problem(path), error, fix)


def require_folder(path: Path, error: type[EdgeMcnnError], *, fix: str = "") -> None:
    """Check that a folder can be listed and entered; arguments and errors as for `require_file`."""
    _require(path, folder_problem(path), error, fix)


def cannot_use(
    path: Path, problem: OSError | ValueError, error: type[EdgeMcnnError], *, fix: str = ""
) -> EdgeMcnnError:
    """Return the error about a path that an operation of Python has refused.

    Args:
        path: what the user named.
        problem: raised by the operation.
        error: type of the error to return.
        fix: what the user can do if the path names nothing or something else, in the imperative.
    """
    found = explain(problem, path)
    return error_about(path, found, error, fix=fix)


def error_about(path: Path, problem: PathProblem, error: type[EdgeMcnnError], *, fix: str = "") -> EdgeMcnnError:
    """Return the error about a problem of a path; arguments as for `cannot_use`."""
    wrong_place = problem.message.startswith(("no such", "is a ", "is not "))
    shown = displayable(path)
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[: _LONGEST_SHOWN // 2]}...{shown[-_LONGEST_SHOWN // 2 :]}"
    return error(f"{shown}: {problem.message}", fix=(fix if wrong_place else "") or problem.fix or fix)


def explain(error: OSError | ValueError, path: Path) -> PathProblem:
    """Word an error of the operating system about a path.

    Args:
        error: raised by an operation on the path; Python raises `ValueError` for a NUL, and `UnicodeError` for a name
            that the locale cannot represent.
        path: the path, which decides the details: which folder may not be entered, or does not exist.
    """
    if not isinstance(error, OSError):
        null = "\0" in str(path)
        return PathProblem("the name contains a NUL character" if null else f"the name cannot be used ({error})", _NAME)
    match error.errno:
        case errno.ENOENT:
            return _missing(path)
        case errno.EACCES | errno.EPERM:
            return _denied(path)
        case errno.ENAMETOOLONG:
            return PathProblem(_too_long(path), "choose a shorter name")
        case errno.ELOOP:
            return PathProblem("is a symbolic link that leads back to itself", "remove the link, or name its target")
        case errno.ENOTDIR:
            return _not_a_folder(path)
        case errno.EISDIR:
            return PathProblem("is a folder, not a file", "name a file")
        case errno.ENXIO:
            return PathProblem("is a socket or a device without content, not a file", "name a file")
        case errno.ENOSPC | errno.EDQUOT:
            return PathProblem("the disk is full", "free some space, or choose another place")
        case errno.EROFS:
            return PathProblem("the file system is read-only", "choose another place")
    return PathProblem(_lower(error.strerror or str(error)), "")


_NAME = "choose another name"
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes that Linux allows in a name and in a path; some file systems allow less."""
_LONGEST_SUFFIX = ".transcripts.jsonl"
"""The longest that is added to the name of an output, for a file beside it."""
_LONGEST_SHOWN = 300
"""Characters of a path that a message shows."""


def _require(path: Path, problem: PathProblem | None, error: type[EdgeMcnnError], fix: str) -> None:
    if problem is not None:
        raise error_about(path, problem, error, fix=fix)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _mode(path: Path) -> int | None:
    """Kind and permissions of what is at a path; None if nothing is there."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise
        return None


def _too_long(path: Path) -> str:
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > _LONGEST_NAME:
        return f"the name is too long ({longest} bytes; most systems allow {_LONGEST_NAME})"
    if len(os.fsencode(path.absolute())) < _LONGEST_PATH:
        return f"the name is too long ({longest} bytes), because longer names are needed for files beside it"
    return f"the path is too long ({len(os.fsencode(path))} bytes; most systems allow {_LONGEST_PATH})"


def _missing(path: Path) -> PathProblem:
    for part in (*reversed(path.absolute().parents), path.absolute()):
        if os.path.lexists(part) and not os.path.exists(part):  # noqa: PTH110  # Path.exists may raise
            target = displayable(os.readlink(part))  # noqa: PTH115  # a text, which need not be a usable path
            link = "" if part == path.absolute() else f"{displayable(part)} "
            return PathProblem(f"{link}is a symbolic link to {target}, which does not exist", "name an existing file")
        if not os.path.lexists(part) and part != path.absolute():
            reason = f"there is no folder {displayable(part)}"
            return PathProblem(f"no such file or folder: {reason}", "correct the path", is_missing=True)
    return PathProblem("no such file or folder", "correct the path", is_missing=True)


def _denied(path: Path) -> PathProblem:
    for folder in reversed(path.absolute().parents):
        if not os.path.lexists(folder):  # it was to be created
            return _may_not("write to", folder.parent)
        if not os.access(folder, os.X_OK, effective_ids=True):
            return _may_not("enter", folder)
    if os.path.isdir(path):  # noqa: PTH112  # Path.is_dir may raise
        readable = os.access(path, os.R_OK | os.X_OK, effective_ids=True)
        return _may_not("write to" if readable else "enter", path)
    if os.path.exists(path) and not os.access(path, os.R_OK, effective_ids=True):  # noqa: PTH110  # may raise
        return PathProblem(
            f"permission denied: {_user()} may not read the file",
            f"to let every user of this machine read it, run: sudo chmod a+r {shell_quoted(path)}",
        )
    parent = path.absolute().parent
    if not os.access(parent, os.W_OK, effective_ids=True):
        return _may_not("write to", parent)
    return PathProblem("permission denied", f"let {_user()} use it")


def _may_not(verb: str, folder: Path) -> PathProblem:
    return PathProblem(
        f"permission denied: {_user()} may not {verb} the folder {displayable(folder)}",
        "choose another folder, or change its permissions",
    )


def _not_a_folder(path: Path) -> PathProblem:
    for part in reversed(path.absolute().parents):
        if os.path.exists(part) and not os.path.isdir(part):  # noqa: PTH110, PTH112  # those of Path may raise
            return PathProblem(
                f"no such file or folder: {displayable(part)} is a file, not a folder", "correct the path"
            )
    return PathProblem("is a file, not a folder", "name a folder")


def _user() -> str:
    try:
        return f"the user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return "this user"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
