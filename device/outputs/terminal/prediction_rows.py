"""A prediction in a terminal: a light and a bar for each class, the words, and the spectrogram image beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from device.events import Prediction, Probabilities, most_probable
from device.outputs.json_lines import LOW_CONFIDENCE_TEXT, NO_WORDS
from device.outputs.terminal.half_blocks import render_image
from device.outputs.terminal.text import (
    UNICODE,
    HangingIndent,
    Line,
    Symbols,
    render_line,
    shorten,
    symbols_for,
)
from device.settings.leds import CLASS_COLOURS
from device.system.display import displayable

# The colours of an RGB LED, except the white of neutral, which a white background would hide.
_NEUTRAL, _NEUTRAL_BESIDE_YELLOW = "yellow", "grey62"
_OTHER_COLOURS = ("cyan", "magenta", "blue", "bright_green", "bright_red", "bright_yellow", "white")
_MARGIN = 2
_GAP = 3
"""Cells between the rows on the left and the image on the right."""
_LONGEST_BAR = 48
_NUMBER = 7
"""Cells of `-100 dB` or ` 100%`."""
_IMAGE_COLUMNS = 16
"""Width of the image beside the prediction for a recording."""


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each class: the usual ones for sentiments and emotions, for other classes the next free one."""
    known = {**CLASS_COLOURS, "neutral": _NEUTRAL_BESIDE_YELLOW if "joy" in labels else _NEUTRAL}
    others = [label for label in labels if label not in known]
    return {label: known.get(label) or _OTHER_COLOURS[others.index(label) % len(_OTHER_COLOURS)] for label in labels}


def lights_row(labels: Sequence[str], on: str | None, symbols: Symbols = UNICODE) -> Text:
    """The lights of all classes in one row, that of the class `on` switched on."""
    colour = colours(labels)
    text = Text()
    for label in labels:
        light, style = (symbols.light_on, f"bold {colour[label]}") if label == on else (symbols.light_off, "dim")
        text.append(f"{light} {displayable(label)}   ", style=style)
    return text


@dataclass(frozen=True)
class ColumnWidths:
    """Widths of what every row consists of, beside a symbol and a number."""

    name: int
    """Cells of the name."""
    bar: int
    """Cells of the bar; 0 where there is no room for one."""


def column_widths(names: Sequence[str], width: int) -> ColumnWidths:
    """The widths with which rows of these names fit into `width` cells; a narrow terminal has no bars."""
    name = min(max(cell_len(displayable(each)) for each in names), max(width // 2 - 5, 8))
    bar = min(width - name - _NUMBER - 4, _LONGEST_BAR)
    return ColumnWidths(name, bar if bar > 3 else 0)


def aligned_row(symbol: Text, name: Text, bar: Text, number: Text, widths: ColumnWidths, symbols: Symbols) -> Text:
    """A row with each part in its column."""
    text = Text.assemble(symbol, " ", shorten(name, widths.name, symbols, pad=True), " ")
    if widths.bar:
        text.append_text(bar).append(" ")
    return text.append(" " * (_NUMBER - number.cell_len)).append_text(number)


def class_rows(
    labels: Sequence[str],
    probabilities: Probabilities | None,
    widths: ColumnWidths,
    symbols: Symbols,
    *,
    on: str | None,
    past: bool = False,
) -> list[Text]:
    """A row with a light and a bar for each class.

    Args:
        labels: classes of the model.
        probabilities: probability of each class; None before the first prediction.
        widths: widths of the columns.
        symbols: characters of the terminal.
        on: the class whose light is on; None if all are off.
        past: whether they belong to an earlier utterance; the bars are dim then.
    """
    colour = colours(labels)
    rows = []
    for label in labels:
        style = f"bold {colour[label]}" if label == on else "dim" if past else ""
        share = 0.0 if probabilities is None else probabilities[label]
        cells = round(share * widths.bar)
        bar = Text.assemble(
            (symbols.full * cells, "dim" if past else colour[label]), (symbols.empty * (widths.bar - cells), "dim")
        )
        light = Text(symbols.light_on, style) if label == on else Text(symbols.light_off, "dim")
        number = Text("" if probabilities is None else f"{share:.0%}", "dim" if past else "")
        rows.append(aligned_row(light, Text(displayable(label), style), bar, number, widths, symbols))
    return rows


def transcript(prediction: Prediction, symbols: Symbols) -> Text:
    """The words in quotation marks, or a remark that there are none, after a mark for low confidence."""
    text = Text() if prediction.confident else Text(f"{LOW_CONFIDENCE_TEXT}  ", "bold")
    if not prediction.text:
        return text.append(NO_WORDS, "dim italic")
    return text.append(f"{symbols.opening}{displayable(prediction.text)}{symbols.closing}", "italic")


def modalities_row(prediction: Prediction, cells: int) -> Text:
    """What audio alone and words alone predict, in at most `cells` cells; empty unless both are known and it fits."""
    audio, words = prediction.audio_only, prediction.text_only
    if audio is None or words is None:
        return Text()
    for suffix in (" alone", ""):
        row = f"audio{suffix}: {_class_and_share(audio)}, words{suffix}: {_class_and_share(words)}"
        if cell_len(row) <= cells:
            return Text(row, "dim")
    return Text()


def _class_and_share(probabilities: Probabilities) -> str:
    label = most_probable(probabilities)
    return f"{displayable(label)} {probabilities[label]:.0%}"


def history_entry(labels: Sequence[str], prediction: Prediction, symbols: Symbols) -> HangingIndent:
    """A prediction in the scrolling history: time, label, probability and words."""
    head = Text(f"{prediction.time:%H:%M:%S}  ", style="dim")
    head.append(f"{displayable(prediction.label):10}", style=f"not dim {colours(labels)[prediction.label]}")
    head.append(f"{prediction.probabilities[prediction.label]:4.0%}  ", style="not dim")
    return HangingIndent(head, transcript(prediction, symbols))


def side_by_side(left: Sequence[Line], right: Sequence[Line], width: int) -> list[Line]:
    """Lines with a margin, and the image to the right of them after `width` cells."""
    margin = Segment(" " * _MARGIN)
    lines = []
    for number in range(max(len(left), len(right))):
        line = left[number] if number < len(left) else []
        if number < len(right):
            gap = width - Segment.get_line_length(line) + _GAP
            line = [*line, Segment(" " * gap), *right[number]]
        lines.append([margin, *line] if line else [])
    return lines


def image_cells(columns: int) -> int:
    """Cells that the margin and an image of this width need beside the rows; of the margin alone if it is 0."""
    return _MARGIN + (columns + _GAP if columns else 0)


class PredictionView:
    """The prediction for a recording, as rich prints it: lights, bars and words, and the image if there is room.

    Args:
        labels: classes of the model.
        prediction: the prediction.
    """

    def __init__(self, labels: Sequence[str], prediction: Prediction) -> None:
        self._labels = labels
        self._prediction = prediction

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        symbols = symbols_for(console)
        width = options.max_width - 1
        image = self._prediction.image
        if width < 60 or not console.is_terminal:
            image = None
        left = width - image_cells(_IMAGE_COLUMNS if image is not None else 0)
        widths = column_widths(self._labels, left)
        rows = class_rows(self._labels, self._prediction.probabilities, widths, symbols, on=self._prediction.light)
        rows += [Text(), *transcript(self._prediction, symbols).wrap(console, max(left, 1))]
        if modalities := modalities_row(self._prediction, left):
            rows.append(modalities)
        right = [] if image is None else render_image(image, _IMAGE_COLUMNS, console, symbols)
        for line in side_by_side([render_line(row, console) for row in rows], right, left):
            yield from line
            yield Segment.line()
