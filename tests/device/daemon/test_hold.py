"""A running daemon does not use its microphone while another program does, however that program ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from device.daemon import control
from device.daemon.control import ControlServer, held_microphone, set_muted
from device.daemon.controls import Controls
from device.errors import StatusError
from tests.waiting import LIMIT_S, wait_until

HOLD = """
import signal, sys, time
from device.daemon.control import held_microphone
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, with which the tests may run, ignores it
with held_microphone(print) as held:
    print(held, flush=True)
    time.sleep(60)
"""


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hold") as name:  # the paths of pytest are too long for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        monkeypatch.setattr(control, "SERVICE_CONTROL_SOCKET", Path(name) / "service.sock")
        yield Path(name) / "edge-mcnn"


@pytest.fixture
def controls(folder: Path) -> Iterator[Controls]:
    """Controls of a daemon that serves its socket, and whose microphone follows at once."""
    controls = Controls()

    def mute(muted: bool | None) -> str:
        controls.mute(muted)
        return ""

    with ControlServer(folder / "control.sock", controls, mute, controls.hold, print):
        yield controls


def wait_until_resumed(controls: Controls) -> None:
    wait_until(lambda: controls.muting is None, message="the daemon does not listen again")


def reason(controls: Controls) -> str:
    assert controls.muting is not None
    return controls.muting.reason


def test_the_microphone_is_closed_meanwhile(controls: Controls) -> None:
    lines: list[str] = []
    with held_microphone(lines.append) as held:
        assert held
        assert reason(controls) == f"process {os.getpid()} uses the microphone meanwhile"
        assert not controls.muted, "the state that people change is another one"
        assert lines == [f"the daemon (process {os.getpid()}) does not listen meanwhile"]
    wait_until_resumed(controls)


def test_without_a_daemon_nothing_happens(folder: Path) -> None:
    assert not folder.exists()
    with held_microphone(lambda line: pytest.fail(line)) as held:
        assert not held


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_ends_it(controls: Controls, error: type[BaseException]) -> None:
    with pytest.raises(error), held_microphone(print):
        raise error
    wait_until_resumed(controls)


def test_a_device_that_is_muted_before_or_meanwhile_stays_muted(controls: Controls) -> None:
    for muted_before in (False, True):
        if muted_before:
            set_muted(True)
        with held_microphone(print):
            set_muted(True)
            assert reason(controls) == "the microphone is closed", "to open it, somebody must unmute it"
        wait_until(lambda: not controls._holders)
        assert reason(controls) == "the microphone is closed"
        set_muted(False)


def test_unmuting_meanwhile_opens_it_afterwards(controls: Controls) -> None:
    set_muted(True)
    with held_microphone(print):
        assert set_muted(False)[0] is False
        assert reason(controls) == f"process {os.getpid()} uses the microphone meanwhile"
    wait_until_resumed(controls)


@contextmanager
def holding_process() -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert "does not listen meanwhile" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_end_of_the_process_ends_it(controls: Controls, number: signal.Signals) -> None:
    with holding_process() as process:
        assert reason(controls) == f"process {process.pid} uses the microphone meanwhile"
        process.send_signal(number)
        process.wait(LIMIT_S)
        wait_until_resumed(controls)


def test_a_few_programs_may_hold_it_and_none_of_them_keeps_others_from_muting(controls: Controls) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(held_microphone(print))
        with pytest.raises(StatusError, match="4 programs use the microphone already"), held_microphone(print):
            pytest.fail("it was held once more")
        assert set_muted(True)[0]
        assert set_muted(False)[0] is False
    wait_until_resumed(controls)
    with held_microphone(print):
        assert controls.muting is not None


def test_a_client_that_closes_without_reading_the_reply(controls: Controls, folder: Path) -> None:
    for _ in range(10):  # more than may hold it
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(folder / "control.sock"))
            client.sendall(b'{"hold": true}\n')

    def is_held() -> bool:
        try:
            with held_microphone(print) as held:
                return held
        except StatusError:  # the daemon has not noticed yet that four of them have gone
            return False

    wait_until(is_held, message="they hold it although they have gone")
    wait_until_resumed(controls)


def test_any_other_value_is_refused(controls: Controls, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(LIMIT_S)
        client.connect(str(folder / "control.sock"))
        client.sendall(b'{"hold": false}\n')
        assert json.loads(client.recv(4096)) == {
            "error": "hold needs true", "fix": 'send {"hold": true}, and close the connection to end it',
        }  # fmt: skip
    assert controls.muting is None


def test_a_daemon_that_this_user_may_not_control(controls: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_exchange", refuse)
    with pytest.raises(StatusError, match="permission denied") as error, held_microphone(print):
        pytest.fail("it is not held")
    assert error.value.fix.startswith("only members of the group audio may control it; ")
    assert controls.muting is None
