"""Some lines at the bottom of what a terminal shows, drawn anew in place, while others scroll by above them.

Only lines that changed are written, and nothing is wiped off before it is written anew, so that nothing flickers. What
scrolled by stays in the terminal's own history. What the lines say, this module does not know.
"""

import os
from collections.abc import Mapping, Sequence

from rich.console import Console, RenderableType
from rich.segment import Segment, Segments

from device.outputs.terminal.text import Line

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_CUT, _WRAP = "\x1b[?7l", "\x1b[?7h"
"""What becomes of a line that is too long; some terminals count the cells of a character otherwise than we do."""
_REFLOWING = ("alacritty", "foot", "tmux-256color", "wezterm", "xterm-ghostty", "xterm-kitty")
_SET_BY_REFLOWING = ("KONSOLE_VERSION", "TERM_PROGRAM", "TMUX", "VTE_VERSION", "WT_SESSION")
_WIPE_REST_OF_LINE, _WIPE_BELOW = "\x1b[K", "\x1b[J"


class Pane:
    """A place on a terminal; between calls the cursor is at the beginning of its last line.

    Args:
        console: the terminal, which nobody else may write to while the pane is shown.
        environment: tells which terminal it is.
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
                f"{_HIDE_CURSOR}{self._to_first_line(width)}{_WIPE_BELOW}{self._printed(above)}{_CUT}{drawn}\r{_WRAP}"
            )
        elif changed := [number for number, line in enumerate(lines) if line != self._shown[number]]:
            last, parts = len(lines) - 1, []
            at = last
            for number in changed:
                parts += [_moved(number - at), self._rendered(lines[number]), _WIPE_REST_OF_LINE, "\r"]
                at = number
            self._write(f"{_CUT}{''.join(parts)}{_moved(last - at)}{_WRAP}")
        self._shown, self._width = list(lines), width

    def close(self, above: Sequence[RenderableType] = ()) -> None:
        """Wipe it off and give the cursor back; `draw` shows it again."""
        if self._shown or above:
            self._write(f"{self._to_first_line(self._console.width)}{_WIPE_BELOW}{self._printed(above)}{_SHOW_CURSOR}")
        self._shown = []

    def _to_first_line(self, width: int) -> str:
        if not self._shown:
            return ""
        heights = [1] * len(self._shown)
        if self._reflows and width < self._width:
            heights = [max(1, -(-Segment.get_line_length(line) // width)) for line in self._shown]
        return _moved(-sum(heights[:-1]))

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


def _moved(lines: int) -> str:
    return f"\x1b[{abs(lines)}{'A' if lines < 0 else 'B'}" if lines else ""


def _reflows(environment: Mapping[str, str]) -> bool:
    """Whether the terminal is known to break lines anew that are too long for its new width.

    In one that is not known a line of ours is rather left in the history than one wiped off that belongs there.
    """
    return environment.get("TERM") in _REFLOWING or any(name in environment for name in _SET_BY_REFLOWING)
