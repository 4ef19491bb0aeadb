"""The control socket: who may use it, and that no client can harm the daemon or delay the others for long."""

import contextlib
import grp
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.adaptation.adapted_classifier import Learnt
from device.daemon import control
from device.daemon.control import ControlServer, check_device, control_socket_path, correct_last, set_muted
from device.daemon.controls import Controls
from device.daemon.self_check import Checked
from device.errors import ProfileError, StatusError
from tests.device.outputs.commands import NotedCommands
from tests.waiting import LIMIT_S, wait_until


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the service has its socket, and no other daemon."""
    with tempfile.TemporaryDirectory(prefix="control") as name:  # pytest's own paths are too long for a socket
        path = Path(name) / "run" / "control.sock"
        monkeypatch.setattr(control, "SERVICE_CONTROL_SOCKET", path)
        monkeypatch.setattr(control, "control_socket_path", lambda: None)
        yield path


def learn(label: str) -> Learnt:
    if label == "angry":
        raise ProfileError("angry is not a class of the model", fix="use one of negative, neutral")
    return Learnt(5, used=label == "negative")


def served(
    path: Path, learn: Callable[[str], Learnt] = learn, check: Callable[[], Checked] | None = None
) -> ControlServer:
    commands = NotedCommands(learn)

    def mute(muted: bool | None) -> str:
        commands.mute(muted)
        return f"asked for {muted}\x1b[2J"

    def show(label: str) -> None:
        if label != "negative":
            raise StatusError(f"{label} is not a class of the model", fix="use one of negative")

    return ControlServer(path, commands, mute, Controls().hold, show, check)


def test_muting(path: Path) -> None:
    with served(path):
        assert set_muted(True) == (True, "asked for True\\x1b[2J")
        assert set_muted(None)[0] is False
        assert set_muted(None)[0] is True
        assert set_muted(False)[0] is False
        for wrong in (b"1", b'"on"', b"[]", b"{}", b"0.0"):
            reply = json.loads(reply_to(path, b'{"mute": ' + wrong + b"}"))
            assert reply == {
                "error": "mute needs true, false or null", "fix": 'send {"mute": true}, or null to change it',
            }  # fmt: skip
    with pytest.raises(StatusError, match="no daemon is running") as error:
        set_muted(True)
    assert error.value.fix == "start one: edge-mcnn listen"


@pytest.mark.parametrize("reply", [b'{"muted": "on"}', b'{"message": "muted"}'])
def test_a_reply_of_another_version_to_muting(path: Path, monkeypatch: pytest.MonkeyPatch, reply: bytes) -> None:
    monkeypatch.setattr(control, "_exchange", lambda *_: reply)
    with pytest.raises(StatusError, match="not one of this version"):
        set_muted(True)


def test_a_light_is_shown(path: Path) -> None:
    with served(path):
        assert reply_to(path, b'{"light": "negative"}') == b'{"light": "negative"}\n'
        assert json.loads(reply_to(path, b'{"light": "angry"}')) == {
            "error": "angry is not a class of the model", "fix": "use one of negative",
        }  # fmt: skip
        assert json.loads(reply_to(path, b'{"light": 1}'))["error"] == "the class is not text"


FINDING = {"topic": "microphone", "verdict": "FAIL", "message": "no microphone found", "fix": "plug one in"}


def test_the_device_is_checked(path: Path) -> None:
    hostile = {**FINDING, "message": "\x1b[2J"}
    with served(path, check=lambda: Checked([FINDING, hostile], 1.5)):
        assert check_device() == Checked([FINDING, {**FINDING, "message": "\\x1b[2J"}], 1.5)
        for wrong in (b"false", b"1", b'"on"', b"null", b"{}"):
            reply = json.loads(reply_to(path, b'{"check": ' + wrong + b"}"))
            assert reply == {"error": "check needs true", "fix": 'send {"check": true}'}
    with pytest.raises(StatusError, match="no daemon is running"):
        check_device()


def test_a_daemon_that_cannot_check_itself_refuses(path: Path) -> None:
    with served(path), pytest.raises(StatusError, match="this device cannot check itself") as error:
        check_device()
    assert error.value.fix == "on the device, run: edge-mcnn doctor"


def test_a_check_that_fails_is_reported(path: Path) -> None:
    def fail() -> Checked:
        raise StatusError("the check failed", fix="do this")

    with served(path, check=fail), pytest.raises(StatusError, match="the check failed") as error:
        check_device()
    assert error.value.fix == "do this"


def test_many_long_findings_fit_into_a_reply(path: Path) -> None:
    """As many as `device.daemon.self_check` accepts, of letters that JSON escapes."""
    long = {**FINDING, "message": "\u00e4" * 9_900}
    with served(path, check=lambda: Checked([long], 0.0)):
        assert check_device().findings == [long]


@pytest.mark.parametrize("reply", [b'{"findings": []}', b'{"findings": [1], "age_s": 1}', b'{"age_s": 1}'])
def test_a_reply_of_another_version_to_a_check(path: Path, monkeypatch: pytest.MonkeyPatch, reply: bytes) -> None:
    monkeypatch.setattr(control, "_exchange", lambda *_: reply)
    with pytest.raises(StatusError, match="not one of this version"):
        check_device()


def test_checks_take_no_place_of_others_and_only_some_wait(path: Path) -> None:
    released = threading.Event()
    waiting = threading.Semaphore(0)

    def wait() -> Checked:
        waiting.release()
        released.wait(LIMIT_S)
        return Checked([FINDING], 0.0)

    results: list[Checked] = []
    with served(path, check=wait):
        threads = [threading.Thread(target=lambda: results.append(check_device())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert waiting.acquire(timeout=LIMIT_S)
        with pytest.raises(StatusError, match="4 programs wait for a check already"):
            check_device()
        assert set_muted(True)[0] is True
        assert correct_last("negative").used
        released.set()
        for thread in threads:
            thread.join(LIMIT_S)
        wait_until(lambda: check_device().findings)
    assert [each.findings for each in results] == [[FINDING]] * 4


def connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(LIMIT_S)
    connection.connect(str(path))
    return connection


def reply_to(path: Path, request: bytes) -> bytes:
    with connected(path) as connection:
        with contextlib.suppress(BrokenPipeError):  # the server has read as much as it reads
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        reply = b""
        with contextlib.suppress(ConnectionResetError):  # what was not read is discarded
            while part := connection.recv(4096):
                reply += part
        return reply


def test_the_latest_prediction_is_corrected(path: Path) -> None:
    with served(path):
        assert correct_last("negative") == Learnt(5, used=True)
        assert correct_last("neutral") == Learnt(5, used=False)
        with pytest.raises(ProfileError, match="angry is not a class") as error:
            correct_last("angry")
        assert error.value.fix == "use one of negative, neutral"
        assert reply_to(path, b'{"correct": "negative"}') == b'{"label": "negative", "examples": 5, "used": true}\n'
    assert not path.exists()
    with pytest.raises(StatusError, match="no daemon is running") as stopped:
        correct_last("negative")
    assert stopped.value.fix == "start one: edge-mcnn listen"


def test_the_service_wins_over_the_own_daemon(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = path.with_name("own.sock")
    monkeypatch.setattr(control, "control_socket_path", lambda: own)
    with served(own, lambda _: Learnt(1, used=False)):
        assert correct_last("a").examples == 1
        with served(path):
            assert correct_last("a").examples == 5


@pytest.mark.parametrize(
    "request_",
    [
        b"", b"\n", b"garbage\n", b"\xff" * 4000, b"[1]", b"{}", b'{"correct": "a", "b": 1}', b'{"forget": 1}',
        b'{"correct": 1}', b'{"correct": "angry"}', b"[" * 5000, b" " * 1_000_000, b'{"\x1b[31m": 1}',
        b'{"correct": "' + b"a" * 5000 + b'"}', b'{"correct": NaN}',
    ],
)  # fmt: skip
def test_other_requests_get_an_error_with_a_fix(path: Path, request_: bytes) -> None:
    with served(path):
        reply = reply_to(path, request_)
        if reply:
            table = json.loads(reply)
            assert set(table) == {"error", "fix"}
            assert table["error"]
            assert table["fix"]
            assert "\\u001b" not in reply.decode()
        else:
            assert not request_.strip() or len(request_) > 4096, "an empty request needs no reply"
        assert correct_last("negative").used


@given(st.binary(max_size=5000))
def test_any_bytes_leave_the_server_running(request_: bytes) -> None:
    server = served(Path("unused"))
    table = server._reply(request_)
    assert set(table) in ({"error", "fix"}, {"muted", "message"}) or table["label"] in json.loads(request_).values()


def test_slow_clients_do_not_keep_others_from_correcting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_CLIENT_LIMIT_S", 0.2)
    with served(path), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(path)) for _ in range(10)]
        for client in clients[::2]:
            with contextlib.suppress(BrokenPipeError):  # it was cut off already
                client.sendall(b'{"correct": ')
        assert correct_last("negative").used
        for client in clients:
            with contextlib.suppress(ConnectionResetError):  # the same
                assert client.recv(1) == b"", "it is cut off without a reply"


def test_a_client_that_sends_a_byte_at_a_time_is_cut_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_CLIENT_LIMIT_S", 0.3)
    with served(path), connected(path) as client:
        started = time.monotonic()

        def is_cut_off() -> bool:
            try:
                client.sendall(b" ")
            except OSError:
                return True
            return False

        wait_until(is_cut_off)
        assert time.monotonic() - started < 5


def test_many_connections_are_served_a_few_at_a_time(path: Path) -> None:
    lock = threading.Lock()
    running = most = 0

    def count(_label: str) -> Learnt:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        wait_until(lambda: most == 4)
        with lock:
            running -= 1
        return Learnt(1, used=True)

    with served(path, count):
        threads = [threading.Thread(target=correct_last, args=("a",)) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
        assert not any(thread.is_alive() for thread in threads)
    assert most == 4


def test_the_end_does_not_wait_for_a_correction_that_hangs(path: Path) -> None:
    released, begun = threading.Event(), threading.Event()

    def hang(_label: str) -> Learnt:
        begun.set()
        released.wait(LIMIT_S)
        return Learnt(1, used=True)

    with contextlib.ExitStack() as stack:
        with served(path, hang):
            for _ in range(6):  # more than are served
                client = stack.enter_context(connected(path))
                client.sendall(b'{"correct": "a"}\n')
            assert begun.wait(LIMIT_S)
            started = time.monotonic()
        assert time.monotonic() - started < 1.5
        released.set()


def test_the_socket_of_a_killed_daemon_is_replaced_and_that_of_a_running_one_is_not(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as orphan:
        orphan.bind(str(path))
    with served(path):
        with served(path, lambda _: Learnt(1, used=False)):
            assert correct_last("a").examples == 5
        assert correct_last("a").examples == 5


def test_missing_folder(path: Path) -> None:
    server = served(path / "a" / "b")
    with pytest.raises(StatusError, match="the control socket cannot be opened"), server:
        pass


def access(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mode & 0o777, status.st_gid


def test_members_of_the_group_audio_may_use_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getegid()
    monkeypatch.setattr(control, "AUDIO_GROUP", grp.getgrgid(own).gr_name)
    with served(path):
        assert access(path) == (0o660, own)
    monkeypatch.setattr(control, "AUDIO_GROUP", "no such group")
    with served(path):
        assert access(path) == (0o600, own)
    other = next(each for each in grp.getgrall() if each.gr_gid not in (*os.getgroups(), own))
    monkeypatch.setattr(control, "AUDIO_GROUP", other.gr_name)
    with served(path):
        assert access(path) == (0o600, own), "this process is no member"


def test_a_user_who_may_not_use_the_socket_gets_the_command_that_helps(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(control, "_exchange", refuse)
    with pytest.raises(StatusError, match="permission denied") as error:
        correct_last("negative")
    assert error.value.fix.startswith("only members of the group audio may control it; ")


@pytest.mark.parametrize("reply", [b"", b"garbage", b"[]", b'{"label": "a"}', b'{"examples": "many", "used": 1}'])
def test_a_reply_of_another_version(path: Path, monkeypatch: pytest.MonkeyPatch, reply: bytes) -> None:
    monkeypatch.setattr(control, "_exchange", lambda *_: reply)
    with pytest.raises(StatusError, match="not one of this version") as error:
        correct_last("negative")
    assert error.value.fix == "restart the daemon"


def test_path_of_the_socket() -> None:
    assert control_socket_path({"RUNTIME_DIRECTORY": "/run/edge-mcnn"}) == Path("/run/edge-mcnn/control.sock")
    assert control_socket_path({"XDG_RUNTIME_DIR": "/run/user/1"}) == Path("/run/user/1/edge-mcnn/control.sock")
    assert control_socket_path({}) is None
