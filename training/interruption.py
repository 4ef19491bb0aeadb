"""The first Ctrl-C asks long work to stop at the next good moment; the second one ends the program."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console


class Interruption:
    """Whether someone asked to stop."""

    asked = False


@contextmanager
def ctrl_c_asks(console: Console) -> Iterator[Interruption]:
    """Let the first Ctrl-C set `asked` and tell so; from then on Ctrl-C does what it did before."""
    interruption = Interruption()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        interruption.asked = True
        signal.signal(signal.SIGINT, previous)
        console.print("stopping after this batch; what was learnt so far is saved (Ctrl-C again to lose it)")

    try:
        previous = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread: signals are someone else's
        yield interruption
        return
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, previous)
