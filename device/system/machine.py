"""The machine that this process runs on, as Linux describes it."""

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_BOARD = Path("/proc/device-tree/model")
_CPU = Path("/proc/cpuinfo")
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Machine:
    """Hardware and software versions of a machine."""

    name: str
    """Model of the board, or of the CPU if the board has no name."""
    cores: int
    """Number of CPU cores that this process may use."""
    architecture: str
    """CPU architecture in the kernel's notation, such as `aarch64`."""
    bits: int
    """64 or 32: word size of Python and its libraries, since a 64-bit kernel can run either."""
    memory_mb: float
    """Total memory, 10^6 bytes."""
    versions: Mapping[str, str]
    """Versions of Python and of the installed ones of the packages that were queried, by package name."""


def this_machine(packages: Iterable[str]) -> Machine:
    """Describe the machine that this process runs on.

    Args:
        packages: names of packages whose versions are reported if they are installed.
    """
    return Machine(
        name=machine_name(),
        cores=cores(),
        architecture=platform.machine(),
        bits=64 if sys.maxsize > 1 << 32 else 32,
        memory_mb=_megabytes(_MEMORY, "MemTotal"),
        versions={"python": platform.python_version(), **_versions(packages)},
    )


def machine_name(board: Path = _BOARD, cpu: Path = _CPU) -> str:
    """Model of the board, else of the CPU, else the architecture.

    Args:
        board: file that holds the model name and a NUL, on machines with a device tree.
        cpu: the kernel's list of CPUs.
    """
    try:
        if name := board.read_bytes().rstrip(b"\0").decode(errors="replace").strip():
            return name
    except OSError:
        pass  # a PC has no device tree
    try:
        lines = cpu.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    entries = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)  # reversed: the first CPU wins
    values = {key.strip(): value.strip() for key, value in entries.items()}
    return values.get("model name") or platform.machine() or "unknown"


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def peak_mb() -> float:
    """Peak resident memory of this process, 10^6 bytes."""
    return _megabytes(Path("/proc/self/status"), "VmHWM")


def available_mb(memory: Path = _MEMORY) -> float:
    """Memory that a new program can use without swapping, 10^6 bytes, read from the kernel's file `memory`."""
    return _megabytes(memory, "MemAvailable")


def _megabytes(path: Path, name: str) -> float:
    return round(int(path.read_text().partition(f"{name}:")[2].split()[0]) * 1024 / 1e6, 1)


def _versions(packages: Iterable[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue  # one TFLite runtime is enough
    return versions
