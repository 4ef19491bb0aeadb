"""Owner and modes of the files that the service needs, whatever umask the user who installs it has.

The service runs as a user of its own, which is neither root nor in root's groups: it can read what every user can.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from device.system.atomic_write import atomic_write
from device.system.permissions import access_text

FOLDER_MODE = 0o755
FILE_MODE = 0o644
_OWNER = (0, 0)
"""User and group of the files that the installation creates."""
_SKIPPED = "__pycache__"
"""Python compiles what it cannot read there."""


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, which every user may enter.

    Raises:
        OSError: it cannot be created.
    """
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir()
        missing.chmod(FOLDER_MODE)


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically, readable by every user, and create its folder if that is missing.

    Raises:
        OSError: it cannot be written; a previous one is unchanged.
    """
    make_folder(path.parent)
    with atomic_write(path) as stream:
        stream.write(content)
        os.fchmod(stream.fileno(), FILE_MODE)


def describe_wrong_mode(path: Path) -> str:
    """Describe the owner and mode of a file or folder if they are not those that an installation sets.

    Returns:
        Such as `root:root 0600 instead of root:root 0644`; empty if they are right, or the path is missing or in a
        folder that this user may not enter.
    """
    try:
        status = path.stat()
    except OSError:
        return ""
    mode = FOLDER_MODE if stat.S_ISDIR(status.st_mode) else FILE_MODE
    owned = path.is_symlink() or (status.st_uid, status.st_gid) == _OWNER
    if owned and stat.S_IMODE(status.st_mode) == mode:
        return ""
    return f"{access_text(path)} instead of root:root {mode:04o}"


def set_mode(path: Path) -> None:
    """Give a file or folder the owner and mode that an installation sets.

    Raises:
        OSError: they cannot be changed.
    """
    if not path.is_symlink():  # the target of a link belongs to the user
        os.chown(path, *_OWNER)
    path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)


def tree(folder: Path) -> Iterator[Path]:
    """Yield a folder and everything in it that a reader needs, parents first; links are not followed."""
    yield folder
    for parent, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if each != _SKIPPED]
        yield from (path for name in (*folders, *files) if not (path := Path(parent, name)).is_symlink())


def unreadable(path: Path, *, deep: bool = True) -> Path | None:
    """Return the first file or folder that the service cannot read; None if it can read all.

    Args:
        path: a file or folder.
        deep: whether to look at everything in the folder, too.

    Raises:
        OSError: `path` does not exist, or this user may not enter the folder that it is in.
    """
    if not readable_by_all(path):
        return path
    if not deep or not path.is_dir():
        return None
    return next((each for each in tree(path) if each.exists() and not readable_by_all(each)), None)


def readable_by_all(path: Path) -> bool:
    """Whether every user may read a file, or list and enter a folder.

    Raises:
        OSError: it does not exist, or this user may not enter the folder that it is in.
    """
    mode = path.stat().st_mode
    required = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & required == required
