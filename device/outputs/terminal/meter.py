"""A level meter: a bar, and a peak that rises at once and falls slowly, as on every recorder."""

from rich.text import Text

from device.audio.level import LOWEST_DBFS
from device.outputs.terminal.text import Symbols

_QUIETEST_DBFS = -72.0
"""Level at which the bar begins."""
_LOUD_DBFS, _TOO_LOUD_DBFS = -12.0, -3.0
_FALL_DB_PER_S = 24.0
_STILL_DB = 1.5
"""Variation of the level in a quiet room: a display that followed it would be drawn again all the time."""


def meter(dbfs: float, cells: int, symbols: Symbols, gate_dbfs: float | None = None) -> Text:
    """A bar for an RMS level.

    Args:
        dbfs: the level, dB relative to full scale.
        cells: length of the bar.
        symbols: characters of the terminal.
        gate_dbfs: level of the noise gate, which gets a mark; quieter levels are drawn dim.
    """
    full = _cells(dbfs, cells)
    bar = symbols.full * full + symbols.empty * (cells - full)
    text = Text(bar, style="dim")
    if gate_dbfs is None or dbfs >= gate_dbfs:
        text.stylize(
            f"not dim {'red' if dbfs > _TOO_LOUD_DBFS else 'yellow' if dbfs > _LOUD_DBFS else 'cyan'}", 0, full
        )
    if gate_dbfs is not None and cells:
        mark = min(_cells(gate_dbfs, cells), cells - 1)
        text = Text.assemble(text[:mark], (symbols.gate, "not dim"), text[mark + 1 :])
    return text


def _cells(dbfs: float, cells: int) -> int:
    return round(cells * min(max(1 - dbfs / _QUIETEST_DBFS, 0), 1))


class DecayingPeak:
    """Follows a level in a way that the eye can read."""

    def __init__(self) -> None:
        self._peak_dbfs = LOWEST_DBFS
        self.dbfs = LOWEST_DBFS
        """The level to display, dB relative to full scale."""

    def update(self, loudest_dbfs: float, seconds: float) -> None:
        """Take in the loudest level, dB relative to full scale, of the seconds that have passed."""
        self._peak_dbfs = max(loudest_dbfs, self._peak_dbfs - _FALL_DB_PER_S * seconds, LOWEST_DBFS)
        if abs(self._peak_dbfs - self.dbfs) >= _STILL_DB:
            self.dbfs = self._peak_dbfs
