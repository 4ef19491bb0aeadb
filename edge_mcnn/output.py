"""What commands print: data to standard output, everything else to standard error.

All text passes through `device.system.display`, so that names of files, microphones and classes cannot control the
terminal. No other module of the command line prints.
"""

import contextlib
import io
import logging
import sys
import termios
from typing import TYPE_CHECKING, Any

from device.errors import EdgeMcnnError
from device.system.display import DisplayableFormatter, as_json, displayable_lines
from device.system.streams.stderr import announce

if TYPE_CHECKING:
    from rich.console import Console


class Out:
    """Print the results of a command, its progress and its errors, each to the stream where a pipe expects it."""

    def line(self, text: str) -> None:
        """Print a line of the result to standard output, immediately: the reader may be a program that waits for it."""
        print(displayable_lines(text), flush=True)

    def rendered(self, text: str) -> None:
        """Print to standard output what a console has rendered, with its colours."""
        print(text, flush=True)

    def json(self, value: Any, *, indent: int | None = None) -> None:
        """Print a value as JSON to standard output, on one line unless `indent` is set."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(as_json(value, indent=indent, ascii_only=not encoding.lower().startswith("utf")), flush=True)

    def console(self, *, highlight: bool = True, soft_wrap: bool = False) -> "Console":
        """Return a rich console for tables and colours on standard output; it interprets no markup."""
        from device.system.streams.console import SafeConsole

        return SafeConsole(highlight=highlight, soft_wrap=soft_wrap)

    def progress_console(self) -> "Console":
        """Return a rich console for progress bars and notes on standard error; it interprets no markup."""
        from device.system.streams.console import SafeConsole

        return SafeConsole(stderr=True)

    def announce(self, line: str) -> None:
        """Print a note about what the command does to standard error, immediately."""
        announce(line)

    def csv_stream(self) -> io.TextIOBase:
        """Return standard output for a table: as UTF-8 with its line ends for a program, displayable for a terminal."""
        if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8", errors="strict", newline="")
            return sys.stdout
        return _DisplayableLines()

    def confirm(self, question: str, *, default: bool = True, interruptible: bool = False) -> bool:
        """Print a question to standard error, and return whether the user accepts; Ctrl-D means no.

        Call it only if standard input is a terminal.

        Args:
            question: the question.
            default: what Enter alone means; false where something would be lost.
            interruptible: whether Ctrl-C ends the command, because the question precedes its work; else it means no.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, and `interruptible` is true.
        """
        with contextlib.suppress(termios.error):  # the terminal has been closed
            termios.tcflush(sys.stdin, termios.TCIFLUSH)  # keys that were pressed before the question are no reply
        replies = {"": default, "y": True, "yes": True, "n": False, "no": False}
        try:
            while True:
                print(
                    f"{displayable_lines(question)} {'[Y/n]' if default else '[y/N]'} ",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
                if not (line := sys.stdin.readline()):
                    break
                if (reply := line.strip().lower()) in replies:
                    return replies[reply]
        except KeyboardInterrupt:
            if interruptible:
                self.announce("")  # what follows begins on a line of its own
                raise
        except (OSError, ValueError):  # the terminal has been closed, or delivers no text
            pass
        self.announce("")
        return False

    def error(self, error: EdgeMcnnError) -> None:
        """Print what is wrong, and on a second line the fix if there is one, to standard error."""
        self.announce(f"edge-mcnn: {error.message}")
        if error.fix:
            self.announce(f"  fix: {error.fix}")


class _DisplayableLines(io.TextIOBase):
    """A text stream onto standard output for lines that nobody has made displayable."""

    def write(self, text: str) -> int:
        """Print lines."""
        print(displayable_lines(text.replace("\r\n", "\n")), end="")
        return len(text)


def log_to_stderr(*, verbose: bool) -> None:
    """Let Python's logging write to standard error: warnings, and progress if `verbose`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(DisplayableFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])


out = Out()
