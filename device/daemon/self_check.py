"""Checks every part of the device on request, in another process than the daemon, which goes on listening.

That process has a low priority and is the first one that the kernel ends when memory is short. What it runs, such
as `edge-mcnn doctor --json`, is decided by the caller.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from device.errors import StatusError
from device.system.signals import ending_with_parent

Finding = Mapping[str, str]
"""A finding, with the keys `topic`, `verdict` (OK, WARN or FAIL), `message`, and `fix`, which may be empty."""

LIMIT_S = 120.0
"""Seconds allowed for a check; on a slow board it takes half a minute."""
_FRESH_S = 30.0
"""Seconds for which a result is returned again, so that nobody can keep the machine busy with checks."""
_LARGEST = 20_000
"""Bytes of the output of a check; usually there are 3,000. Escaped as JSON they fit into a reply."""
_NICE = 10
_FIRST_TO_END = 1000
"""The kernel's score of the process that it ends first when memory is short, see `proc(5)`, oom_score_adj."""
_END_LIMIT_S = 1.0
_POLL_S = 0.02
_KEYS = ("topic", "verdict", "message", "fix")
_VERDICTS = ("OK", "WARN", "FAIL")
_BY_HAND = "on the device, run: edge-mcnn doctor"


@dataclass(frozen=True)
class Checked:
    """The result of a check."""

    findings: Sequence[Finding]
    """What was found, in the order of the checks."""
    age_s: float
    """Seconds since the check ended."""


def findings_in(value: Any) -> list[Finding] | None:
    """The findings in a JSON value; None if it is not a list of at least one finding."""
    if not isinstance(value, list) or not value or not all(map(_is_finding, value)):
        return None
    return [{key: each[key] for key in _KEYS} for each in value]


def summary(findings: Iterable[Finding]) -> str:
    """The result of a check in a sentence, for the page and for `edge-mcnn doctor`."""
    topics: dict[str, dict[str, None]] = {}
    for each in findings:
        topics.setdefault(each["verdict"], {})[each["topic"]] = None  # once, in their order
    if "FAIL" in topics:
        return f"Fix first: {', '.join(topics['FAIL'])}."
    return f"It works, with warnings: {', '.join(topics['WARN'])}." if "WARN" in topics else "No problems found."


def _is_finding(value: Any) -> bool:
    is_complete = isinstance(value, dict) and all(isinstance(value.get(key), str) for key in _KEYS)
    return is_complete and value["verdict"] in _VERDICTS


class SelfCheck:
    """Runs one check at a time; those who request one meanwhile, or soon after, get the same result.

    Args:
        command: program and arguments of the check, which prints its findings as a JSON list. It ends with this
            process.
        environment: its environment variables.
        limit_s: seconds until it is killed, with every process that it has started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], limit_s: float = LIMIT_S) -> None:
        self._command = ending_with_parent(command, signal.SIGKILL)
        self._environment = dict(environment)
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._check: _Check | None = None
        self._closed = False

    def result(self) -> Checked:
        """Check every part, or return the result of a check that ended a moment ago. May be called from any thread.

        Raises:
            StatusError: the check did not end in time, or its output is no list of findings; or the daemon ends.
        """
        with self._lock:
            if self._closed:
                raise StatusError("the daemon ends", fix="start it again: edge-mcnn listen")
            if self._check is None or self._check.is_old():
                self._check = _Check(self._command, self._environment, self._limit_s)
            check = self._check
        return check.result()

    def close(self) -> None:
        """End a check that runs, for good."""
        with self._lock:
            self._closed = True
            check = self._check
        if check is not None:
            check.end()


class _Check:
    """One run of the check, in a thread that lasts as long: when it ended, the kernel would end its process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], limit_s: float) -> None:
        self._command = command
        self._environment = environment
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._done = threading.Event()
        self._findings: list[Finding] = []
        self._error: tuple[str, str] | None = None
        self._ended_at = 0.0
        threading.Thread(target=self._run, name="self check", daemon=True).start()

    def is_old(self) -> bool:
        """Whether it ended so long ago that there should be another one."""
        return self._done.is_set() and time.monotonic() - self._ended_at >= _FRESH_S

    def result(self) -> Checked:
        """Wait for the result.

        Raises:
            StatusError: there is none.
        """
        if not self._done.wait(self._limit_s + 2 * _END_LIMIT_S):  # a process that not even a signal ends
            raise StatusError("the check hangs", fix="restart this machine")
        if self._error is not None:
            message, fix = self._error
            raise StatusError(message, fix=fix)
        return Checked(self._findings, time.monotonic() - self._ended_at)

    def end(self) -> None:
        """Kill the check and every process that it has started; nothing happens if it has ended."""
        self._ending.set()
        with self._lock:
            if self._process is not None:
                self._kill(self._process)

    def _run(self) -> None:
        try:
            self._findings = self._findings_of_process()
        except StatusError as error:
            self._error = (error.message, error.fix)
        except OSError as error:
            self._error = (f"the check cannot be started ({error.strerror})", _BY_HAND)
        finally:
            self._ended_at = time.monotonic()
            self._done.set()

    def _findings_of_process(self) -> list[Finding]:
        end = time.monotonic() + self._limit_s
        with self._lock:
            process = self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        output = process.stdout
        assert output is not None  # noqa: S101  # it is a pipe
        try:
            if self._ending.is_set():
                self._kill(process)
            _let_others_go_first(process.pid)
            content = self._read(output, end)
            self._await_end(process.pid, end)
        finally:
            with self._lock:  # before its number may belong to another process
                self._kill(process)
                self._process = None
                with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel ends it later
                    process.wait(_END_LIMIT_S)
            output.close()
        if self._ending.is_set():
            raise StatusError("the daemon ends", fix="start it again: edge-mcnn listen")
        try:
            findings = findings_in(json.loads(content))
        except (ValueError, RecursionError):
            findings = None
        if findings is None:
            raise StatusError(f"the check failed ({_how_it_ended(process.returncode)})", fix=_BY_HAND)
        return findings

    def _read(self, output: IO[bytes], end: float) -> bytes:
        """Read all that the process prints.

        Raises:
            StatusError: it prints too much, or for too long.
        """
        content = b""
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while selector.select(max(0.0, end - time.monotonic())):
                if not (part := os.read(output.fileno(), _LARGEST)):
                    return content
                content += part
                if len(content) > _LARGEST:
                    raise StatusError("the check failed (its output is too large)", fix=_BY_HAND)
        raise self._too_slow()

    def _await_end(self, process: int, end: float) -> None:
        """Wait until the process has ended; its number stays its own until `wait`.

        Raises:
            StatusError: it has closed its output, but goes on.
        """
        while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() >= end:
                raise self._too_slow()
            if self._ending.wait(_POLL_S):
                return

    def _too_slow(self) -> StatusError:
        return StatusError(f"the check did not end within {self._limit_s:g} s, and was ended", fix=_BY_HAND)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended, with all that it started
            os.killpg(process.pid, signal.SIGKILL)


def _let_others_go_first(process: int) -> None:
    """Give a process a low priority, and those that it starts from now on.

    Where a sandbox forbids that, the check runs like any other process.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process, _NICE)
    with contextlib.suppress(OSError):
        Path(f"/proc/{process}/oom_score_adj").write_text(str(_FIRST_TO_END))


def _how_it_ended(status: int | None) -> str:
    if status == -signal.SIGKILL:
        return "the system ended it: memory may be short"
    if status is not None and status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return f"exit status {status}, without findings"
