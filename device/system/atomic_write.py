"""Files that are written completely or not at all, even if the disk is full, Ctrl-C is pressed or the power fails.

`require_writable` checks that a folder can be written to, before hours are spent on what will be stored in it.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from device.errors import TrainingError


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary stream into a temporary file beside `path`, which replaces `path` when the block succeeds.

    If the block fails, the temporary file is removed.

    Raises:
        OSError: the file cannot be written; `path` is unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    stream = partial.open("wb")
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system supports it
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
        partial.unlink()


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
