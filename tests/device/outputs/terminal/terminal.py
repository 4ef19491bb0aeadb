"""An emulated terminal (pyte) for tests, which shows what a user would see."""

import io
from collections.abc import Callable
from typing import Any

import pyte
from rich.console import Console


class Terminal(io.StringIO):
    """The terminal; text that is written to `console` appears in `shown` and `scrolled`."""

    encoding = "utf-8"

    def __init__(self, columns: int, lines: int, **options: Any) -> None:
        super().__init__()
        self.screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.Stream(self.screen)
        self.written: list[str] = []
        self.on_write: Callable[[], None] = lambda: None
        self.console = Console(
            file=self, width=columns, height=lines, **{"force_terminal": True, "color_system": "truecolor", **options}
        )

    def write(self, text: str) -> int:
        if not text:  # a console without output writes this
            return 0
        self.on_write()
        self.written.append(text)
        self._stream.feed(text.replace("\n", "\r\n"))  # the terminal's driver does the same
        return len(text)

    def resize(self, columns: int, lines: int, *, reflows: bool) -> None:
        """Resize as most terminals do, which rewrap lines that are now too long, or as xterm, which cuts them off."""
        if reflows:
            self._reflow(columns, lines)
        else:
            self.screen.resize(lines, columns)
        self.console.size = (columns, lines)

    def _reflow(self, columns: int, lines: int) -> None:
        rows = [line.rstrip() for line in self.screen.display[: self.screen.cursor.y + 1]]
        broken = [[row[at : at + columns] for at in range(0, len(row), columns)] or [""] for row in rows]
        self.screen.reset()
        self.screen.resize(lines, columns)
        self._stream.feed("\r\n".join(part for row in broken for part in row) + "\r")
        if len(broken[-1]) > 1:
            self._stream.feed(f"\x1b[{len(broken[-1]) - 1}A")  # the cursor stays where it was in its line

    @property
    def shown(self) -> list[str]:
        """The lines on the screen, from the top to the last one that is not empty."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def scrolled(self) -> list[str]:
        """The lines that have scrolled off at the top, oldest first."""
        return ["".join(line[x].data for x in range(self.screen.columns)).rstrip() for line in self.screen.history.top]
