"""An answer drawn in a terminal: a lamp and a bar for each class, the words, and the picture that the network saw."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from device.events import Prediction
from device.outputs.json_lines import NO_WORDS, UNSURE
from device.outputs.terminal.half_blocks import drawn_picture
from device.outputs.terminal.text import UNICODE, Hanging, Line, Signs, fitted, line_of, printable, signs_for
from device.settings.leds import CLASS_COLOURS

# An RGB LED's colours, but for what a terminal with a white background or a yellow beside it would hide.
_KNOWN_COLOURS = {**CLASS_COLOURS, "neutral": "yellow", "joy": "bright_yellow"}
_OTHER_COLOURS = ("cyan", "magenta", "blue", "bright_green", "bright_red", "bright_yellow", "white")
_MARGIN = 2
_GAP = 3
"""Between what is on the left and the picture on the right."""
_LONGEST_BAR = 48
_NUMBER = 7
"""Cells of `-100 dB` or ` 100%`."""
_PICTURE_BESIDE = 16
"""Columns of the picture beside the answer to a recording."""


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each class: the usual ones for sentiments and emotions, others in turn."""
    others = [label for label in labels if label not in _KNOWN_COLOURS]
    return {
        label: _KNOWN_COLOURS.get(label) or _OTHER_COLOURS[others.index(label) % len(_OTHER_COLOURS)]
        for label in labels
    }


def lamps(labels: Sequence[str], on: str | None, signs: Signs = UNICODE) -> Text:
    """The lamps in a row, that of the class `on` lit."""
    colour = colours(labels)
    row = Text()
    for label in labels:
        lamp, style = (signs.lit, f"bold {colour[label]}") if label == on else (signs.dark, "dim")
        row.append(f"{lamp} {printable(label)}   ", style=style)
    return row


@dataclass(frozen=True)
class Columns:
    """Cells of what stands in each row: a sign, a name, a bar, a number."""

    name: int
    bar: int


def columns(names: Sequence[str], width: int) -> Columns:
    """Such that the rows fit into so many cells; in a narrow terminal there are no bars."""
    name = min(max(cell_len(printable(each)) for each in names), max(width // 2 - 5, 8))
    bar = min(width - name - _NUMBER - 4, _LONGEST_BAR)
    return Columns(name, bar if bar > 3 else 0)


def row(sign: Text, name: Text, bar: Text, number: Text, at: Columns, signs: Signs) -> Text:
    """Each at its place."""
    text = Text.assemble(sign, " ", fitted(name, at.name, signs, pad=True), " ")
    if at.bar:
        text.append_text(bar).append(" ")
    return text.append(" " * (_NUMBER - number.cell_len)).append_text(number)


def class_rows(
    labels: Sequence[str], prediction: Prediction | None, at: Columns, signs: Signs, *, lit: bool, past: bool = False
) -> list[Text]:
    """A lamp and a bar for each class.

    Args:
        labels: of the model.
        prediction: None before the first one: all is dark then.
        at: where what stands.
        signs: of the terminal.
        lit: whether the lamp is on.
        past: whether the bars are of something that was said before; they are dim then.
    """
    colour = colours(labels)
    rows = []
    for label in labels:
        on = lit and prediction is not None and prediction.light == label
        style = f"bold {colour[label]}" if on else "dim" if past else ""
        share = 0.0 if prediction is None else prediction.probabilities[label]
        cells = round(share * at.bar)
        bar = Text.assemble(
            (signs.full * cells, "dim" if past else colour[label]), (signs.empty * (at.bar - cells), "dim")
        )
        sign = Text(signs.lit, style) if on else Text(signs.dark, "dim")
        number = Text("" if prediction is None else f"{share:.0%}", "dim" if past else "")
        rows.append(row(sign, Text(printable(label), style), bar, number, at, signs))
    return rows


def words(prediction: Prediction, signs: Signs) -> Text:
    """What was understood, in quotation marks, or a remark that no words were; and whether the answer is a doubt."""
    text = Text() if prediction.confident else Text(f"{UNSURE}  ", "bold")
    if not prediction.text:
        return text.append(NO_WORDS, "dim italic")
    return text.append(f"{signs.opening}{printable(prediction.text)}{signs.closing}", "italic")


def entry(labels: Sequence[str], prediction: Prediction, signs: Signs) -> Hanging:
    """An answer as it scrolls by: when, what, how probable, and the words."""
    head = Text(f"{prediction.time:%H:%M:%S}  ", style="dim")
    head.append(f"{printable(prediction.label):10}", style=f"not dim {colours(labels)[prediction.label]}")
    head.append(f"{prediction.probabilities[prediction.label]:4.0%}  ", style="not dim")
    return Hanging(head, words(prediction, signs))


def beside(left: Sequence[Line], right: Sequence[Line], width: int) -> list[Line]:
    """Lines with a margin; on the right, beyond so many cells, the picture."""
    margin = Segment(" " * _MARGIN)
    lines = []
    for number in range(max(len(left), len(right))):
        line = left[number] if number < len(left) else []
        if number < len(right):
            gap = width - Segment.get_line_length(line) + _GAP
            line = [*line, Segment(" " * gap), *right[number]]
        lines.append([margin, *line] if line else [])
    return lines


def beside_cells(picture_columns: int) -> int:
    """Cells that margin and picture take."""
    return _MARGIN + (picture_columns + _GAP if picture_columns else 0)


class Answer:
    """The answer to a recording, to be printed: lamps, bars and words, and the picture beside them if there is room."""

    def __init__(self, labels: Sequence[str], prediction: Prediction) -> None:
        self._labels = labels
        self._prediction = prediction

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        signs = signs_for(console)
        width = options.max_width - 1
        picture = self._prediction.image
        if width < 60 or not console.is_terminal:
            picture = None
        left = width - beside_cells(_PICTURE_BESIDE if picture is not None else 0)
        rows = class_rows(self._labels, self._prediction, columns(self._labels, left), signs, lit=True)
        rows += [Text(), *words(self._prediction, signs).wrap(console, max(left, 1))]
        right = [] if picture is None else drawn_picture(picture, _PICTURE_BESIDE, console, signs)
        for line in beside([line_of(row, console) for row in rows], right, left):
            yield from line
            yield Segment.line()
