"""Lays out what a terminal of any size shows of a listening daemon, as lines.

From top to bottom: the microphone, its level, the words, the lights; on the right the spectrogram image that the
network classifies. The number of lines depends on the size of the terminal alone. When they are drawn is decided in
`device.outputs.terminal.screen`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from device.events import Prediction, Preview
from device.outputs.terminal.half_blocks import render_image
from device.outputs.terminal.meter import meter
from device.outputs.terminal.prediction_rows import (
    ColumnWidths,
    aligned_row,
    class_rows,
    column_widths,
    image_cells,
    lights_row,
    modalities_row,
    side_by_side,
    transcript,
)
from device.outputs.terminal.text import Line, last_lines, render_line, shorten, symbols_for
from device.system.display import displayable

_SPEAKING, _LISTENING = "speaking", "listening"
_CAPTION = "what the network sees"
_IMAGE_SIZES = ((32, 100, 30), (24, 76, 20), (16, 60, 14))
"""Columns of the image, and the columns and lines that the terminal must have for it."""
_LEFT_TO_HISTORY = 2
"""Lines of the terminal in which the history scrolls."""
_SPARE = ("above the lights", "above all", "words", "above the words", "modalities", "above the level")
"""Uses of lines that are left, the most important first; further ones are for words."""
_MOST_KEYS = 9
"""Number of classes that have a key."""
_WIDEST = 72
"""Most cells to the left of the image: longer rows are harder to read."""


@dataclass(frozen=True, eq=False)
class ScreenContent:
    """Everything that is shown except the level; a new object whenever any of it changes."""

    state: Text = field(default_factory=Text)
    """State of the microphone, in one line."""
    receiving: bool = False
    """Whether the microphone delivers audio."""
    speaking: bool = False
    """Whether an utterance is in progress."""
    labels: Sequence[str] = ()
    """Classes of the model; empty until it is loaded."""
    words: str = ""
    """Words so far of the utterance in progress."""
    prediction: Prediction | None = None
    """The latest prediction."""
    image: NDArray[np.float32] | None = None
    """Spectrogram image, as `Prediction.image`; during an utterance the one that the network would classify now."""
    light: str | None = None
    """The class whose light came on last; None if there is none, or if the lights went dark since."""
    keys: bool = False
    """Whether keys are read: m mutes and unmutes."""
    learns: bool = False
    """Whether there are also keys with which predictions can be corrected."""
    muted: bool = False
    """Whether the microphone is muted."""
    preview: Preview | None = None
    """What is predicted of the utterance in progress; None if there is none, or if nothing is predicted yet."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """The lines for a content, except the row of the level."""

    rows: list[Line]
    level: int | None
    """Index of the row of the level; None if there is none."""
    widths: ColumnWidths
    image: list[Line]
    width: int
    """Cells to the left of the image."""


class ScreenLayout:
    """Lays out contents for one terminal.

    Args:
        console: the terminal.
        gate_dbfs: level of the noise gate in the settings, which is marked on the meter.
    """

    def __init__(self, console: Console, gate_dbfs: float) -> None:
        self._console = console
        self._gate_dbfs = gate_dbfs
        self._symbols = symbols_for(console)
        self._key: tuple[object, ...] = ()
        self._cached = _Rows([], None, ColumnWidths(0, 0), [], 0)

    def lines(self, content: ScreenContent, dbfs: float, *, lit: bool) -> list[Line]:
        """The lines for a content.

        The level changes most often: everything but its row is cached from call to call.

        Args:
            content: what to show.
            dbfs: the level, dB relative to full scale.
            lit: whether the light of the content is still on.
        """
        key = (content, lit, self._console.size)
        if key != self._key:
            self._key, self._cached = key, self._lay_out(content, lit=lit)
        cached = self._cached
        rows = cached.rows
        if cached.level is not None:
            level = render_line(self._level_row(content, dbfs, cached.widths), self._console)
            rows = [*rows[: cached.level], level, *rows[cached.level + 1 :]]
        return side_by_side(rows, cached.image, cached.width)

    def _lay_out(self, content: ScreenContent, *, lit: bool) -> "_Rows":
        width, height = self._console.size
        room = max(height - _LEFT_TO_HISTORY, 1)
        image = next((size for size, *least in _IMAGE_SIZES if width >= least[0] and height >= least[1]), 0)
        left = min(max(width - 1 - image_cells(image), 1), _WIDEST)
        if not content.labels:
            return _Rows([self._line(content.state, left)], None, ColumnWidths(0, 0), [], left)
        widths = column_widths([*content.labels, _LISTENING], left)
        on = content.light if lit else None
        shown = content.preview or content.prediction
        probabilities = None if shown is None else shown.probabilities
        past = content.speaking and content.preview is None
        classes = class_rows(content.labels, probabilities, widths, self._symbols, on=on, past=past)
        if 3 + len(classes) > room:
            classes = [self._lights_only(content.labels, on, left)]
        extra = max(min(room, max(8 + len(classes), image // 2 + 1)) - 3 - len(classes), 0)
        spare = Counter((*_SPARE[:extra], *["words"] * (extra - len(_SPARE))))
        above = [*[Text()] * spare["above all"], self._state(content, left), *[Text()] * spare["above the level"]]
        below = [
            *[Text()] * spare["above the words"],
            *last_lines(self._words(content), left, 1 + spare["words"], self._console, self._symbols),
            *[self._modalities(content, left)] * spare["modalities"],
            *[self._correction_keys(content, left)] * spare["above the lights"],
            *classes,
        ]
        cut = max(len(above) + 1 + len(below) - room, 0)  # from the top: the lower rows matter more
        rows = [self._line(each, left) for each in [*above, Text(), *below][cut:]]
        if image:  # reserve the lines of the image and its caption before there is one
            rows += [[]] * (image // 2 + 2 - len(rows))
        drawn: list[Line] = []
        if image and content.image is not None:
            caption = self._line(Text(_CAPTION, "dim"), image)
            drawn = [[], *render_image(content.image, image, self._console, self._symbols), caption]
        return _Rows(rows, len(above) - cut if len(above) >= cut else None, widths, drawn, left)

    def _line(self, text: Text, cells: int) -> Line:
        return render_line(shorten(text, cells, self._symbols), self._console)

    def _level_row(self, content: ScreenContent, dbfs: float, widths: ColumnWidths) -> Text:
        if content.speaking:
            symbol, name = Text(self._symbols.active, "bold cyan"), Text(_SPEAKING, "bold cyan")
        else:
            symbol, name = Text(" "), Text(_LISTENING if content.receiving else "", "dim")
        bar = meter(dbfs, widths.bar, self._symbols, self._gate_dbfs)
        number = Text(f"{dbfs:.0f} dB" if content.receiving else "")
        return aligned_row(symbol, name, bar, number, widths, self._symbols)

    @staticmethod
    def _state(content: ScreenContent, width: int) -> Text:
        """The state of the microphone, and the key that mutes it where there is room for it."""
        if content.muted:
            how = "m: unmute" if content.keys else "edge-mcnn mute off"
        else:
            how = "m: mute" if content.keys and content.receiving else ""
        row = content.state + Text(f"  {how}", "dim")
        return row if how and row.cell_len <= width else content.state

    def _words(self, content: ScreenContent) -> Text:
        if content.speaking:
            return Text(f"{self._symbols.opening}{displayable(content.words)} {self._symbols.more}", "italic")
        return Text() if content.prediction is None else transcript(content.prediction, self._symbols)

    @staticmethod
    def _modalities(content: ScreenContent, width: int) -> Text:
        """What audio alone and words alone predict, while the words of the prediction are shown."""
        if content.prediction is None or content.speaking:
            return Text()
        return modalities_row(content.prediction, width)

    @staticmethod
    def _correction_keys(content: ScreenContent, width: int) -> Text:
        """The keys that correct the prediction, while it is shown and keys are read."""
        if not content.learns or content.prediction is None or content.speaking:
            return Text()
        named = [f"{number} {displayable(label)}" for number, label in enumerate(content.labels[:_MOST_KEYS], start=1)]
        row = Text(f"wrong? {'  '.join(named)}", "dim")
        if row.cell_len <= width:
            return row
        return Text(f"wrong? press 1 to {len(named)}, counted from the top", "dim")

    def _lights_only(self, labels: Sequence[str], on: str | None, width: int) -> Text:
        """All lights in one row; without the names of those that are off where there is no room for them."""
        named = lights_row(labels, on, self._symbols)
        if named.cell_len <= width:
            return named
        lit = Text(f"{self._symbols.light_on} {displayable(on)} ", "bold") if on is not None else Text()
        return lit.append(self._symbols.light_off * (len(labels) - (on is not None)), "dim")
