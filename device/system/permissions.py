"""Whether this user may use the devices of the machine, and how to get the permission."""

import contextlib
import grp
import os
import pwd
import stat
from pathlib import Path

AUDIO_GROUP = "audio"
"""Group whose members may use the microphone, and with it a daemon's sockets."""
_READ_WRITE = stat.S_IROTH | stat.S_IWOTH


def has_group(name: str) -> bool:
    """Whether this machine has a group of that name."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def may_open(path: Path) -> bool:
    """Whether this process may both read and write a device."""
    return os.access(path, os.R_OK | os.W_OK)


def share_with_group(path: Path, name: str) -> None:
    """Let a group read and write a new file or socket, if this process may permit it; else its own user alone.

    Raises:
        OSError: the permissions cannot be set.
    """
    mode = 0o600
    with contextlib.suppress(KeyError, OSError):  # there is no such group, or it cannot be chosen
        group = grp.getgrnam(name).gr_gid
        if group in (*os.getgroups(), os.getegid()):
            os.chown(path, -1, group)
            mode = 0o660
    path.chmod(mode)


def open_to_everyone(path: Path) -> bool:
    """Whether every user may read and write a device.

    Raises:
        OSError: there is no such device.
    """
    return path.stat().st_mode & _READ_WRITE == _READ_WRITE


def device_group(path: Path) -> str | None:
    """Name of the group whose members may read and write a device; None if only root may.

    Raises:
        OSError: there is no such device.
    """
    status = path.stat()
    if status.st_gid == 0 or status.st_mode & _READ_WRITE << 3 != _READ_WRITE << 3:
        return None
    try:
        return grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        return None


def access_text(path: Path) -> str:
    """Owner, group and mode of a file, such as `root:audio 0660`.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return f"{owner}:{group} {stat.S_IMODE(status.st_mode):04o}"


def user_name() -> str:
    """Name of this user; `$USER` if it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "$USER"


def how_to_join(group: str) -> str:
    """The fix for a user who lacks the permissions of a group: the command that grants them, or a new login."""
    user = user_name()
    if not has_group(group):
        return f"there is no group {group}; run: sudo groupadd {group}"
    if user in grp.getgrnam(group).gr_mem:
        return f"{user} joined the group {group} after this session began: log out and in again"
    return f"run: sudo usermod -aG {group} {user}, then log out and in again"
