"""Which machine this is, from what Linux tells of it."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from device.benchmark.results import Machine

_BOARD = Path("/proc/device-tree/model")
_CPU = Path("/proc/cpuinfo")
_MEMORY = Path("/proc/meminfo")
_PACKAGES = ("edge-mcnn", "ai-edge-litert", "tflite-runtime", "vosk", "numpy")


def this_machine() -> Machine:
    """Look at it."""
    return Machine(
        name=machine_name(),
        cores=cores(),
        architecture=platform.machine(),
        bits=64 if sys.maxsize > 1 << 32 else 32,
        memory_mb=_megabytes(_MEMORY, "MemTotal"),
        versions={"python": platform.python_version(), **_versions()},
    )


def machine_name(board: Path = _BOARD, cpu: Path = _CPU) -> str:
    """Model of the board, else of the CPU, else the architecture.

    Args:
        board: holds the model, NUL behind it, where there is a device tree.
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
    found = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    named = {key.strip(): value.strip() for key, value in found.items()}
    return named.get("model name") or platform.machine() or "unknown"


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def peak_mb() -> float:
    """The most memory that this process ever held, 10^6 bytes."""
    return _megabytes(Path("/proc/self/status"), "VmHWM")


def available_mb(memory: Path = _MEMORY) -> float:
    """Memory that a new program could have without swapping, 10^6 bytes, as the kernel's `memory` tells it."""
    return _megabytes(memory, "MemAvailable")


def _megabytes(path: Path, name: str) -> float:
    return round(int(path.read_text().partition(f"{name}:")[2].split()[0]) * 1024 / 1e6, 1)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # only one of the interpreters must be there
    return found
