"""How hot the machine is, and what the firmware of a Raspberry Pi reports about its power supply and its temperature.

The firmware lowers the clock frequency when the supply voltage is too low or the processor too hot. It remembers both
until the next start: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
"""

import contextlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
_FILES = "sys/devices/platform/*/*firmware/get_throttled"
_PROGRAM = "vcgencmd"
_LIMIT_S = 5
_LOW_VOLTAGE, _SLOWED = 1 << 0, 1 << 1 | 1 << 2 | 1 << 3
"""Bits for the present: low voltage; frequency capped, throttled, and soft temperature limit."""
_PAST = 16
"""Position of the bits for the time since the start of the machine, in the same order."""


@dataclass(frozen=True)
class Throttling:
    """The report of the firmware; what is true now is also true since the start."""

    low_voltage: bool
    """Whether the supply voltage is too low now."""
    low_voltage_before: bool
    """Whether it was too low at any time since the start of the machine."""
    slowed: bool
    """Whether the processor is slowed down now."""
    slowed_before: bool
    """Whether it was slowed down at any time since the start of the machine."""

    @classmethod
    def from_bits(cls, bits: int) -> "Throttling":
        """Decode the number that the firmware reports."""
        past = bits >> _PAST | bits
        return cls(bool(bits & _LOW_VOLTAGE), bool(past & _LOW_VOLTAGE), bool(bits & _SLOWED), bool(past & _SLOWED))


def read_temperature(root: Path = _ROOT) -> float | None:
    """Read the highest temperature of the machine, degrees Celsius; None if no sensor can be read.

    Args:
        root: the root of the file system, / except in tests.
    """
    celsius = []
    for path in (root / "sys/class/thermal").glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):  # a sensor that is asleep
            celsius.append(int(path.read_text()) / 1000)
    return max(celsius, default=None)


def read_throttling(root: Path = _ROOT, *, program: bool = True) -> Throttling | None:
    """Read the report from the kernel, else from `vcgencmd`; None where there is neither, as on other machines.

    Args:
        root: the root of the file system, / except in tests, which run no program.
        program: whether `vcgencmd` may be run, which can take seconds.
    """
    for path in sorted(root.glob(_FILES)):
        try:
            return Throttling.from_bits(int(path.read_text(), 16))
        except (OSError, ValueError):
            continue
    return _from_program() if program and root == _ROOT else None


def _from_program() -> Throttling | None:
    try:
        finished = subprocess.run(
            [_PROGRAM, "get_throttled"], capture_output=True, text=True, errors="replace", check=False, timeout=_LIMIT_S
        )
        return Throttling.from_bits(int(finished.stdout.strip().partition("throttled=")[2], 16))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # not installed, or this user may not use it
