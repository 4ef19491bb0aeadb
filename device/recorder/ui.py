"""What the user of a recording session sees: lines that stay, and on a terminal one line that moves."""

from rich.console import Console
from rich.live import Live
from rich.text import Text

from device.errors import EdgeMcnnError
from device.outputs.terminal.meter import meter
from device.outputs.terminal.text import signs_for

_METER_CELLS = 24
"""Fewer in a narrow terminal."""
_BESIDE_METER = 13


class RecorderDisplay:
    """A context manager; inside it the line that moves is shown, if the console is a terminal.

    Args:
        console: where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._moving = Text()
        self._live = Live(get_renderable=lambda: self._moving, console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "RecorderDisplay":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def print(self, line: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(Text(line, style=style), soft_wrap=not self._console.is_terminal)

    def print_error(self, error: EdgeMcnnError) -> None:
        """Something that the user is to mend."""
        self.print(" ".join(str(error).split()), "bold red")

    def meter(self, level_dbfs: float, remark: str) -> None:
        """Show in the line that moves how loud it is, RMS in dB relative to full scale, and a remark."""
        width = min(_METER_CELLS, max(self._console.width - len(remark) - _BESIDE_METER, 1))
        bar = meter(level_dbfs, width, signs_for(self._console))
        self._move(Text.assemble("  ", bar, f" {level_dbfs:4.0f} dB  {remark}"))

    def question(self, question: str) -> None:
        """Show a question in the line that moves."""
        self._move(Text(question, style="bold"))

    def _move(self, line: Text) -> None:
        line.no_wrap, line.overflow = True, "ellipsis"
        self._moving = line
        if self._console.is_terminal:
            self._live.refresh()
