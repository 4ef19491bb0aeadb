"""Runs each check in a process of its own, with a time limit: a check that hangs or crashes does not stop the others.

PortAudio aborts the process when ALSA lists no device, and blocks without a limit on some that were unplugged; a
native library built for another CPU ends the process with a signal. This module is independent of what is checked.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from device.doctor.findings import CheckEvent, Finding, Verdict
from device.errors import EdgeMcnnError

# A fork inherits the settings and loaded modules, at almost no cost; a new interpreter takes a second on a Pi.
_FORK = multiprocessing.get_context("fork")
_EXIT_LIMIT_S = 1.0
_PR_SET_PDEATHSIG = 1
"""Number of the request in `prctl(2)`."""


@dataclass(frozen=True)
class Check:
    """A check of one part of the machine."""

    topic: str
    """Topic of the finding that is reported if the check hangs or crashes."""
    run: Callable[[], Iterable[CheckEvent]]
    """Yields findings; called in a process of its own."""
    limit_s: float = 10.0
    """Seconds allowed until each next event, and from the last event to the end."""


def run_checks(checks: Iterable[Check]) -> Iterator[CheckEvent]:
    """Run the checks one after the other and yield each event as soon as it arrives."""
    for check in checks:
        yield from _run_isolated(check)


def _run_isolated(check: Check) -> Iterator[CheckEvent]:
    reader, writer = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_run_in_child, args=(check, writer), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 warns about threads, whose locks a fork never gets back; this command has none.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    writer.close()
    try:
        while reader.poll(check.limit_s):
            try:
                event = reader.recv()
            except EOFError:
                break
            yield event
        else:
            message = f"the check hangs: no result within {check.limit_s:g} s"
            fix = "run the doctor again; if the check hangs again, restart this machine"
            yield Finding(check.topic, Verdict.FAIL, message, fix)
            return
        process.join(_EXIT_LIMIT_S)
        if process.exitcode:
            message = f"the check crashed with {_exit_reason(process.exitcode)}"
            fix = "a library that this part uses is broken; reinstall or reconfigure it"
            if process.exitcode == -signal.SIGKILL:
                fix = "the kernel does that when memory is short; stop other programs, then check again"
            yield Finding(check.topic, Verdict.FAIL, message, fix)
    finally:
        process.kill()
        process.join(_EXIT_LIMIT_S)
        reader.close()


def _run_in_child(check: Check, writer: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # one that was killed cannot
    faulthandler.disable()  # a crash is reported as a finding, without a traceback
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # hides what C libraries print
        os.dup2(null, descriptor)
    try:
        for event in check.run():
            writer.send(event)
    except EdgeMcnnError as error:
        writer.send(Finding(check.topic, Verdict.FAIL, " ".join(error.message.split()), " ".join(error.fix.split())))
    except BaseException as error:  # noqa: BLE001  # becomes a finding; Vosk may even raise SystemExit
        first_line = next(iter(str(error).splitlines()), "")
        message = f"{type(error).__name__}: {first_line}".removesuffix(": ")
        writer.send(Finding(check.topic, Verdict.FAIL, message, "unexpected: reinstall edge-mcnn, or report this bug"))


def _exit_reason(exit_code: int) -> str:
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit status {exit_code}"
