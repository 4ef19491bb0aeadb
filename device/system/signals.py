"""SIGTERM and Ctrl-C request an orderly end of the program instead of killing it in the middle of its work.

Long work stops at the next good moment after the first Ctrl-C; the second one ends the program at once. A process that
works for another one gets a signal when that one ends.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the daemon, which imports this module, may have no screen
    from rich.console import Console


def ending_with_parent(
    command: Sequence[str], number: signal.Signals, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Return a command whose process gets a signal when the thread that started it ends, even if that one is killed.

    The command is unchanged without the program `setpriv` of util-linux, which requests it from the kernel, and in a
    service, where systemd ends all processes, and forbids what `setpriv` does first.

    Args:
        command: program and arguments.
        number: the signal.
        environment: environment variables of this process.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or "RUNTIME_DIRECTORY" in environment:  # set by systemd
        return list(command)
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--", *command]


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """While the context lasts, SIGTERM and SIGHUP are like Ctrl-C, so that nothing is left behind.

    A signal that this process ignores, as with `nohup`, is ignored further. Only the main thread can enter it.
    """
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number, handler in previous.items():
            if handler == signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def stopped_by_signals(stop: Callable[[], None], *, second_ends: bool = False) -> Iterator[None]:
    """While the context lasts, SIGTERM and SIGINT call `stop`; only the main thread can enter it.

    Args:
        stop: requests the end. It may run between any two steps of the main thread, so it must only set flags.
        second_ends: whether a second signal has its previous effect again, which ends the process even if it hangs.
    """

    def handler(number: int, _frame: FrameType | None) -> None:
        stop()
        if second_ends:
            signal.signal(number, previous[signal.Signals(number)])

    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in previous:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)


class Interruption:
    """The state of `interruptible`: whether the user has pressed Ctrl-C."""

    requested = False


@contextmanager
def interruptible(console: "Console") -> Iterator[Interruption]:
    """Let training stop after a batch: the first Ctrl-C sets `requested` and prints so, a second one ends the program.

    Outside the main thread, which alone may handle signals, `requested` stays false.
    """
    interruption = Interruption()

    def handler(_number: int, _frame: FrameType | None) -> None:
        interruption.requested = True
        signal.signal(signal.SIGINT, previous)
        console.print("stopping after this batch; what was learnt so far is saved (Ctrl-C again to lose it)")

    try:
        previous = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not in the main thread
        yield interruption
        return
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, previous)
