import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.daemon.systemd import Systemd


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def test_notifications(manager: socket.socket) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": manager.getsockname()})
    for notify, message in [
        (systemd.ready, b"READY=1"),
        (systemd.alive, b"WATCHDOG=1"),
        (systemd.stopping, b"STOPPING=1"),
        (lambda: systemd.status("two\nlines \u00fc"), "STATUS=two lines \u00fc".encode()),
    ]:
        notify()
        assert manager.recv(200) == message


def test_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0edge-mcnn-test-{os.getpid()}")
        listener.settimeout(5)
        Systemd({"NOTIFY_SOCKET": f"@edge-mcnn-test-{os.getpid()}"}).ready()
        assert listener.recv(100) == b"READY=1"


def test_outside_systemd_nothing_happens() -> None:
    systemd = Systemd({})
    assert systemd.watchdog_s is None
    systemd.ready()


def test_a_closed_socket_is_ignored(tmp_path: Path) -> None:
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_period_of_the_watchdog(environment: dict[str, str], seconds: float | None) -> None:
    assert Systemd(environment).watchdog_s == seconds
