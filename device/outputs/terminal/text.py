"""Text for terminals: lines that fit into a number of cells whatever they hold, and the characters drawings consist of.

Where a terminal can show ASCII only, other characters stand for the Unicode ones.
"""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

Line = list[Segment]
"""Content of one line, without its line end."""


@dataclass(frozen=True)
class Symbols:
    """The characters of drawings; each is one character, except `more` and `shades`."""

    full: str
    """A full cell of a bar."""
    empty: str
    """An empty cell of a bar."""
    gate: str
    """The mark of the noise gate on a bar."""
    light_on: str
    """A light that is on."""
    light_off: str
    """A light that is off."""
    active: str
    """Stands before what is happening at the moment."""
    opening: str
    """Opening quotation mark."""
    closing: str
    """Closing quotation mark."""
    more: str
    """Stands for words that are left out, or not spoken yet."""
    shades: str
    """Characters from dark to bright."""


UNICODE = Symbols(
    full="\u2501",
    empty="\u2500",
    gate="\u253c",
    light_on="\u25cf",
    light_off="\u25cb",
    active="\u25b8",
    opening="\u201c",
    closing="\u201d",
    more="\u2026",
    shades=" \u2591\u2592\u2593\u2588",
)
ASCII = Symbols(
    full="#",
    empty=".",
    gate="|",
    light_on="*",
    light_off="o",
    active=">",
    opening='"',
    closing='"',
    more="...",
    shades=" .:-=+*#%@",
)


def symbols_for(console: Console) -> Symbols:
    """The symbols that the encoding of the console contains."""
    return UNICODE if console.encoding.startswith("utf") else ASCII


def shorten(text: Text, cells: int, symbols: Symbols, *, pad: bool = False) -> Text:
    """The beginning of a text, as much as fits into the cells; padded with spaces to that width if `pad` is true."""
    text = text.copy()
    if text.cell_len > cells:
        text.truncate(max(cells - len(symbols.more), 0), overflow="crop")
        text.append(symbols.more[:cells])
    if pad:
        text.pad_right(cells - text.cell_len)
    return text


def last_lines(text: Text, cells: int, lines: int, console: Console, symbols: Symbols) -> list[Text]:
    """The text in exactly this number of lines, broken between words; a text that is too long loses its beginning."""
    broken = list(text.wrap(console, max(cells, 1)))
    if len(broken) > lines:
        broken = broken[-lines:] if lines else []
        if broken:
            broken[0] = shorten(Text(symbols.more, broken[0].style).append_text(broken[0]), cells, symbols)
    for line in broken:
        line.rstrip()
    return broken + [Text()] * (lines - len(broken))


def render_line(text: Text, console: Console) -> Line:
    """The segments of a text in the styles of the console."""
    # `render` omits the text's own style where no part of it has another one.
    return list(Segment.apply_style(text.render(console), console.get_style(text.style)))


@dataclass(frozen=True)
class HangingIndent:
    """A text beside its head, in as many lines as it needs; after the head where that leaves too little room."""

    head: Text
    body: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        indent = self.head.cell_len
        room = options.max_width - 1 - indent
        if room < indent:
            yield Text.assemble(self.head, self.body, overflow="fold")
            return
        text = self.head.copy()
        for number, line in enumerate(self.body.wrap(console, room)):
            line.rstrip()
            text.append("\n" + " " * indent if number else "").append_text(line)
        yield text
