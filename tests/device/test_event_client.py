"""The client of the events: which socket it takes, and what it reports when it gets no events."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device import event_client
from device.errors import NoDaemonError, StatusError
from device.event_client import EventReader, event_socket_paths, own_event_socket
from tests.device.test_imports import imported_by
from tests.waiting import LIMIT_S

HELLO = b'{"event":"hello","protocol":1}\n'


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="events") as name:  # pytest's own paths are too long for a socket
        yield Path(name)


class Daemon:
    """Sends these bytes to the first program that connects, and closes the connection unless it `hangs`."""

    def __init__(self, path: Path, content: bytes, *, hangs: bool = False) -> None:
        self.path = path
        self._content = content
        self._hangs = hangs
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(LIMIT_S)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(LIMIT_S)
        self._listener.close()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(BrokenPipeError):  # the client has seen enough
            for number in range(len(self._content)):
                connection.sendall(self._content[number : number + 1])  # in as many parts as possible
            if self._hangs:
                self._over.wait(LIMIT_S)


def test_sockets(tmp_path: Path) -> None:
    service = Path("/run/edge-mcnn/events.sock")
    assert event_socket_paths({}) == [service]
    assert event_socket_paths({"RUNTIME_DIRECTORY": "/run/edge-mcnn"}) == [service]
    own = tmp_path / "edge-mcnn" / "events.sock"
    assert event_socket_paths({"XDG_RUNTIME_DIR": str(tmp_path)}) == [service, own]
    assert own_event_socket({"XDG_RUNTIME_DIR": str(tmp_path)}) == own
    assert own_event_socket({}) is None


def test_events_in_order_until_the_connection_ends(folder: Path) -> None:
    content = HELLO + b'{"event":"words","text":"\\u00e4"}\n{"event":"of a later version"}\n{"event":"cut'
    with Daemon(folder / "s", content) as daemon, EventReader.connect(daemon.path) as reader:
        assert reader.hello["protocol"] == 1
        assert list(reader) == [
            {"event": "hello", "protocol": 1}, {"event": "words", "text": "\xe4"}, {"event": "of a later version"},
        ]  # fmt: skip
        assert list(reader) == []


def test_the_first_socket_with_a_daemon_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with left, Daemon(folder / "own", HELLO):
        left.bind(str(folder / "killed"))  # nobody listens
        paths = [folder / "none", folder / "killed", folder / "own"]
        monkeypatch.setattr(event_client, "event_socket_paths", lambda: paths)
        with EventReader.connect() as reader:
            assert [event["event"] for event in reader] == ["hello"]


def test_no_daemon(folder: Path) -> None:
    with pytest.raises(NoDaemonError, match="no daemon is running") as error:
        EventReader.connect(folder / "none")
    assert error.value.fix == "start one: edge-mcnn listen"


def test_a_user_who_may_not_read_gets_the_command_that_helps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(event_client.EventReader, "_connected", refuse)
    with pytest.raises(StatusError, match="permission denied") as error:
        EventReader.connect(folder / "s")
    assert "only members of the group audio may read the events" in error.value.fix


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too many programs read the events now"),
        (b'{"event":"hello","protocol":2}\n', "not the events of this version"),
        (b'{"event":"state"}\n', "not the events of this version"),
        (b"[]\n", "not the events of this version"),
        (b"{}\n", "not the events of this version"),
        (b'{"event":1}\n', "not the events of this version"),
        (b"[" * 5000 + b"\n", "not the events of this version"),
        (b"\xff\n", "not the events of this version"),
    ],
)
def test_another_version_and_too_many_readers(folder: Path, content: bytes, message: str) -> None:
    with Daemon(folder / "s", content) as daemon, pytest.raises(StatusError, match=message) as error:
        EventReader.connect(daemon.path)
    assert error.value.fix


def test_a_line_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_client, "_LONGEST", 100)
    with Daemon(folder / "s", HELLO + b"x" * 1000) as daemon, EventReader.connect(daemon.path) as reader:
        assert next(reader)["event"] == "hello"
        with pytest.raises(StatusError, match="not the events of this version"):
            next(reader)


def test_a_daemon_that_does_not_respond(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_client, "_HELLO_LIMIT_S", 0.05)
    with Daemon(folder / "s", b"", hangs=True) as daemon, pytest.raises(StatusError, match="does not respond"):
        EventReader.connect(daemon.path)


def test_a_path_that_is_no_socket(folder: Path) -> None:
    with pytest.raises(StatusError) as error:
        EventReader.connect(folder / ("x" * 200))
    assert error.value.message
    assert error.value.fix


def test_close_ends_an_iteration_in_another_thread(folder: Path) -> None:
    with Daemon(folder / "s", HELLO, hangs=True) as daemon:
        reader = EventReader.connect(daemon.path)
        next(reader)
        closing = threading.Timer(0.05, reader.close)
        closing.start()
        assert list(reader) == []
        closing.join()


def test_it_needs_no_numpy() -> None:
    loaded = imported_by("import device.event_client")
    assert "device" in loaded
    assert loaded & {"numpy", "rich", "typer"} == set()
