"""What lights can show besides answers: that the microphone gives nothing to answer."""

from enum import StrEnum


class Trouble(StrEnum):
    """Something that is wrong for a while."""

    LOST = "lost"
    """There is no microphone, or it gives nothing."""
    SILENT = "silent"
    """It gives nothing but zeros."""
