"""What commands print: data to standard output, everything else to standard error."""

import json
import sys
from typing import TYPE_CHECKING, Any

from device.errors import EdgeMcnnError

if TYPE_CHECKING:
    from rich.console import Console


class Out:
    """Print the results of a command, its progress and its errors, each to the stream where a pipe expects it."""

    def line(self, text: str) -> None:
        """Print a line of the result to standard output, immediately: the reader may be a program that waits for it."""
        print(text, flush=True)

    def json(self, value: Any, *, indent: int | None = None) -> None:
        """Print a value as JSON to standard output, on one line unless `indent` is set."""
        print(json.dumps(value, ensure_ascii=False, indent=indent), flush=True)

    def console(self, *, highlight: bool = True, markup: bool = True, soft_wrap: bool = False) -> "Console":
        """Return a rich console for tables and colours on standard output."""
        from rich.console import Console

        return Console(highlight=highlight, markup=markup, soft_wrap=soft_wrap)

    def progress_console(self) -> "Console":
        """Return a rich console for progress bars and notes on standard error."""
        from rich.console import Console

        return Console(stderr=True)

    def announce(self, line: str) -> None:
        """Print a note about what the command does to standard error, immediately."""
        print(line, file=sys.stderr, flush=True)

    def error(self, error: EdgeMcnnError) -> None:
        """Print what is wrong, and on a second line the fix if there is one, to standard error."""
        self.announce(f"edge-mcnn: {_on_one_line(error.message)}")
        if error.fix:
            self.announce(f"  fix: {_on_one_line(error.fix)}")


out = Out()


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
