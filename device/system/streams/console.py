"""The rich console for everything that is printed: names and messages from elsewhere appear exactly as they are.

Square brackets and colons in a text have no meaning here, and characters that control a terminal become visible
escapes. Styles are set with `style=` or `Text`, never within a text.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from device.system.display import displayable_lines


class SafeConsole(Console):
    """A console without markup and emoji codes, which shows control characters in any text as escapes.

    Args:
        options: keyword arguments of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text, escaped before the layout is computed; see `rich.console.Console.render_str`."""
        return super().render_str(displayable_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of anything that can be printed, with the control characters in `Text` escaped."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            if control or text.isprintable() or text == "\n":
                yield segment
            else:
                yield Segment(displayable_lines(text), style)
