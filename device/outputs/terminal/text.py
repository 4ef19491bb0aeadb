"""Lines of a terminal: text that fits into so many cells, whatever it holds."""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text


@dataclass(frozen=True)
class Signs:
    """One character each, but for `more`."""

    full: str
    """A cell of a bar that is full."""
    empty: str
    gate: str
    """A mark on a bar."""
    lit: str
    """A lamp that is on."""
    dark: str
    speaks: str
    """Before what happens now."""
    opening: str
    """A quotation mark."""
    closing: str
    more: str
    """Stands for words that are left out, or not said yet."""
    shades: str
    """From dark to bright."""


UNICODE = Signs(
    full="\u2501",
    empty="\u2500",
    gate="\u253c",
    lit="\u25cf",
    dark="\u25cb",
    speaks="\u25b8",
    opening="\u201c",
    closing="\u201d",
    more="\u2026",
    shades=" \u2591\u2592\u2593\u2588",
)
ASCII = Signs(
    full="#",
    empty=".",
    gate="|",
    lit="*",
    dark="o",
    speaks=">",
    opening='"',
    closing='"',
    more="...",
    shades=" .:-=+*#%@",
)


def signs_for(console: Console) -> Signs:
    """Those that the console's encoding has."""
    return UNICODE if console.encoding.startswith("utf") else ASCII


Line = list[Segment]
"""What stands in one line, without its end."""


def printable(text: str) -> str:
    """The text in one line and without control characters: names of microphones and classes are written by others."""
    return "".join(each if each.isprintable() else " " for each in text)


def fitted(text: Text, cells: int, signs: Signs, *, pad: bool = False) -> Text:
    """The beginning of a text, as much as there is room for."""
    text = text.copy()
    if text.cell_len > cells:
        text.truncate(max(cells - len(signs.more), 0), overflow="crop")
        text.append(signs.more[:cells])
    if pad:
        text.pad_right(cells - text.cell_len)
    return text


def ending(text: Text, cells: int, lines: int, console: Console, signs: Signs) -> list[Text]:
    """So many lines, broken between words; of a text that is too long the end, since it is newer."""
    broken = list(text.wrap(console, max(cells, 1)))
    if len(broken) > lines:
        broken = broken[-lines:] if lines else []
        if broken:
            broken[0] = fitted(Text(signs.more, broken[0].style).append_text(broken[0]), cells, signs)
    for line in broken:
        line.rstrip()
    return broken + [Text()] * (lines - len(broken))


def line_of(text: Text, console: Console) -> Line:
    """As it is drawn."""
    # `render` leaves the text's own style out where no part of it has another.
    return list(Segment.apply_style(text.render(console), console.get_style(text.style)))


@dataclass(frozen=True)
class Hanging:
    """A text beside its head, in as many lines as it needs; where that leaves too little room, behind it."""

    head: Text
    told: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        indent = self.head.cell_len
        room = options.max_width - 1 - indent
        if room < indent:
            yield Text.assemble(self.head, self.told, overflow="fold")
            return
        whole = self.head.copy()
        for number, line in enumerate(self.told.wrap(console, room)):
            line.rstrip()
            whole.append("\n" + " " * indent if number else "").append_text(line)
        yield whole
