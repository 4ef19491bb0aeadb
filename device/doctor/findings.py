"""Results of the checks: what was found, how serious it is, and the fix."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How serious a finding is; the values are the marks in the terminal and in JSON."""

    OK = "OK"
    WARN = "WARN"
    """The daemon works, but with a limitation, or the problem may pass by itself."""
    FAIL = "FAIL"
    """The daemon does not work, or not as configured, and will not recover without a fix."""


@dataclass(frozen=True)
class Finding:
    """One result of a check."""

    topic: str
    """The part that was checked, such as `microphone`."""
    verdict: Verdict
    """How serious the finding is."""
    message: str
    """What was found, or what is wrong."""
    fix: str = ""
    """What the user can do about it; empty if nothing needs to be done, or if the message leaves no doubt."""


@dataclass(frozen=True)
class MicrophoneLevel:
    """Level of the microphone at this moment, sent repeatedly while it is measured."""

    dbfs: float
    """RMS level in dB relative to full scale."""


CheckEvent = Finding | MicrophoneLevel
"""What a check yields while it runs."""
