"""Checks of the board: its system and Python, memory and disk, temperature and power supply.

Files of the kernel are read below `root`, which is / except in tests.
"""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from device.benchmark.verdict import MIN_AVAILABLE_MB
from device.doctor.findings import Finding, Verdict
from device.errors import SpeechModelError
from device.recognition.vosk_loading import require_memory
from device.settings.schema import TranscriberSettings
from device.system.machine import available_mb, machine_name
from device.system.memory import limits
from device.system.throttling import read_temperature, read_throttling

_ROOT = Path("/")
_NEWEST_PYTHON = (3, 13)
_DAEMON_MB = 270
"""The most memory that listening needs with default settings, MB; see `transcriber.utterances_per_recogniser`."""
_MIN_DAEMON_MB = 225
_MIN_DISK_MB = 100
_HOT_CELSIUS = 80
"""The temperature from which a Raspberry Pi lowers its clock frequency."""


def check_board(root: Path = _ROOT) -> Iterator[Finding]:
    """Report the model of the board, its architecture and its operating system."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    name = machine_name(root / "proc/device-tree/model", root / "proc/cpuinfo")
    yield Finding("machine", Verdict.OK, f"{name}, {platform.machine()}, {system}")


def check_python(version: tuple[int, int] = sys.version_info[:2], max_size: int = sys.maxsize) -> Iterator[Finding]:
    """Check that wheels of the required packages exist for this Python.

    Args:
        version: major and minor version.
        max_size: `sys.maxsize`, from which the word size follows.
    """
    message = f"{platform.python_version()} in {sys.prefix}"
    if max_size <= 1 << 32:  # the word size of Python, not of the kernel: a 64-bit kernel may run a 32-bit system
        message = f"{message} is a 32-bit build; numpy and the TFLite runtimes have no wheels for it"
        yield Finding("Python", Verdict.FAIL, message, "install the 64-bit Raspberry Pi OS")
    elif version > _NEWEST_PYTHON:
        newest = ".".join(map(str, _NEWEST_PYTHON))
        message = f"{message}: not tested with edge-mcnn"
        yield Finding("Python", Verdict.WARN, message, f"use Python {newest} or older")
    else:
        yield Finding("Python", Verdict.OK, message)


def check_memory(*, daemon_runs: bool, root: Path = _ROOT) -> Iterator[Finding]:
    """Check that enough memory is available for the daemon.

    Args:
        daemon_runs: whether a daemon is running, which already holds the memory that it needs.
        root: the root of the file system.
    """
    available = available_mb(root / "proc/meminfo")
    message = f"{available:.0f} MB available"
    fix = "stop other programs; or set utterances_per_recogniser = 1 under [transcriber], which saves 25 MB"
    if daemon_runs:
        verdict = Verdict.OK if available >= MIN_AVAILABLE_MB else Verdict.WARN
        message = f"{message} while the daemon is running"
    else:
        verdict = Verdict.FAIL if available < _MIN_DAEMON_MB else Verdict.WARN if available < _DAEMON_MB else Verdict.OK
        message = f"{message}; listening needs up to {_DAEMON_MB} MB"
    yield Finding("memory", verdict, message, "" if verdict == Verdict.OK else fix)


def check_memory_limits(settings: TranscriberSettings, *, daemon_runs: bool, root: Path = _ROOT) -> Iterator[Finding]:
    """Check that limits on this process and on its control groups leave enough memory to load the speech model.

    Yields nothing if they do, or if there is no limit.

    Args:
        settings: which speech model.
        daemon_runs: whether a daemon is running, which already holds the memory that it needs.
        root: the root of the file system.
    """
    own = Path(settings.speech_model).expanduser() if settings.speech_model else None
    try:
        require_memory(own, [each for each in limits(root) if not (daemon_runs and each.kind == "memory")])
    except SpeechModelError as error:
        yield Finding("memory", Verdict.FAIL, error.message, error.fix)


def check_disk(folder: Path, needed_mb: float) -> Iterator[Finding]:
    """Check that a file system has room for the speech model.

    Args:
        folder: a folder on that file system, which need not exist yet.
        needed_mb: the size of what is still to be written there, 10^6 bytes.
    """
    existing = next(each for each in (folder, *folder.parents) if os.path.exists(each))  # noqa: PTH110  # may raise
    free = shutil.disk_usage(existing).free / 1e6
    message = f"{f'{free:.0f} MB' if free < 1000 else f'{free / 1000:.1f} GB'} free for {folder}"
    if free < needed_mb:
        message = f"{message}; fetching the speech model needs {needed_mb:.0f} MB"
        yield Finding("disk", Verdict.FAIL, message, "free some disk space")
    elif free < _MIN_DISK_MB:
        yield Finding("disk", Verdict.WARN, message, "free some disk space, or updates and logs will fail")
    else:
        yield Finding("disk", Verdict.OK, message)


def check_temperature(root: Path = _ROOT) -> Iterator[Finding]:
    """Report the highest temperature of the machine; yields nothing if there is no sensor."""
    hottest = read_temperature(root)
    if hottest is None:
        return
    if hottest >= _HOT_CELSIUS:
        fix = f"add a heat sink or a fan; a Raspberry Pi slows down from {_HOT_CELSIUS} °C"
        yield Finding("temperature", Verdict.WARN, f"{hottest:.0f} °C", fix)
    else:
        yield Finding("temperature", Verdict.OK, f"{hottest:.0f} °C")


def check_power(root: Path = _ROOT) -> Iterator[Finding]:
    """Check the supply voltage of a Raspberry Pi, and whether it is slowed down; yields nothing on other machines."""
    throttling = read_throttling(root)
    alarms = list(_voltage_alarms(root))
    if throttling is None and not alarms:
        return
    low = throttling is not None and throttling.low_voltage
    if low or any(alarms) or (throttling is not None and throttling.low_voltage_before):
        when = "is too low now" if low else "was too low since the start of this machine"
        message = f"undervoltage detected: the supply voltage {when}, which slows the processor and may lose audio"
        fix = "use a power supply made for this board, and a short cable"
        yield Finding("power", Verdict.WARN, message, f"{fix}; then restart this machine")
    else:
        yield Finding("power", Verdict.OK, "no undervoltage detected")
    if throttling is not None and (throttling.slowed or throttling.slowed_before):
        when = "is slowed down now" if throttling.slowed else "was slowed down since the start of this machine"
        fix = "add a heat sink or a fan, and use a power supply made for this board; then restart this machine"
        message = f"the processor {when}, because it was hot or the voltage low; predictions come later"
        yield Finding("throttling", Verdict.WARN, message, fix)


def _voltage_alarms(root: Path) -> Iterator[bool]:
    """Yield whether the kernel's sensor of the supply voltage has raised its alarm since it was last read."""
    for name in (root / "sys/class/hwmon").glob("hwmon*/name"):
        if name.read_text().strip() == "rpi_volt":
            yield bool(_read_number(name.with_name("in0_lcrit_alarm")))


def _read_number(path: Path) -> int | None:
    """Read an integer from a file of the kernel; None if there is none, as for a sensor that is asleep."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
