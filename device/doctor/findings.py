"""What a look at one part of the machine found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    """The daemon works, but not as it might."""
    BAD = "bad"
    """The daemon does not work, or not as the settings say, and will not by itself."""


@dataclass(frozen=True)
class Finding:
    """One part that was looked at."""

    name: str
    """Of the part."""
    verdict: Verdict
    told: str
    """What was found, or what is wrong."""
    mend: str = ""
    """What to do about it; empty if nothing, or if `told` says it."""


@dataclass(frozen=True)
class Level:
    """How loud the microphone is just now, while it is being measured."""

    dbfs: float
    """RMS, dB relative to full scale."""


Told = Finding | Level
