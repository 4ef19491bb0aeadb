"""Files that are written whole or not at all, whatever happens meanwhile: a full disk, Ctrl-C, a power cut."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from device.errors import TrainingError


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A stream into a file beside `path`, which takes its place when the block ends well, and is gone if it does not.

    Raises:
        OSError: it cannot be written; `path` is as it was.
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
        with contextlib.suppress(OSError):  # not every file system can
            os.fsync(folder)  # the name, too, outlives a power cut
    finally:
        os.close(folder)


def remove_partial_files(folder: Path, names: str) -> None:
    """Remove what processes that were killed left of files in a folder; nobody else may be writing them.

    Args:
        folder: where.
        names: a pattern of the files' names, such as `*.csv`.
    """
    for torn in folder.glob(f".{names}.*.part"):
        torn.unlink()


def require_writable(folder: Path, output: Path) -> None:
    """Make `folder` if it is missing, and write to it once.

    Args:
        folder: where something will be written.
        output: what the user named, for the message.

    Raises:
        TrainingError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TrainingError(
            f"{output}: nothing can be written there ({error.strerror}); choose another place with --output"
        ) from None
