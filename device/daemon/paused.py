"""Pauses a running daemon while another program needs its microphone: it is muted, so the microphone is closed."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from device.daemon.control import set_muted
from device.daemon.status import Status, running_daemon
from device.errors import EdgeMcnnError

RESUME = "edge-mcnn mute off"
"""Command that resumes a daemon whose pause was not ended, because the program that paused it was killed."""
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that would end the process without resuming the daemon; Ctrl-C raises an exception already."""
_OF_A_SHELL = 128
"""Added to the number of a signal, this is the exit status that a shell reports for it."""


@contextlib.contextmanager
def paused_daemon(
    announce: Callable[[str], None],
    *,
    running: Callable[[], Status | None] = running_daemon,
    mute: Callable[[bool], object] = set_muted,
) -> Iterator[bool]:
    """While the context lasts, the daemon of this machine does not use its microphone; only the main thread may enter.

    The daemon listens again when the context is left, however that happens: by an exception, Ctrl-C, SIGTERM, or a
    terminal that is closed. A daemon that was muted before stays muted.

    Args:
        announce: called with a line when the daemon is paused.
        running: returns the status of the daemon; None if there is none.
        mute: mutes or unmutes the daemon, and returns when its microphone is closed, or will be opened.

    Yields:
        Whether a daemon was paused.

    Raises:
        StatusError: a daemon is running that this user may not control.
    """
    daemon = running()
    if daemon is None or daemon.state == "muted":
        yield False
        return
    with _signals_raise():
        announce(
            f"the daemon (process {daemon.pid}) is muted meanwhile; if this program is killed before it ends, run: "
            f"{RESUME}"
        )
        refused = False
        try:
            try:
                mute(True)
            except EdgeMcnnError:
                refused = True
                raise
            yield True
        finally:  # after an interruption while it was being muted, too
            if not refused:
                _resume(mute, announce)


def _resume(mute: Callable[[bool], object], announce: Callable[[str], None]) -> None:
    """Unmute the daemon; not even Ctrl-C prevents that, which takes milliseconds."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        mute(False)
    except EdgeMcnnError as error:  # it has ended meanwhile, for example; whatever happened before matters more
        announce(f"the daemon could not be resumed ({error.message}); if it is still running: {RESUME}")
    finally:
        signal.signal(signal.SIGINT, previous)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    def end(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:  # the next one must not interrupt the clean-up
            signal.signal(each, signal.SIG_IGN)
        sys.exit(_OF_A_SHELL + number)

    previous = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
