"""Some lines at the bottom of a terminal that are redrawn in place, while history scrolls by above them.

Only lines that changed are written, and nothing is erased before it is written again, so that nothing flickers. What
has scrolled by stays in the terminal's own history. What the lines show is decided in
`device.outputs.terminal.layout`.
"""

import os
from collections.abc import Mapping, Sequence

from rich.console import Console, RenderableType
from rich.segment import Segment, Segments

from device.outputs.terminal.text import Line

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_CUT, _WRAP = "\x1b[?7l", "\x1b[?7h"
"""Cut off or wrap a line that is too long; some terminals count the cells of a character differently than we do."""
_ERASE_REST_OF_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"
_REFLOWING = ("alacritty", "foot", "tmux-256color", "wezterm", "xterm-ghostty", "xterm-kitty")
"""Values of TERM in terminals that rewrap long lines when they are resized."""
_SET_BY_REFLOWING = ("KONSOLE_VERSION", "TERM_PROGRAM", "TMUX", "VTE_VERSION", "WT_SESSION")
"""Variables that such terminals set."""


class LiveRegion:
    """The region; between calls the cursor is at the beginning of its last line.

    Args:
        console: the terminal, to which nothing else may write while the region is shown.
        environment: environment variables, from which the kind of terminal is known.
    """

    def __init__(self, console: Console, environment: Mapping[str, str] = os.environ) -> None:
        self._console = console
        self._reflows = _reflows(environment)
        self._shown: list[Line] = []
        self._width = console.width

    def draw(self, lines: Sequence[Line], above: Sequence[RenderableType] = ()) -> None:
        """Show these lines, each narrower than the terminal, and let others scroll by above them."""
        width = self._console.width
        if above or len(lines) != len(self._shown) or width != self._width:
            drawn = "\n".join(self._rendered(line) for line in lines)
            self._write(
                f"{_HIDE_CURSOR}{self._to_first_line(width)}{_ERASE_BELOW}{self._printed(above)}{_CUT}{drawn}\r{_WRAP}"
            )
        elif changed := [number for number, line in enumerate(lines) if line != self._shown[number]]:
            last, parts = len(lines) - 1, []
            at = last
            for number in changed:
                parts += [_move(number - at), self._rendered(lines[number]), _ERASE_REST_OF_LINE, "\r"]
                at = number
            self._write(f"{_CUT}{''.join(parts)}{_move(last - at)}{_WRAP}")
        self._shown, self._width = list(lines), width

    def close(self, above: Sequence[RenderableType] = ()) -> None:
        """Erase the region, print last lines above it and show the cursor again; `draw` shows the region again."""
        if self._shown or above:
            self._write(f"{self._to_first_line(self._console.width)}{_ERASE_BELOW}{self._printed(above)}{_SHOW_CURSOR}")
        self._shown = []

    def _to_first_line(self, width: int) -> str:
        if not self._shown:
            return ""
        heights = [1] * len(self._shown)
        if self._reflows and width < self._width:
            heights = [max(1, -(-Segment.get_line_length(line) // width)) for line in self._shown]
        return _move(-sum(heights[:-1]))

    def _rendered(self, line: Line) -> str:
        with self._console.capture() as capture:
            self._console.print(Segments(line), end="", soft_wrap=True)
        return capture.get()

    def _printed(self, above: Sequence[RenderableType]) -> str:
        with self._console.capture() as capture:
            for each in above:
                self._console.print(each)
        return capture.get()

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


def _move(lines: int) -> str:
    """The sequence that moves the cursor down by a number of lines, or up by a negative one."""
    return f"\x1b[{abs(lines)}{'A' if lines < 0 else 'B'}" if lines else ""


def _reflows(environment: Mapping[str, str]) -> bool:
    """Whether the terminal is known to rewrap lines that are too long for its new width.

    In an unknown one, it is better to leave a line of ours in the history than to erase one that belongs there.
    """
    return environment.get("TERM") in _REFLOWING or any(name in environment for name in _SET_BY_REFLOWING)
