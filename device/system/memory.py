"""How much more memory this process may use: limits of the process, of its control groups, and of the machine.

Files of the kernel are read below `root`, which is / except in tests.
"""

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["address space", "data", "memory"]
"""What is limited: all addresses of the process, its private writable ones, or what is resident in memory."""

_ROOT = Path("/")
_UNLIMITED = 1 << 60
"""Bytes from which on a limit is none; version 1 of control groups has the largest number of pages instead of one."""


@dataclass(frozen=True)
class Room:
    """What one limit leaves for this process."""

    kind: Kind
    """What is limited."""
    limit: str
    """Name of the limit, for messages, such as `ulimit -v`."""
    free_mb: float
    """How much more this process may use, 10^6 bytes."""
    fix: str
    """How to raise the limit, or how to make room below it."""


def room(root: Path = _ROOT) -> Iterator[Room]:
    """Yield what each limit leaves for this process, then what the machine has; what cannot be read is left out."""
    yield from limits(root)
    machine = _table(root / "proc/meminfo")
    if "MemAvailable" in machine:
        free = machine["MemAvailable"] + machine.get("SwapFree", 0)
        yield Room("memory", "the memory of this machine", free / 1e6, "stop other programs, or add swap space")


def limits(root: Path = _ROOT) -> Iterator[Room]:
    """Yield what each limit on this process and on its control groups leaves for it, where there is a limit."""
    status = _table(root / "proc/self/status")
    yield from _process_limit("address space", "ulimit -v", "LimitAS", resource.RLIMIT_AS, status.get("VmSize"))
    yield from _process_limit("data", "ulimit -d", "LimitDATA", resource.RLIMIT_DATA, status.get("VmData"))
    swap = _table(root / "proc/meminfo").get("SwapFree", 0)
    for group in _groups(root):
        free = _group_free(group, swap)
        if free is not None:
            fix = f"raise the limit of {group}: MemoryMax= in a service, --memory for a container"
            yield Room("memory", "the limit of a control group", free / 1e6, fix)


def _process_limit(kind: Kind, name: str, in_service: str, number: int, used: int | None) -> Iterator[Room]:
    limit, _ = resource.getrlimit(number)
    if used is not None and limit != resource.RLIM_INFINITY and limit < _UNLIMITED:
        fix = f"run: {name} unlimited; in a service: {in_service}=infinity"
        yield Room(kind, name, max(0, limit - used) / 1e6, fix)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups that this process is in, up to the topmost, for versions 1 and 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            hierarchy = mounted
        elif "memory" in controllers.split(","):
            hierarchy = mounted / "memory"
        else:
            continue
        # In a container the path may be that outside of it, and its own group is mounted as the topmost one.
        own = hierarchy / path.lstrip("/")
        yield from (each for each in (own, *own.parents) if each.is_relative_to(hierarchy))


def _group_free(group: Path, swap: int) -> int | None:
    """Bytes that a control group leaves, with memory that the kernel can reclaim; None if it has no limit."""
    # Not `exists`, which raises an error where a sandbox hides the group.
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is None:
        limit, used = _number(group / "memory.limit_in_bytes"), _number(group / "memory.usage_in_bytes")
    if limit is None or used is None or limit >= _UNLIMITED:
        return None
    cached = _table(group / "memory.stat")
    files = sum(cached.get(prefix + name, 0) for prefix in ("", "total_") for name in ("inactive_file", "active_file"))
    if "total_inactive_file" in cached:  # version 1 counts the group itself, and then the group with those below it
        files = cached["total_inactive_file"] + cached.get("total_active_file", 0)
    swap_limit = _number(group / "memory.swap.max")
    allowed_swap = swap if swap_limit is None else min(swap, swap_limit - (_number(group / "memory.swap.current") or 0))
    return max(0, limit - used + min(files, used) + max(0, allowed_swap))


def _number(path: Path) -> int | None:
    """Read an integer from a file of the kernel; None if there is none, or if it is `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _table(path: Path) -> dict[str, int]:
    """Read a file of names and numbers, in bytes or with the unit kB; empty if there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    rows = [line.replace(":", " ").split() for line in lines]
    return {
        row[0]: int(row[1]) * (1024 if row[2:] == ["kB"] else 1) for row in rows if len(row) > 1 and row[1].isdigit()
    }
