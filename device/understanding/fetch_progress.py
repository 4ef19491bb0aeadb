"""What the user sees while the speech model is fetched and checked: a bar, or a line where there is no terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator

Announce = Callable[[str], object]
"""Takes one line for the user."""
Advance = Callable[[int], object]
"""Takes how many more bytes are done."""


@contextlib.contextmanager
def stage(description: str, total: int, announce: Announce) -> Iterator[Advance]:
    """Show a progress bar, or announce a line where stderr is no terminal; yields what to call with bytes done.

    Args:
        description: of what is done.
        total: bytes; 0 when unknown.
        announce: takes the line.
    """
    if not sys.stderr.isatty():
        announce(description)
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    counted = (DownloadColumn(), TransferSpeedColumn()) if total else ()
    # No markup: a file's name may hold square brackets.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counted, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=total or None)
        yield lambda count: progress.advance(task, count)
