"""The SQLite file of the history: how it is created and opened, and what its errors mean."""

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from device.errors import DamagedHistoryError, HistoryError, UnwritableHistoryError
from device.history.schema import migrate
from device.system.display import displayable, shell_quoted
from device.system.paths import cannot_use, error_about, explain, file_problem

BUSY_S = 15
"""Seconds to wait for another process that writes."""
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_DAMAGED = ".damaged-"
_BEGINNING = b"SQLite format 3\0"
_JOURNALS = ("-wal", "-shm")
"""Added to the name of the file by SQLite for the two files beside it."""
_NAME_A_HISTORY = "name a history that edge-mcnn wrote"


def open_history(path: Path, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """Open a history in autocommit mode, and create it if it is missing, for its owner alone.

    Args:
        path: the file.
        busy_s: seconds that each operation waits for another process that writes.

    Raises:
        HistoryError: it cannot be opened or created, or is no history, or one of a newer version.
        DamagedHistoryError: it is damaged.
    """
    _create(path)
    with translated_errors(path, busy_s):
        # `rw`: if the file vanishes meanwhile, it is not created with other permissions.
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=busy_s, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            # The file may have been written by a user with other permissions: nothing in it is executed.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            # A prediction that was confirmed survives a power failure, too, for one `fsync` each (docs/history.md).
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {4 << 20}")
            migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _create(path: Path) -> None:
    """Create an empty file that only this user may read, in a folder of the same kind; check one that exists."""
    try:
        with contextlib.suppress(FileExistsError):  # a file is in its place: opening names it
            path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        # Never through a link: root would change the permissions of the file that another user chose.
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, _PRIVATE_FILE)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP and os.path.islink(path):  # noqa: PTH114  # may raise
            raise HistoryError(
                f"{displayable(path)}: is a symbolic link",
                fix="name the file itself; to store the history elsewhere, link or mount the folder, or set "
                "XDG_STATE_HOME",
            ) from None
        raise cannot_use(path, error, HistoryError, fix=_NAME_A_HISTORY) from None
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise HistoryError(f"{displayable(path)}: is not a regular file", fix=_NAME_A_HISTORY)
        beginning = os.pread(opened, len(_BEGINNING), 0)
        if not _BEGINNING.startswith(beginning):  # SQLite would remove the journal beside it, with good predictions
            raise damaged(path, "it does not begin as a SQLite file")
        if stat.S_IMODE(found.st_mode) != _PRIVATE_FILE and found.st_uid == os.geteuid():
            os.fchmod(opened, _PRIVATE_FILE)  # SQLite gives the files beside it the same
    finally:
        os.close(opened)


@contextlib.contextmanager
def translated_errors(path: Path, busy_s: float) -> Iterator[None]:
    """Raise errors of SQLite about a file as a `HistoryError`; `busy_s` as for `open_history`.

    Errors in how this program uses SQLite are no errors of the file, and stay as they are.
    """
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.NotSupportedError):
        raise
    except sqlite3.Error as error:
        raise _translated(error, path, busy_s) from None
    except UnicodeDecodeError:  # a message of SQLite that quotes what is in the file
        raise damaged(path, "text that is not UTF-8") from None


def _translated(error: sqlite3.Error, path: Path, busy_s: float) -> HistoryError:
    name = displayable(path)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # without one: a text that is not UTF-8
    match code:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CONSTRAINT:
            return damaged(path, displayable(error))
        case sqlite3.SQLITE_FULL:
            return UnwritableHistoryError(f"{name}: cannot be written: the disk is full", fix="free some space")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return UnwritableHistoryError(
                f"{name}: another program has used it for more than {busy_s:g} s", fix="end that program, or try again"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            if problem := file_problem(path, pipes=False):
                return error_about(path, problem, HistoryError)  # type: ignore[return-value]  # of the type that it is given
            return HistoryError(
                f"{name}: it, or a file beside it, cannot be written ({displayable(error)})",
                fix="check the permissions of the folder and of its files, and whether the disk is read-only",
            )
        case sqlite3.SQLITE_NOMEM:
            return HistoryError(f"{name}: not enough memory", fix="end other programs")
    return HistoryError(
        f"{name}: cannot be read or written ({displayable(error)})",
        fix="check the disk: it may be full or failing; dmesg prints its errors",
    )


def damaged(path: Path, reason: str) -> DamagedHistoryError:
    """Return the error about a damaged file."""
    return DamagedHistoryError(
        f"{displayable(path)}: is damaged ({reason})",
        fix=f"if it is the history, move it away: mv {shell_quoted(path)} {shell_quoted(f'{path}{_DAMAGED}copy')}; "
        "then a new one is begun",
    )


def damaged_files(path: Path) -> list[Path]:
    """Return the files of damaged histories that were moved aside, and the files beside them."""
    try:
        return sorted(each for each in path.parent.iterdir() if each.name.startswith(f"{path.name}{_DAMAGED}"))
    except OSError:
        return []


def remove_damaged(path: Path) -> int:
    """Remove damaged histories that were moved aside; return the number of files.

    Raises:
        HistoryError: one cannot be removed.
    """
    files = damaged_files(path)
    for each in files:
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            raise HistoryError(
                f"{displayable(each)}: cannot be removed: {explain(error, each).message}", fix="remove it yourself"
            ) from None
    return len(files)


def file_bytes(path: Path) -> int:
    """Return the size of a history and of its journal, bytes."""
    total = 0
    for each in (path, path.with_name(f"{path.name}{_JOURNALS[0]}")):
        with contextlib.suppress(OSError):
            total += each.stat().st_size
    return total
