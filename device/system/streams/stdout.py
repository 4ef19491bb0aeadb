"""Standard output that cannot be written, because a disk is full for example, ends a command with one message.

Without this module Python would print a traceback, and a second one when it exits, because the text that could not be
written is written again.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from device.errors import StandardOutputError


class StandardOutput(io.TextIOWrapper):
    """A text stream whose first failure is a `StandardOutputError`; after it, everything written is dropped.

    A reader that has gone away is no failure: the `BrokenPipeError` is raised as usual.
    """

    failure: StandardOutputError | None = None
    """The failure; None if there was none."""
    replaced: io.TextIOWrapper | None = None
    """The stream that this one replaces; it would close the file when Python deletes it."""

    def write(self, text: str) -> int:
        """Write text; see `io.TextIOBase.write`."""
        with self._failing():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits in the buffer; see `io.IOBase.flush`."""
        with self._failing():
            super().flush()

    def raise_failure(self) -> None:
        """Raise the failure again if there was one, in case the program continued after it.

        Raises:
            StandardOutputError: something could not be written.
        """
        if self.failure is not None:
            raise self.failure

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            self._drop_everything()
            self.failure = StandardOutputError(
                f"standard output cannot be written ({error.strerror or error})",
                fix="free some space, or redirect the output to another place",
            )
            raise self.failure from None

    def _drop_everything(self) -> None:
        """Let the file descriptor lead nowhere, so that the waiting text can be written when Python exits."""
        with contextlib.suppress(OSError):  # it was closed, so nothing waits
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)


def use_standard_output() -> StandardOutput | None:
    """Replace `sys.stdout` by a `StandardOutput`, and return it; None if standard output is closed or not a file.

    Characters that its encoding lacks, such as those of the lights, are replaced by question marks.
    """
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        return None
    replacement = StandardOutput(
        stream.buffer,
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    replacement.replaced = stream
    sys.stdout = replacement
    return replacement
