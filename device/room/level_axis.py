"""Draws room, gate and speech on one dB axis, as lines of text."""

from collections.abc import Sequence

from rich.text import Text

from device.audio.level import LOWEST_DBFS
from device.outputs.terminal.text import Symbols
from device.room.measurement import Measurement

_NAME_CELLS = 12
_VALUE_CELLS = 9
_WIDEST = 72
"""Cells of the axis at most: 0.75 per dB."""
_NARROWEST = 8
_MARKS_DBFS = (-96, -72, -48, -24, 0)
_CELLS_PER_MARK = 12
"""Cells of the axis that each mark needs; on a shorter axis only the ends are marked."""


def level_axis(
    measurement: Measurement, gates: Sequence[tuple[str, float]], width: int, symbols: Symbols
) -> list[Text]:
    """Draw a line per level from -96 to 0 dBFS, and the axis below them.

    Args:
        measurement: what was measured.
        gates: name and level of each gate to draw, dB relative to full scale.
        width: columns of the terminal.
        symbols: characters of the terminal.
    """
    cells = max(min(width - _NAME_CELLS - _VALUE_CELLS, _WIDEST), _NARROWEST)
    room, speech = measurement.room, measurement.speech
    lines = [_bar("room", room.floor_dbfs, room.loud_dbfs, cells, "dim", symbols)]
    lines += [_mark(name, dbfs, cells, symbols) for name, dbfs in gates]
    if speech is not None:
        lines.append(_bar("speech", speech.quiet_dbfs, speech.level_dbfs, cells, "cyan", symbols))
    style = "red" if measurement.clipped else "yellow"
    lines.append(_mark("loudest", measurement.peak_dbfs, cells, symbols, style))
    return [*lines, _scale(cells)]


def _cell(dbfs: float, cells: int) -> int:
    return min(int(cells * min(max(1 - dbfs / LOWEST_DBFS, 0), 1)), cells - 1)


def _bar(name: str, low: float, high: float, cells: int, style: str, symbols: Symbols) -> Text:
    """A range; the value beside it is its end that the report is about: the floor of the room, the level of speech."""
    first, last = _cell(low, cells), _cell(high, cells)
    bar = Text(symbols.empty * cells, "dim")
    bar = Text.assemble(bar[:first], (symbols.full * (last - first + 1), style), bar[last + 1 :])
    return Text.assemble(name.ljust(_NAME_CELLS), bar, _value(low if name == "room" else high))


def _mark(name: str, dbfs: float, cells: int, symbols: Symbols, style: str = "bold") -> Text:
    place = _cell(dbfs, cells)
    bar = Text(symbols.empty * cells, "dim")
    return Text.assemble(name.ljust(_NAME_CELLS), bar[:place], (symbols.gate, style), bar[place + 1 :], _value(dbfs))


def _value(dbfs: float) -> str:
    return f"{dbfs:5.0f} dB"


def _scale(cells: int) -> Text:
    marks = _MARKS_DBFS if cells >= _CELLS_PER_MARK * len(_MARKS_DBFS) // 2 else (_MARKS_DBFS[0], _MARKS_DBFS[-1])
    line = ""
    for mark in marks:
        text = f"{mark}"
        place = min(_cell(mark, cells), cells - len(text))
        line = line.ljust(place) + text
    return Text(f"{'':{_NAME_CELLS}}{line}   dBFS", "dim")
