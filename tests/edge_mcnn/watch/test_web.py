"""`edge-mcnn web` as a process: its start and end, its password and tokens, and what it refuses."""

import contextlib
import http.client
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from device.settings.schema import Settings
from device.settings.toml import read_settings
from device.web.access.passwords import read_password
from edge_mcnn.watch.web import _set_password, offer_history
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn
from tests.waiting import LIMIT_S, wait_until

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # for the time of a test


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"STATE_DIRECTORY": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path), "NOTIFY_SOCKET": ""}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def web(environment: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the server as a process; yield it and its port once it serves the page."""
    port = free_port()
    command = [sys.executable, "-m", "edge_mcnn", "web", "--port", str(port), *arguments]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONWARNINGS": "error", **environment},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            wait_until(lambda: process.poll() is not None or is_open(port), message="no page is served")
            yield process, port
        finally:
            process.kill()


def is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S):
            return True
    except OSError:
        return False


def get(port: int, path: str = "/", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_ended(environment: dict[str, str], number: signal.Signals) -> None:
    with web(environment) as (process, port):
        status, page = get(port)
        assert (status, "<!doctype html>" in page) == (200, True)
        streaming = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        streaming.request("GET", "/events")
        response = streaming.getresponse()  # an open page delays nothing
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0
        response.close()
        streaming.close()
        assert process.stderr is not None
        assert process.stderr.read() == f"the page is at http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"


def test_systemd_is_notified(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LIMIT_S)
        watched = {**environment, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with web(watched) as (process, _):
            assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            process.terminate()
            while (message := manager.recv(100)) == b"WATCHDOG=1":
                pass
            assert message == b"STOPPING=1"


def test_systemd_opens_the_port(environment: dict[str, str]) -> None:
    """As for the service, which has no network of its own."""
    port = free_port()
    passed = [f"--setenv={name}" for name in (*environment, "PYTHONPATH")]
    command = [
        "systemd-socket-activate",
        f"--listen=127.0.0.1:{port}",
        *passed,
        sys.executable,
        "-m",
        "edge_mcnn",
        "web",
    ]
    with subprocess.Popen(
        command,
        env={"PYTHONPATH": "", **os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == f"Listening on 127.0.0.1:{port} as 3.\n"
            assert get(port)[0] == 200
            process.terminate()
            assert process.wait(LIMIT_S) == 0
            assert process.stderr.read().endswith(f"the page is at http://127.0.0.1:{port}/\n")
        finally:
            process.kill()


def test_another_address_needs_a_password(environment: dict[str, str]) -> None:
    for address in (EVERY_ADDRESS, "::"):
        done = edge_mcnn("web", "--address", address, "--port", str(free_port()), environment=environment)
        assert_refused(done, "which other machines can reach, and no password is set", "edge-mcnn web --set-password")
    edge_mcnn_with_input("correct horse\n", "web", "--set-password", environment=environment)
    with web(environment, "--address", EVERY_ADDRESS) as (_, port):
        assert get(port)[0] == 303
        assert "This is edge-mcnn" in get(port, "/login")[1]


def edge_mcnn_with_input(text: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_mcnn", *arguments], input=text, capture_output=True, text=True, check=False,
        env={**os.environ, **environment}, timeout=120,
    )  # fmt: skip


def test_password_and_tokens(environment: dict[str, str]) -> None:
    file = Path(environment["STATE_DIRECTORY"]) / "web-password"
    assert_refused(
        edge_mcnn_with_input("short\n", "web", "--set-password", environment=environment), "5 characters", "8 to 1000"
    )
    done = edge_mcnn_with_input("correct horse\n", "web", "--set-password", environment=environment)
    assert done.stdout == f"{file}: the password is set; all sessions have ended\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = edge_mcnn("web", "--make-token", "script", environment=environment)
    assert made.stderr == "Store it now: it is not shown again.\n"
    made = edge_mcnn("web", "--make-token", "script", environment=environment)
    assert made.stderr.endswith("The former token script is no longer valid.\n")
    token = made.stdout.strip()
    with web(environment) as (_, port):
        assert get(port, "/api/status")[0] == 401
        assert get(port, "/api/status", Authorization=f"Bearer {token}")[0] == 200
        assert edge_mcnn("web", "--remove-token", "script", environment=environment).returncode == 0
        assert get(port, "/api/status", Authorization=f"Bearer {token}")[0] == 401
        done = edge_mcnn("web", "--remove-password", environment=environment)
        assert done.stdout == f"{file}: the password is removed\n"
        assert get(port, "/api/status")[0] == 200
    assert_refused(edge_mcnn("web", "--remove-token", "script", environment=environment), "no token 'script'")
    both = edge_mcnn("web", "--set-password", "--remove-password", environment=environment)
    assert both.returncode == 2


def test_a_password_that_is_too_short_is_refused_before_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    replies = [("Password: ", "short"), ("Password: ", "correct horse"), ("The same again: ", "correct horse")]

    def reply(question: str) -> str:
        expected, text = replies.pop(0)
        assert question == expected
        return text

    monkeypatch.setattr("getpass.getpass", reply)
    _set_password()
    assert replies == []
    assert capsys.readouterr().err == (
        "edge-mcnn: the password has 5 characters\n  fix: choose one with 8 to 1000 characters\n"
    )
    stored = read_password(tmp_path)
    assert stored is not None
    assert stored.matches("correct horse")


def test_a_damaged_password_is_refused(environment: dict[str, str]) -> None:
    state = Path(environment["STATE_DIRECTORY"])
    state.mkdir()
    (state / "web-password").write_text("{}x")
    done = edge_mcnn("web", "--port", str(free_port()), environment=environment)
    assert_refused(done, "web-password: the file is damaged")


def test_what_cannot_be_served_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])
        done = edge_mcnn("web", "--port", str(port), environment=environment)
        assert_refused(done, f"127.0.0.1 port {port} cannot be opened (Address already in use)", f"--port {port + 1}")
    assert_refused(edge_mcnn("web", "--address", "192.0.2.1", environment=environment), "no password is set")
    edge_mcnn_with_input("correct horse\n", "web", "--set-password", environment=environment)
    done = edge_mcnn("web", "--address", "192.0.2.1", environment=environment)
    assert_refused(done, "Cannot assign requested address", "use 127.0.0.1, 0.0.0.0 or an address of this machine")
    edge_mcnn("web", "--remove-password", environment=environment)
    assert_refused(edge_mcnn("web", "--address", "a.invalid", environment=environment), "a.invalid")
    (tmp_path / "key.pem").write_text("no key")
    for text, words in (
        (f'certificate_file = "{tmp_path}/none.pem"\nkey_file = "x"', "none.pem cannot be read"),
        (f'certificate_file = "{tmp_path}/key.pem"\nkey_file = "{tmp_path}/key.pem"', "cannot be used"),
        (f'key_file = "{tmp_path}/key.pem"', "web.certificate_file is missing"),
    ):
        (tmp_path / "config.toml").write_text(f"[web]\n{text}\n")
        done = edge_mcnn("web", "--config", str(tmp_path / "config.toml"), environment=environment)
        assert_refused(done, words)


def test_https(environment: dict[str, str], tmp_path: Path) -> None:
    import ssl

    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "config.toml").write_text(
        f'[web]\ncertificate_file = "{tmp_path}/cert.pem"\nkey_file = "{tmp_path}/key.pem"\n'
    )
    with web(environment, "--config", str(tmp_path / "config.toml")) as (_, port):
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        connection = http.client.HTTPSConnection("localhost", port, timeout=LIMIT_S, context=context)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.status == 200
        cookie = response.headers["Set-Cookie"]
        response.close()
        connection.close()
        assert cookie.startswith("__Host-edge-mcnn-form=")
        assert "; Secure" in cookie


_IMPORTED = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def test_the_server_needs_no_numpy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import edge_mcnn.watch.web_server, device.web.serve; {_IMPORTED}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert {"aiohttp", "jinja2"} <= loaded
    assert loaded & {"numpy", "typer", "rich", "vosk", "sounddevice", "tomlkit", "gpiozero"} == set()


def test_the_daemon_needs_no_web_server() -> None:
    modules = "edge_mcnn.main, edge_mcnn.detect.listen, device.daemon.daemon, device.outputs.create"
    done = subprocess.run(
        [sys.executable, "-c", f"import {modules}; {_IMPORTED}"], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & {"aiohttp", "jinja2", "sqlite3"} == set()


@pytest.mark.parametrize("keeps", [True, False])
def test_the_first_start_offers_a_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool) -> None:
    questions: list[str] = []

    def reply(question: str, *, default: bool = True, interruptible: bool = False) -> bool:
        questions.append(question)
        assert not default, "Enter alone stores nothing"
        assert interruptible
        return keeps

    monkeypatch.setattr("edge_mcnn.watch.web.out.confirm", reply)
    config = tmp_path / "config.toml"
    config.write_text("[web]\nport = 8360\n")
    for _ in range(2):
        offer_history(read_settings(config), config)
        assert read_settings(config).history.keep_days == (30 if keeps else 0)
    assert len(questions) == 1, "the question comes again"


@pytest.mark.parametrize("command", [("web",), ("listen", "--web", "--lights", "none")])
def test_ctrl_c_at_the_offer_ends_the_command(
    command: tuple[str, ...], tmp_path: Path, environment: dict[str, str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[web]\nport = 8360\n")
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_mcnn", *command, "--config", config],
        stdin=terminal, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        question = ""
        while not question.endswith("[y/N] "):
            letter = process.stderr.read(1)
            assert letter, question
            question += letter
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
        os.close(terminal)
    assert (process.returncode, rest) == (130, "\n")
    assert config.read_text() == "[web]\nport = 8360\n"


def test_without_a_settings_file_the_first_start_explains_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    offer_history(Settings(), None)
    assert "keep_days = 30 under [history]" in capsys.readouterr().err
