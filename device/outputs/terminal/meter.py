"""A level meter: a bar, and a needle that rises at once and falls slowly, as on every recorder."""

from rich.text import Text

from device.audio.level import LOWEST_DBFS
from device.outputs.terminal.text import Signs

_QUIETEST_DBFS = -72.0
"""Where the bar begins."""
_LOUD_DBFS, _TOO_LOUD_DBFS = -12.0, -3.0
_FALL_DB_PER_S = 24.0
_STILL_DB = 1.5
"""What a quiet room wavers by: a needle that followed it would be drawn anew for ever."""


def meter(dbfs: float, cells: int, signs: Signs, gate_dbfs: float | None = None) -> Text:
    """A bar of so many cells for an RMS level in dB relative to full scale.

    With a gate, what is quieter is dim, and the gate has a mark on the bar.
    """
    full = _cells(dbfs, cells)
    bar = signs.full * full + signs.empty * (cells - full)
    text = Text(bar, style="dim")
    if gate_dbfs is None or dbfs >= gate_dbfs:
        text.stylize(
            f"not dim {'red' if dbfs > _TOO_LOUD_DBFS else 'yellow' if dbfs > _LOUD_DBFS else 'cyan'}", 0, full
        )
    if gate_dbfs is not None and cells:
        mark = min(_cells(gate_dbfs, cells), cells - 1)
        text = Text.assemble(text[:mark], (signs.gate, "not dim"), text[mark + 1 :])
    return text


def _cells(dbfs: float, cells: int) -> int:
    return round(cells * min(max(1 - dbfs / _QUIETEST_DBFS, 0), 1))


class Needle:
    """Follows a level for the eye."""

    def __init__(self) -> None:
        self._heard = LOWEST_DBFS
        self.dbfs = LOWEST_DBFS
        """What to show."""

    def follow(self, loudest_dbfs: float, seconds: float) -> None:
        """Take the loudest level, dB relative to full scale, of the seconds that went by."""
        self._heard = max(loudest_dbfs, self._heard - _FALL_DB_PER_S * seconds, LOWEST_DBFS)
        if abs(self._heard - self.dbfs) >= _STILL_DB:
            self.dbfs = self._heard
