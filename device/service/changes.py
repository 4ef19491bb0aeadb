"""Changes to this machine: planned first, each with a description, and applied later.

So a dry run can print them, and nothing is changed before everything that can be checked has been checked.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from device.errors import ServiceError
from device.service.file_modes import describe_wrong_mode, set_mode, write_file

Announce = Callable[[str], None]


@dataclass(frozen=True)
class ServiceChange:
    """A change to this machine that installing or removing the service needs."""

    description: str
    """The change in words, such as `unit: write /etc/systemd/system/edge-mcnn.service`."""
    apply: Callable[[], None] | None = None
    """Makes the change; None if the machine is already in that state."""


def apply_changes(changes: Sequence[ServiceChange], announce: Announce) -> None:
    """Apply the planned changes in their order.

    Args:
        changes: the plan.
        announce: called with the description of each change before it is applied.

    Raises:
        ServiceError: a change failed. Those before it are applied; the next installation continues from there.
        SpeechModelError: the speech model cannot be fetched or stored; the changes before it are applied.
    """
    if os.geteuid() != 0:
        raise ServiceError("only root may change services", fix="run it with sudo")
    for change in changes:
        announce(change.description)
        if change.apply is not None:
            try:
                change.apply()
            except OSError as error:
                raise ServiceError(f"{change.description}: {error.strerror or error}") from None


def file_change(path: Path, content: bytes, subject: str) -> ServiceChange:
    """Plan to write a file, unless it is as it should be."""
    if path.is_file() and path.read_bytes() == content:
        if describe_wrong_mode(path):
            return mode_change(path, subject)
        return ServiceChange(f"{subject}: {path} is up to date")
    return ServiceChange(f"{subject}: write {path}", lambda: write_file(path, content))


def mode_change(path: Path, subject: str) -> ServiceChange:
    """Plan to repair the owner and the mode of a file or folder."""
    description = f"{subject}: repair owner and mode of {path}: {describe_wrong_mode(path)}"
    return ServiceChange(description, lambda: set_mode(path))


def removal(folder: Path) -> ServiceChange:
    """Plan to remove a folder with everything in it."""
    return ServiceChange(f"remove {folder}", lambda: shutil.rmtree(folder))
