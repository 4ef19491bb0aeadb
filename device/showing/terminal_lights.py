"""Lights drawn in a terminal: for a laptop, and for whoever wants to see why an LED glows."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from device.sentence import Prediction
from device.showing.json_lines import NO_WORDS, UNSURE
from device.showing.trouble import Trouble

_TROUBLES = {Trouble.LOST: "no microphone", Trouble.SILENT: "the microphone gives silence"}
_KNOWN_COLOURS = {"positive": "green", "neutral": "yellow", "negative": "red"}
_OTHER_COLOURS = ("cyan", "magenta", "blue", "bright_green", "bright_red", "bright_yellow", "white")
_BAR_CELLS = 32
_MARGIN = (0, 0, 0, 2)


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each class: the usual ones for the usual three, others in turn."""
    others = [label for label in labels if label not in _KNOWN_COLOURS]
    return {
        label: _KNOWN_COLOURS.get(label) or _OTHER_COLOURS[others.index(label) % len(_OTHER_COLOURS)]
        for label in labels
    }


def lamps(labels: Sequence[str], on: str | None) -> Text:
    """The lamps in a row, that of the class `on` lit."""
    colour = colours(labels)
    row = Text()
    for label in labels:
        lamp, style = ("\u25cf", f"bold {colour[label]}") if label == on else ("\u25cb", "dim")
        row.append(f"{lamp} {label}   ", style=style)
    return row


def draw(labels: Sequence[str], prediction: Prediction | None, *, lit: bool = True) -> RenderableType:
    """The lamps in a row, a bar per class, and the words; all dark without a prediction or when not `lit`."""
    colour = colours(labels)
    row = lamps(labels, prediction.shown if lit and prediction is not None else None)
    if prediction is None:
        return Padding(row, _MARGIN)
    if not prediction.sure:
        row.append(UNSURE, style="bold")
    bars = Table.grid(padding=(0, 1))
    for label in labels:
        probability = prediction.probabilities[label]
        cells = round(probability * _BAR_CELLS)
        bar = Text("\u2588" * cells, style=colour[label]) + Text("\u2591" * (_BAR_CELLS - cells), style="dim")
        bars.add_row(label, bar, f"{probability:4.0%}")
    return Padding(Group(row, bars, Text(words(prediction), style="italic")), _MARGIN)


def words(prediction: Prediction) -> str:
    """What was understood, in quotation marks, or a remark that no words were."""
    return f"\u201c{prediction.text}\u201d" if prediction.text else NO_WORDS


class TerminalLights:
    """Lights on the screen, kept in place while earlier answers scroll by above them.

    Where the output is no terminal, each answer is one plain line, without the words unless `show_words`: such output
    ends up in a log, and what people say does not belong there unasked. That there were no words may be told.

    Args:
        labels: classes of the model.
        hold_s: seconds that a light stays on.
        show_words: write the words into plain lines, too.
        console: where to draw; standard output if not given.
    """

    def __init__(
        self, labels: Sequence[str], *, hold_s: float, show_words: bool = False, console: Console | None = None
    ) -> None:
        self._labels = labels
        self._hold_s = hold_s
        self._show_words = show_words
        self._console = console or Console()
        self._prediction: Prediction | None = None
        self._lit_until = 0.0
        self._trouble: Trouble | None = None
        self._live = Live(get_renderable=self._picture, console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "TerminalLights":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
            self._scroll()

    def show(self, prediction: Prediction) -> None:
        """Light the class of `prediction`."""
        if not self._console.is_terminal:
            said = f"  {words(prediction)}" if self._show_words or not prediction.text else ""
            self._console.print(self._heading(prediction), said, sep="", highlight=False, soft_wrap=True)
            return
        self._scroll()
        self._prediction = prediction
        self._lit_until = time.monotonic() + self._hold_s
        self._live.refresh()

    def trouble(self, trouble: Trouble | None) -> None:
        """Say it beside the lamps; plain output has the line of the one who noticed."""
        self._trouble = trouble
        if self._console.is_terminal:
            self._live.refresh()

    def _scroll(self) -> None:
        """Let the last answer join those above the lamps."""
        if self._prediction is not None:
            past = self._heading(self._prediction)
            self._console.print(past.append(f"  {words(self._prediction)}", style="dim italic"))

    def _heading(self, prediction: Prediction) -> Text:
        line = Text(f"{prediction.time:%H:%M:%S}  ", style="dim")
        line.append(f"{prediction.label:10}", style=colours(self._labels)[prediction.label])
        line.append(f"{prediction.probabilities[prediction.label]:4.0%}", style="default")
        return line if prediction.sure else line.append(f"  {UNSURE}", style="bold")

    def _picture(self) -> RenderableType:
        drawn = draw(self._labels, self._prediction, lit=time.monotonic() < self._lit_until)
        if self._trouble is None:
            return drawn
        return Group(drawn, Padding(Text(_TROUBLES[self._trouble], style="bold red"), _MARGIN))
