"""What a terminal shows of a daemon that listens, as lines for a terminal of any size.

From top to bottom: the microphone, its level, the words, the lights; on the right the picture that the network sees. In
a terminal of one size the lines are always as many. What is drawn when, this module does not know.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from device.events import Prediction
from device.outputs.terminal.half_blocks import drawn_picture
from device.outputs.terminal.meter import meter
from device.outputs.terminal.prediction_rows import (
    Columns,
    beside,
    beside_cells,
    class_rows,
    columns,
    lamps,
    row,
    words,
)
from device.outputs.terminal.text import Line, ending, fitted, line_of, printable, signs_for

_SPEAKING, _LISTENING = "speaking", "listening"
_CAPTION = "what the network sees"
_PICTURES = ((32, 100, 30), (24, 76, 20), (16, 60, 14))
"""Its columns; and columns and lines of the terminal that it takes at least."""
_LEFT_TO_HISTORY = 2
_SPARE = ("above the lights", "above all", "words", "above the words", "above the level")
"""What lines are for that nobody needs, most wanted first; more of them are for words."""
_WIDEST = 72
"""Cells to the left of the picture: nothing is gained by looking far to the right."""


@dataclass(frozen=True, eq=False)
class Moment:
    """What there is to show; a new object whenever any of it changes."""

    state: Text = field(default_factory=Text)
    """Of the microphone, in a line."""
    hears: bool = False
    """Whether sound comes."""
    speaking: bool = False
    """Whether an utterance is open."""
    labels: Sequence[str] = ()
    """Classes of the model; empty until it is loaded."""
    words: str = ""
    """While an utterance is open: those so far."""
    prediction: Prediction | None = None
    """The last one."""
    picture: NDArray[np.float32] | None = None
    """As `Prediction.image`; while an utterance is open, what the network would see."""


@dataclass(frozen=True, eq=False)
class _Layout:
    """A moment but for its level."""

    rows: list[Line]
    level: int | None
    """Which row is that of the level; None if there is none."""
    at: Columns
    picture: list[Line]
    width: int
    """Cells to the left of the picture."""


class ListeningView:
    """Lays out moments.

    Args:
        console: the terminal.
        gate_dbfs: of the settings; marked on the meter.
    """

    def __init__(self, console: Console, gate_dbfs: float) -> None:
        self._console = console
        self._gate_dbfs = gate_dbfs
        self._signs = signs_for(console)
        self._key: tuple[object, ...] = ()
        self._layout = _Layout([], None, Columns(0, 0), [], 0)

    def lines(self, moment: Moment, dbfs: float, *, lit: bool) -> list[Line]:
        """The moment at this level, dB relative to full scale, with the light of the last answer on or off.

        The level changes most often: all but its row is kept from call to call.
        """
        key = (moment, lit, self._console.size)
        if key != self._key:
            self._key, self._layout = key, self._laid_out(moment, lit=lit)
        layout = self._layout
        rows = layout.rows
        if layout.level is not None:
            level = line_of(self._level(moment, dbfs, layout.at), self._console)
            rows = [*rows[: layout.level], level, *rows[layout.level + 1 :]]
        return beside(rows, layout.picture, layout.width)

    def _laid_out(self, moment: Moment, *, lit: bool) -> "_Layout":
        width, height = self._console.size
        room = max(height - _LEFT_TO_HISTORY, 1)
        picture = next((size for size, *least in _PICTURES if width >= least[0] and height >= least[1]), 0)
        left = min(max(width - 1 - beside_cells(picture), 1), _WIDEST)
        if not moment.labels:
            return _Layout([self._line(moment.state, left)], None, Columns(0, 0), [], left)
        at = columns([*moment.labels, _LISTENING], left)
        classes = class_rows(moment.labels, moment.prediction, at, self._signs, lit=lit, past=moment.speaking)
        if 3 + len(classes) > room:
            on = moment.prediction.light if lit and moment.prediction is not None else None
            classes = [self._lamps_alone(moment.labels, on, left)]
        extra = max(min(room, max(7 + len(classes), picture // 2 + 1)) - 3 - len(classes), 0)
        spare = Counter((*_SPARE[:extra], *["words"] * (extra - len(_SPARE))))
        above = [*[Text()] * spare["above all"], moment.state, *[Text()] * spare["above the level"]]
        below = [
            *[Text()] * spare["above the words"],
            *ending(self._said(moment), left, 1 + spare["words"], self._console, self._signs),
            *[Text()] * spare["above the lights"],
            *classes,
        ]
        cut = max(len(above) + 1 + len(below) - room, 0)  # from the top: what is below matters more
        rows = [self._line(each, left) for each in [*above, Text(), *below][cut:]]
        if picture:  # room for it, and for the line below it, before there is one
            rows += [[]] * (picture // 2 + 2 - len(rows))
        seen: list[Line] = []
        if picture and moment.picture is not None:
            caption = self._line(Text(_CAPTION, "dim"), picture)
            seen = [[], *drawn_picture(moment.picture, picture, self._console, self._signs), caption]
        return _Layout(rows, len(above) - cut if len(above) >= cut else None, at, seen, left)

    def _line(self, text: Text, cells: int) -> Line:
        return line_of(fitted(text, cells, self._signs), self._console)

    def _level(self, moment: Moment, dbfs: float, at: Columns) -> Text:
        sign = Text(self._signs.speaks, "bold cyan") if moment.speaking else Text(" ")
        name = Text(_SPEAKING, "bold cyan") if moment.speaking else Text(_LISTENING if moment.hears else "", "dim")
        bar = meter(dbfs, at.bar, self._signs, self._gate_dbfs)
        return row(sign, name, bar, Text(f"{dbfs:.0f} dB" if moment.hears else ""), at, self._signs)

    def _said(self, moment: Moment) -> Text:
        if moment.speaking:
            return Text(f"{self._signs.opening}{printable(moment.words)} {self._signs.more}", "italic")
        return Text() if moment.prediction is None else words(moment.prediction, self._signs)

    def _lamps_alone(self, labels: Sequence[str], on: str | None, width: int) -> Text:
        named = lamps(labels, on, self._signs)
        if named.cell_len <= width:
            return named
        lit = Text(f"{self._signs.lit} {printable(on)} ", "bold") if on is not None else Text()
        return lit.append(self._signs.dark * (len(labels) - (on is not None)), "dim")
