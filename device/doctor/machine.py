"""The board, its system and Python, its memory and disk, and how hot and how well fed it is.

What Linux tells is read below `root`, which is / on a machine that is looked at.
"""

import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from device.benchmark.verdict import LEAST_AVAILABLE_MB
from device.doctor.findings import Finding, Verdict
from device.system.machine import available_mb, machine_name

_ROOT = Path("/")
_NEWEST_PYTHON = (3, 13)
_DAEMON_MB = 310
"""What listening takes at most with the settings' defaults, see `transcriber.utterances_per_recogniser`."""
_LEAST_DAEMON_MB = 255
_LEAST_DISK_MB = 100
_HOT_CELSIUS = 80
"""From here on a Raspberry Pi takes back its clock."""


def board(root: Path = _ROOT) -> Iterator[Finding]:
    """Model, architecture, operating system."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    name = machine_name(root / "proc/device-tree/model", root / "proc/cpuinfo")
    yield Finding("machine", Verdict.GOOD, f"{name}, {platform.machine()}, {system}")


def python(version: tuple[int, int] = sys.version_info[:2], largest: int = sys.maxsize) -> Iterator[Finding]:
    """Whether there are wheels for this Python."""
    told = f"{platform.python_version()} in {sys.prefix}"
    if largest <= 1 << 32:  # the system's, not the kernel's, which may have 64 under 32
        told = f"{told} has 32 bits; numpy and the interpreters have no wheels for that"
        yield Finding("Python", Verdict.BAD, told, "install the 64-bit Raspberry Pi OS")
    elif version > _NEWEST_PYTHON:
        newest = ".".join(map(str, _NEWEST_PYTHON))
        yield Finding("Python", Verdict.WARNING, f"{told}: not tried with edge-mcnn", f"best take {newest} or older")
    else:
        yield Finding("Python", Verdict.GOOD, told)


def memory(*, listening: bool, root: Path = _ROOT) -> Iterator[Finding]:
    """Whether the daemon has room; `listening` if it runs already and holds what it needs."""
    free = available_mb(root / "proc/meminfo")
    told = f"{free:.0f} MB available"
    mend = "end other programs; utterances_per_recogniser = 1 under [transcriber] takes 55 MB less"
    if listening:
        verdict = Verdict.GOOD if free >= LEAST_AVAILABLE_MB else Verdict.WARNING
        told = f"{told} beside the daemon that runs"
    else:
        verdict = Verdict.BAD if free < _LEAST_DAEMON_MB else Verdict.WARNING if free < _DAEMON_MB else Verdict.GOOD
        told = f"{told}; listening takes up to {_DAEMON_MB}"
    yield Finding("memory", verdict, told, "" if verdict == Verdict.GOOD else mend)


def disk(folder: Path, needed_mb: float) -> Iterator[Finding]:
    """Whether the file system of a folder, there or not, has room for what is to be put there, 10^6 bytes."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free / 1e6
    told = f"{f'{free:.0f} MB' if free < 1000 else f'{free / 1000:.1f} GB'} free for {folder}"
    if free < needed_mb:
        yield Finding("disk", Verdict.BAD, f"{told}; fetching the speech model takes {needed_mb:.0f} MB", "make room")
    elif free < _LEAST_DISK_MB:
        yield Finding("disk", Verdict.WARNING, told, "make room, or updates and logs will fail")
    else:
        yield Finding("disk", Verdict.GOOD, told)


def heat(root: Path = _ROOT) -> Iterator[Finding]:
    """How hot it is, where it says so."""
    zones = [_number(path) for path in (root / "sys/class/thermal").glob("thermal_zone*/temp")]
    celsius = [zone / 1000 for zone in zones if zone is not None]
    if not celsius:
        return
    if (hottest := max(celsius)) >= _HOT_CELSIUS:
        mend = "give it air or a heat sink; a Raspberry Pi gets slower from here on"
        yield Finding("temperature", Verdict.WARNING, f"{hottest:.0f} °C", mend)
    else:
        yield Finding("temperature", Verdict.GOOD, f"{hottest:.0f} °C")


def power(root: Path = _ROOT) -> Iterator[Finding]:
    """Whether a Raspberry Pi had too little voltage, where it says so."""
    for name in (root / "sys/class/hwmon").glob("hwmon*/name"):
        if name.read_text().strip() != "rpi_volt":
            continue
        if _number(name.with_name("in0_lcrit_alarm")):
            told = "the voltage was too low"
            yield Finding("power", Verdict.WARNING, told, "take a power supply made for this board, and a short cable")
        else:
            yield Finding("power", Verdict.GOOD, "the voltage is right")


def _number(path: Path) -> int | None:
    """None where the kernel does not tell, as of a sensor that sleeps."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
