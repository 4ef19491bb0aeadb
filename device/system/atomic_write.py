"""Files that are written completely or not at all, even if the disk is full, Ctrl-C is pressed or the power fails.

`require_writable` checks that a folder can be written to, before hours are spent on what will be stored in it.
"""

import contextlib
import errno
import fnmatch
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from device.errors import TrainingError


@contextlib.contextmanager
def atomic_write(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Open a binary stream into a temporary file beside `path`, which replaces `path` when the block succeeds.

    If the block fails, the temporary file is removed. Libraries that write to a file by themselves report a full disk a
    second time when their objects are deleted, so let them write into an `io.BytesIO`, and write its content.

    Args:
        path: the file.
        mode: its permissions, which it has from the beginning, whatever the umask; None for those of a new file.

    Raises:
        OSError: the file cannot be written, or `path` is a folder, a pipe or a device; `path` is unchanged.
    """
    _require_replaceable(path)
    partial = _partial(path)
    stream = _open_partial(partial, mode)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file completely or not at all, with the errors of `atomic_write`."""
    with atomic_write(path) as stream:
        stream.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 completely or not at all, with the errors of `atomic_write`."""
    write_bytes(path, text.encode())


def write_together(files: Mapping[Path, bytes | memoryview]) -> None:
    """Write several files that belong together: if one cannot be written, all of them are unchanged.

    While they are replaced, one after another, the last is missing, so that it is never beside files of another time.

    Raises:
        OSError: a file cannot be written, or is a folder, a pipe or a device; the attribute `filename` is its path.
    """
    partials: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            try:
                _require_replaceable(path)
                partials[path] = _partial(path)
                with _open_partial(partials[path]) as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
        if files:
            list(files)[-1].unlink(missing_ok=True)
        for path, partial in partials.items():
            partial.replace(path)
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)
    for folder in {path.parent for path in files}:
        _sync_folder(folder)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _open_partial(partial: Path, mode: int | None = None) -> IO[bytes]:
    """Create a temporary file. Never an existing one: where others may write, that could be a link to another file."""
    partial.unlink(missing_ok=True)  # of a killed process that had the same number
    if mode is None:
        return partial.open("xb")
    stream = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb")
    os.fchmod(stream.fileno(), mode)  # the umask may have removed more
    return stream


def _require_replaceable(path: Path) -> None:
    """Refuse to replace what is no regular file: as root, `/dev/null` would become one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def _sync_folder(path: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system supports it, and the folder may not be readable
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)  # so that the new name, too, survives a power failure
        finally:
            os.close(folder)


def remove_partial_files(folder: Path, names: str) -> None:
    """Remove the temporary files that killed processes left in a folder; no other process may be writing there.

    Args:
        folder: folder of the files.
        names: pattern of the names of the final files, such as `*.csv`.
    """
    for partial in folder.glob(f".{names}.*.part"):
        name, process, _ = partial.name[1:].rsplit(".", 2)
        # Only of these files: `.a.b.99.part` is one of `a.b`, not of `a`.
        if process.isdecimal() and fnmatch.fnmatchcase(name, names):
            partial.unlink(missing_ok=True)


def require_writable(folder: Path, output: Path) -> None:
    """Create `folder` if it is missing, and check that a file can be written into it.

    Args:
        folder: folder that will be written to.
        output: path that the user supplied, for the message.

    Raises:
        TrainingError: the folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TrainingError(
            f"{output}: nothing can be written there ({error.strerror})", fix="choose another path with --output"
        ) from None
