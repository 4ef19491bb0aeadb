"""Whether this user may use the devices of the machine, and how to get the permission."""

import grp
import os
import pwd
from pathlib import Path


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


def how_to_join(group: str) -> str:
    """The fix for a user who lacks the permissions of a group: the command that grants them, or a new login."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = "$USER"
    if not has_group(group):
        return f"there is no group {group}; run: sudo groupadd {group}"
    if user in grp.getgrnam(group).gr_mem:
        return f"{user} joined the group {group} after this session began: log out and in again"
    return f"run: sudo usermod -aG {group} {user}, then log out and in again"
