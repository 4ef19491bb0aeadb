"""How durations are shown to people."""

_SECONDS_FROM_MS = 10_000


def duration_text(ms: float) -> str:
    """Format a duration in the unit that is easiest to read: milliseconds, and seconds from 10 s on.

    Args:
        ms: the duration, milliseconds.
    """
    if ms >= _SECONDS_FROM_MS - 0.5:  # what rounds to 10000 ms is 10 s
        seconds = ms / 1000
        return f"{seconds:.0f} s" if seconds >= 99.95 else f"{seconds:.1f} s"
    return f"{ms:.0f} ms" if ms >= 9.95 else f"{ms:.1f} ms" if ms >= 0.95 else f"{ms:.2g} ms"
