"""Each look at a part of the machine, in a process of its own: one that hangs, crashes or chatters harms no other.

PortAudio aborts the whole process where ALSA lists no device, and waits for ever for some that are gone; a native
library built for another CPU ends in a signal. What is looked at, this module does not know.
"""

import faulthandler
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from device.doctor.findings import Finding, Told, Verdict
from device.errors import EdgeMcnnError

# A fork has the settings and modules of its parent, and costs a Pi nothing; a new interpreter costs it a second.
_FORK = multiprocessing.get_context("fork")
_END_LIMIT_S = 1.0


@dataclass(frozen=True)
class Check:
    """A part to be looked at."""

    name: str
    """Of what cannot be looked at, if it hangs or crashes."""
    look: Callable[[], Iterable[Told]]
    limit_s: float = 10.0
    """For each thing that it tells."""


def examine(checks: Iterable[Check]) -> Iterator[Told]:
    """Look at one part after the other; each thing is told as soon as it is known."""
    for check in checks:
        yield from _examined(check)


def _examined(check: Check) -> Iterator[Told]:
    reader, writer = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_look, args=(check, writer), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 warns of threads, whose locks a fork never gets back; the command has none.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    writer.close()
    try:
        while reader.poll(check.limit_s):
            try:
                told = reader.recv()
            except EOFError:
                break
            yield told
        else:
            hangs = f"it hangs: no answer within {check.limit_s:g} s"
            yield Finding(check.name, Verdict.BAD, hangs, "try again; if it hangs again, restart this machine")
            return
        process.join(_END_LIMIT_S)
        if process.exitcode:
            how = f"looking at it ended in {_ending(process.exitcode)}"
            yield Finding(check.name, Verdict.BAD, how, "a library of this part is broken; reinstall or configure it")
    finally:
        process.kill()
        process.join(_END_LIMIT_S)
        reader.close()


def _look(check: Check, writer: Connection) -> None:
    """In the process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    faulthandler.disable()  # a crash is told in a line
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what C libraries say
        os.dup2(nowhere, descriptor)
    try:
        for told in check.look():
            writer.send(told)
    except EdgeMcnnError as error:
        writer.send(Finding(check.name, Verdict.BAD, " ".join(str(error).split())))
    except BaseException as error:  # noqa: BLE001  # told instead; Vosk may even raise SystemExit
        first_line = next(iter(str(error).splitlines()), "")
        unexpected = f"{type(error).__name__}: {first_line}".removesuffix(": ")
        writer.send(Finding(check.name, Verdict.BAD, unexpected, "not expected: reinstall edge-mcnn, or report this"))


def _ending(exit_code: int) -> str:
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit status {exit_code}"
