import contextlib
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.daemon import status as status_module
from device.daemon.status import Status, StatusServer, prometheus, read_status, running_daemon, socket_path
from device.errors import StatusError
from device.system.streams.console import SafeConsole
from edge_mcnn.setup.status import status_table

STATUS = Status(
    state="healthy", reason="", fix="", state_duration_s=1.0, uptime_s=2.0, microphone='a "USB" mic', rate=48_000,
    blocks_received=3, blocks_dropped=0, microphone_losses=1, utterances=2, last_label="neutral", latency_ms=3.5,
    latency_median_ms=4.0, latency_worst_ms=5.0, examples=5, examples_used=True, adapted=True,
    memory_mb=200.0, threads=7,
    open_files=13, pid=42, versions={"edge-mcnn": "1"},
)  # fmt: skip


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="status") as name:  # pytest's own paths are too long for a socket
        yield Path(name) / "run" / "status.sock"


def test_published_status_is_read(path: Path) -> None:
    with StatusServer(path, lambda: STATUS):
        assert read_status(path) == STATUS
        assert read_status(path) == STATUS
        assert path.stat().st_mode & 0o777 == 0o666
    assert not path.exists()
    with pytest.raises(StatusError, match="no daemon is running") as error:
        read_status(path)
    assert error.value.fix == "start one: edge-mcnn listen"


def test_clients_that_send_nothing_or_nonsense_do_no_harm(path: Path) -> None:
    with StatusServer(path, lambda: STATUS):
        clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(30)]
        for number, client in enumerate(clients):
            client.settimeout(5)
            client.connect(str(path))
            if number % 2:
                with contextlib.suppress(BrokenPipeError):  # it has been served and closed already
                    client.sendall(b"\xff" * 1000)
        assert read_status(path) == STATUS
        for client in clients:
            client.close()
        assert read_status(path) == STATUS


def test_the_socket_of_a_killed_daemon_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as orphan:
        orphan.bind(str(path))
    with StatusServer(path, lambda: STATUS):
        assert read_status(path) == STATUS


def test_the_socket_of_a_running_daemon_is_not_replaced(path: Path) -> None:
    with StatusServer(path, lambda: STATUS):
        with StatusServer(path, lambda: replace(STATUS, state="lost")):
            assert read_status(path) == STATUS
        assert read_status(path) == STATUS


def test_the_running_daemon_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = path.with_name("own")
    monkeypatch.setattr(status_module, "SERVICE_SOCKET", path)
    monkeypatch.setattr(status_module, "socket_path", lambda: own)
    assert running_daemon() is None
    with StatusServer(own, lambda: replace(STATUS, pid=1)):
        assert running_daemon() == replace(STATUS, pid=1)
        with StatusServer(path, lambda: STATUS):
            assert running_daemon() == STATUS, "the service wins"
    monkeypatch.setattr(status_module, "socket_path", lambda: None)
    assert running_daemon() is None


def test_missing_folder(path: Path) -> None:
    server = StatusServer(path / "a" / "b", lambda: STATUS)
    with pytest.raises(StatusError, match="the status socket cannot be opened"), server:
        pass


def read_response(path: Path, content: bytes) -> None:
    """Read the status from a server that sends `content` once."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen()

        def respond() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.sendall(content)
                except OSError:
                    return  # the client has closed the connection

        thread = threading.Thread(target=respond)
        thread.start()
        try:
            read_status(path)
        finally:
            thread.join(5)


value = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
tables = st.dictionaries(st.text() | st.sampled_from(sorted(asdict(STATUS))), value)


@given(
    st.binary(max_size=2000)
    | tables.map(lambda table: json.dumps(table).encode())
    | tables.map(lambda table: json.dumps({**asdict(STATUS), **table}).encode())
    | st.just(b"[" * 70_000)
    | st.just(b" " * 1_000_000)
)
def test_any_response_is_a_status_or_a_status_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="status") as name:
        try:
            read_response(Path(name) / "s", content)
        except StatusError as error:
            assert "not a status of this version" in error.message  # noqa: PT017  # a valid status raises nothing
            assert error.fix == "restart the daemon"  # noqa: PT017  # as above


def test_prometheus() -> None:
    text = prometheus(replace(STATUS, microphone='a "b"\\\n'))
    assert 'edge_mcnn_state{state="healthy",microphone="a \\"b\\"\\\\\\\\n"} 1\n' in text
    assert "# TYPE edge_mcnn_utterances_total counter\nedge_mcnn_utterances_total 2\n" in text
    assert "# TYPE edge_mcnn_audio_blocks_received_total counter\nedge_mcnn_audio_blocks_received_total 3\n" in text
    assert "edge_mcnn_microphone_losses_total 1\n" in text
    assert "edge_mcnn_latency_seconds 0.0035\n" in text
    assert "edge_mcnn_latency_median_seconds 0.004\n" in text
    assert "edge_mcnn_resident_memory_bytes 200000000\n" in text
    assert "edge_mcnn_state_duration_seconds 1\n" in text
    assert "edge_mcnn_uptime_seconds 2\n" in text
    assert "# TYPE edge_mcnn_voice_examples gauge\nedge_mcnn_voice_examples 5\n" in text
    assert "edge_mcnn_voice_adapted 1\n" in text
    assert "edge_mcnn_voice_adapted 0\n" in prometheus(replace(STATUS, adapted=False))
    for line in text.splitlines():
        assert line.startswith(("# HELP edge_mcnn_", "# TYPE edge_mcnn_", "edge_mcnn_"))


def test_prometheus_names_follow_the_conventions() -> None:
    """The rules of https://prometheus.io/docs/practices/naming/."""
    kinds = dict(line.split()[2:] for line in prometheus(STATUS).splitlines() if line.startswith("# TYPE"))
    for name, kind in kinds.items():
        assert name.endswith("_total") == (kind == "counter")
        assert not name.removesuffix("_total").endswith(("_s", "_ms", "_mb", "_milliseconds", "_megabytes"))


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"RUNTIME_DIRECTORY": "/run/edge-mcnn:/run/other", "XDG_RUNTIME_DIR": "/x"}, "/run/edge-mcnn/status.sock"),
        ({"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/edge-mcnn/status.sock"),
        ({}, "None"),
    ],
)
def test_socket_path(environment: dict[str, str], path: str) -> None:
    assert str(socket_path(environment)) == path


def test_the_reason_and_the_fix_are_apart() -> None:
    lost = replace(STATUS, state="lost", reason="it is gone", fix="plug it in again")
    assert asdict(lost)["reason"] == "it is gone"
    assert asdict(lost)["fix"] == "plug it in again"
    for status, shown in ((lost, True), (STATUS, False)):
        file = StringIO()
        SafeConsole(file=file, width=100).print(status_table(status))
        rows = [line.split(maxsplit=1) for line in file.getvalue().splitlines()]
        assert (["fix", "plug it in again"] in [[name, value.rstrip()] for name, value in rows]) == shown


@pytest.mark.parametrize(
    ("examples", "used", "adapted", "shown"),
    [
        (0, False, False, "no examples"),
        (0, False, True, "no examples; adapted by utterances without a label"),
        (1, False, False, "1 example, not used: they do not help yet"),
        (1, False, True, "1 example, not used: they do not help yet; adapted by utterances without a label"),
        (5, True, True, "5 examples, used"),
    ],
)
def test_the_voice_profile_is_shown(examples: int, used: bool, adapted: bool, shown: str) -> None:
    file = StringIO()
    status = replace(STATUS, examples=examples, examples_used=used, adapted=adapted)
    SafeConsole(file=file, width=120).print(status_table(status))
    [line] = [line for line in file.getvalue().splitlines() if line.startswith("voice profile")]
    assert line.removeprefix("voice profile").strip() == shown


def test_names_with_brackets_are_no_markup() -> None:
    console = SafeConsole(file=StringIO(), width=100)
    console.print(
        status_table(replace(STATUS, state="lost", microphone="USB [/x]\x1b[31m mic", reason="see [lights.pins]"))
    )
    assert isinstance(console.file, StringIO)
    assert "USB [/x]\\x1b[31m mic, 48000 Hz" in console.file.getvalue()
    assert "see [lights.pins]" in console.file.getvalue()
