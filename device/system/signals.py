"""SIGTERM and Ctrl-C, which ask for an end in good order instead of ending the process where it stands."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console


@contextmanager
def stopped_by_signals(stop: Callable[[], None], *, second_ends: bool = False) -> Iterator[None]:
    """While the context lasts, SIGTERM and SIGINT call `stop`; of the main thread.

    Args:
        stop: asks for the end. It may be called between any two steps of the main thread, so it sets flags only.
        second_ends: whether a second signal does what it did before: ends the process at once, whatever hangs.
    """

    def handler(number: int, _frame: object) -> None:
        stop()
        if second_ends:
            signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


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
