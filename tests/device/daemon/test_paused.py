"""A daemon that is paused and resumed, however the program that paused it ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from device.daemon.paused import paused_daemon
from device.errors import StatusError
from tests.device.daemon.test_status import STATUS
from tests.waiting import LIMIT_S, wait_for_content

SCRIPT = """
import sys, time
from pathlib import Path
from device.daemon.paused import paused_daemon
from tests.device.daemon.test_status import STATUS
calls = Path(sys.argv[1])
def mute(muted):
    with calls.open("a") as stream:
        stream.write(f"{muted}\\n")
with paused_daemon(print, running=lambda: STATUS, mute=mute):
    print("paused", flush=True)
    {body}
"""


class Daemon:
    """A daemon that notes how it is muted."""

    def __init__(self, state: str = "healthy", failure: StatusError | None = None) -> None:
        self.status = replace(STATUS, state=state, pid=4711)
        self.calls: list[bool] = []
        self._failure = failure

    def mute(self, muted: bool) -> tuple[bool, str]:
        self.calls.append(muted)
        if self._failure is not None:
            raise self._failure
        return muted, ""


def test_it_is_muted_and_resumed() -> None:
    daemon, lines = Daemon(), list[str]()
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    with paused_daemon(lines.append, running=lambda: daemon.status, mute=daemon.mute) as paused:
        assert paused
        assert daemon.calls == [True]
        assert lines == [
            "the daemon (process 4711) is muted meanwhile; if this program is killed before it ends, run: "
            "edge-mcnn mute off"
        ]
    assert daemon.calls == [True, False]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_resumed_after_an_exception(error: type[BaseException]) -> None:
    daemon = Daemon()
    with pytest.raises(error), paused_daemon(print, running=lambda: daemon.status, mute=daemon.mute):
        raise error
    assert daemon.calls == [True, False]


def test_it_is_resumed_if_the_interruption_comes_while_it_is_being_muted() -> None:
    daemon = Daemon()

    def mute(muted: bool) -> None:
        daemon.mute(muted)
        if muted:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), paused_daemon(print, running=lambda: daemon.status, mute=mute):
        raise AssertionError("it was not muted")
    assert daemon.calls == [True, False]


def test_a_muted_daemon_stays_muted() -> None:
    daemon, lines = Daemon("muted"), list[str]()
    with paused_daemon(lines.append, running=lambda: daemon.status, mute=daemon.mute) as paused:
        assert not paused
    assert (daemon.calls, lines) == ([], [])


def test_without_a_daemon_nothing_is_done() -> None:
    daemon = Daemon()
    with paused_daemon(print, running=lambda: None, mute=daemon.mute) as paused:
        assert not paused
    assert daemon.calls == []


def test_a_daemon_that_this_user_may_not_control() -> None:
    daemon = Daemon(failure=StatusError("/run/x: permission denied", fix="join the group audio"))
    lines: list[str] = []
    with (
        pytest.raises(StatusError) as error,
        paused_daemon(lines.append, running=lambda: daemon.status, mute=daemon.mute),
    ):
        raise AssertionError("it was not paused")
    assert error.value.fix == "join the group audio"
    assert len(lines) == 1, "nothing about resuming a daemon that was never muted"


def test_a_daemon_that_ended_meanwhile_is_no_error() -> None:
    daemon, lines = Daemon(), list[str]()

    def mute(muted: bool) -> None:
        if not muted:
            raise StatusError("no daemon is running")
        daemon.mute(muted)

    with paused_daemon(lines.append, running=lambda: daemon.status, mute=mute):
        pass
    assert lines[-1] == (
        "the daemon could not be resumed (no daemon is running); if it is still running: edge-mcnn mute off"
    )


@contextmanager
def paused_process(calls: Path, body: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.replace("{body}", body), calls], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        while process.stdout.readline() not in ("paused\n", ""):
            pass
        assert wait_for_content(calls) == "True\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT)]
)
def test_a_signal_resumes_it(number: signal.Signals, status: int, tmp_path: Path) -> None:
    with paused_process(tmp_path / "calls", "time.sleep(60)") as process:
        process.send_signal(number)
        assert process.wait(LIMIT_S) == status
    assert (tmp_path / "calls").read_text() == "True\nFalse\n"
