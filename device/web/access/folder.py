"""The folder of the web server's own files: its password, its sessions and its tokens."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device.errors import WebError
from device.history.history_path import SERVICE_HISTORY
from device.service.systemctl import UNIT_FILE
from device.system.atomic_write import atomic_write
from device.system.display import displayable
from device.system.paths import cannot_use

SERVICE_FOLDER = SERVICE_HISTORY.parent
"""Folder of the service; systemd passes it to the service as `$STATE_DIRECTORY`."""
_MODE, _FOLDER_MODE = 0o600, 0o700
_LARGEST = 1 << 20

Signature = tuple[int, int, int] | None
"""Changes when a file is replaced; None if there is no file."""


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Folder of the files of a web server with this environment; root means the service where one is installed."""
    if folder := environment.get("STATE_DIRECTORY"):
        return Path(folder.partition(":")[0])
    if os.geteuid() == 0 and UNIT_FILE.exists():  # the page may be installed after its password was set
        return SERVICE_FOLDER
    if (folder := environment.get("XDG_STATE_HOME")) and Path(folder).is_absolute():
        return Path(folder) / "edge-mcnn"
    try:
        return Path.home() / ".local" / "state" / "edge-mcnn"
    except RuntimeError:
        raise WebError(
            "this user has no home folder for the password", fix="set the environment variable XDG_STATE_HOME"
        ) from None


def signature(path: Path) -> Signature:
    """What changes when the file is replaced.

    Raises:
        WebError: it cannot be found out.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_use(path, error, WebError) from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_table(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file; empty if there is no file.

    Raises:
        WebError: the file cannot be read, is damaged, or is not a regular file.
    """
    try:
        table = json.loads(_content(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise cannot_use(path, error, WebError) from None
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise WebError(f"{displayable(path)}: the file is damaged", fix="remove it, and create it again")
    return table


def _content(path: Path) -> bytes:
    """Read a regular file. A process of the page that was taken over can put anything in its place for root."""
    not_regular = WebError(f"{displayable(path)}: is not a regular file", fix="remove it, and create it again")
    if path.is_symlink():  # to a pipe, or to a file whose content would be written into this folder
        raise not_regular
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise not_regular
        with open(opened, "rb", closefd=False) as stream:  # a descriptor, not a path
            return stream.read(_LARGEST)
    finally:
        os.close(opened)


def write_table(path: Path, table: Mapping[str, Any]) -> None:
    """Write a JSON object into a file that only its owner may read: the owner of the folder, if root writes it.

    Raises:
        WebError: it cannot be written.
    """
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        owner = path.parent.stat()
        with atomic_write(path, mode=_MODE) as stream:
            if os.geteuid() == 0:
                os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
            stream.write(json.dumps(table, indent=1).encode())
    except OSError as error:
        raise cannot_use(path, error, WebError, fix="free some space, or change the permissions") from None


def remove(path: Path) -> bool:
    """Remove a file; return whether there was one.

    Raises:
        WebError: it cannot be removed.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise cannot_use(path, error, WebError) from None
    return True
