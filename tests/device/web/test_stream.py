"""The stream of events: what a new page gets, how many there may be, slow pages, and pages whose session has ended."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.web.access.passwords import write_password
from device.web.stream import MOST_CLIENTS
from tests.device.web.server import PASSWORD, START, FakeDaemon, Server, prediction, running
from tests.waiting import LIMIT_S, wait_until


class Page:
    """A page that reads the stream of events."""

    def __init__(self, server: Server, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(("127.0.0.1", server.port))
        cookies = "; ".join(f"{name}={value}" for name, value in server.cookies.items())
        self.socket.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n".encode())
        self._stream = self.socket.makefile("rb")
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self._stream.readline()
        self.status = int(self.head.split()[1])

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self.socket.close()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events, until the server ends the stream."""
        with contextlib.suppress(ConnectionResetError):  # another way to end it
            for line in self._stream:
                if line.startswith(b"data: ") and line.endswith(b"\n"):
                    yield json.loads(line.removeprefix(b"data: "))

    def until(self, name: str) -> list[dict[str, Any]]:
        """Read up to the first event of this name."""
        found = []
        for event in self.events():
            found.append(event)
            if event["event"] == name:
                return found
        raise AssertionError(f"the stream ended before {name}: {found}")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path / "events.sock", (*START, {**prediction(1), "replayed": True})) as daemon:
        yield daemon


@pytest.fixture
def server(tmp_path: Path, daemon: FakeDaemon) -> Iterator[Server]:
    with running(tmp_path) as server:
        wait_until(lambda: server.services.live.latest, message="the daemon was not found")
        yield server


def test_a_page_gets_the_current_state_then_what_happens(server: Server, daemon: FakeDaemon) -> None:
    with Page(server) as page:
        assert b"\r\nContent-Type: text/event-stream\r\n" in page.head
        assert b"\r\nCache-Control: no-store\r\n" in page.head
        assert b"\r\nContent-Security-Policy: " in page.head
        first = page.until("prediction")
        assert [each["event"] for each in first] == ["connection", "hello", "state", "mute", "health", "prediction"]
        assert first[0] == {"event": "connection", "connected": True, "message": "", "fix": ""}
        assert (first[-1]["number"], first[-1]["replayed"], first[-1]["corrected"]) == (1, True, None)
        daemon.send({"event": "level", "dbfs": -43.2}, prediction(2))
        assert [each["event"] for each in page.until("prediction")] == ["level", "prediction"]
        daemon.drop()
        assert page.until("connection")[-1]["connected"] is False
        # Nothing of what the daemon repeats comes again as a prediction.
        daemon.send(prediction(3))
        assert page.until("prediction")[-1]["number"] == 3


def test_there_are_only_so_many_pages(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(Page(server)) for _ in range(MOST_CLIENTS)]
        assert {page.status for page in pages} == {200}
        with Page(server) as refused:
            assert refused.status == 503
            assert b"\r\nRetry-After: 10\r\n" in refused.head
        assert server.get("/").status == 200
        pages[0].__exit__()
        wait_until(lambda: len(server.services.hub) < MOST_CLIENTS, message="no place became free")
        stack.enter_context(Page(server)).until("hello")


def test_a_frozen_page_is_disconnected_and_the_others_go_on(server: Server, daemon: FakeDaemon) -> None:
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(Page(server)) for _ in range(MOST_CLIENTS - 1)]
        frozen = stack.enter_context(Page(server, receive_bytes=4096))
        for page in [*pages, frozen]:
            page.until("prediction")
        columns = {"event": "speech", "first": 0, "columns": "A" * 8000}
        for number in range(200):  # 1.6 MB, more than all buffers hold
            daemon.send({**columns, "first": number})
            for page in pages:
                assert page.until("speech")[-1]["first"] == number
        wait_until(lambda: len(server.services.hub) == len(pages), message="the frozen page is still connected")
        assert len(list(frozen.events())) < 200
        assert server.services.live.connected


def test_a_logout_ends_the_streams_of_its_session_alone(tmp_path: Path) -> None:
    write_password(tmp_path, PASSWORD)
    with running(tmp_path) as server:
        with Page(server) as page:
            assert page.status in (303, 401)
        server.log_in()
        first = dict(server.cookies)
        with Page(server) as page:
            server.cookies.clear()
            server.log_in()
            with Page(server) as other:
                server.cookies.clear()
                server.cookies.update(first)
                server.post("/logout", {})
                assert [each["event"] for each in page.events()] == ["connection"], "the stream goes on"
                server.call(lambda: server.services.hub.publish({"event": "level", "dbfs": -1}))
                assert other.until("level")


def test_a_new_password_ends_the_streams(tmp_path: Path) -> None:
    write_password(tmp_path, PASSWORD)
    with running(tmp_path) as server:
        server.log_in()
        with Page(server) as page:
            page.until("connection")
            write_password(tmp_path, "another password")
            server.call(lambda: server.services.hub.publish({"event": "level", "dbfs": -1}))
            assert list(page.events()) == []


def test_the_server_ends_although_pages_are_open(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with running(tmp_path) as server:
            pages = [stack.enter_context(Page(server)) for _ in range(3)]
        for page in pages:
            list(page.events())  # ends


def test_a_page_that_goes_is_forgotten(server: Server, daemon: FakeDaemon) -> None:
    for _ in range(3):
        with Page(server) as page:
            page.until("prediction")
    daemon.send({"event": "level", "dbfs": -1})
    wait_until(lambda: len(server.services.hub) == 0, message="pages that have gone are still served")
