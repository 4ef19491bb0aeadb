"""The display of a recording session: lines that stay, and on a terminal one line that is redrawn."""

from rich.console import Console
from rich.live import Live
from rich.text import Text

from device.errors import EdgeMcnnError
from device.outputs.terminal.meter import meter
from device.outputs.terminal.text import symbols_for
from device.system.display import displayable, on_one_line

_METER_CELLS = 24
"""Width of the level meter; less in a narrow terminal."""
_BESIDE_METER = 13


class RecorderDisplay:
    """A context manager; the redrawn line is shown inside it, if the console is a terminal.

    Args:
        console: where everything is printed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._redrawn = Text()
        self._live = Live(get_renderable=lambda: self._redrawn, console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "RecorderDisplay":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def print(self, line: str, style: str = "") -> None:
        """Print a line that stays."""
        self._console.print(Text(displayable(line), style=style), soft_wrap=not self._console.is_terminal)

    def print_error(self, error: EdgeMcnnError) -> None:
        """Print an error, each of its message and its fix on one line."""
        self.print(on_one_line(error.message), "bold red")
        if error.fix:
            self.print(f"  fix: {on_one_line(error.fix)}", "bold red")

    def meter(self, level_dbfs: float, remark: str) -> None:
        """Draw the level (RMS, dB relative to full scale) and a remark in the redrawn line."""
        width = min(_METER_CELLS, max(self._console.width - len(remark) - _BESIDE_METER, 1))
        bar = meter(level_dbfs, width, symbols_for(self._console))
        self._redraw(Text.assemble("  ", bar, f" {level_dbfs:4.0f} dB  {displayable(remark)}"))

    def question(self, question: str) -> None:
        """Show a question in the redrawn line."""
        self._redraw(Text(displayable(question), style="bold"))

    def _redraw(self, line: Text) -> None:
        line.no_wrap, line.overflow = True, "ellipsis"
        self._redrawn = line
        if self._console.is_terminal:
            self._live.refresh()
