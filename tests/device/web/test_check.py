"""The check of every part on the page `/health`: who requests it, what is shown, and what it must not delay."""

import contextlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from device.errors import NoDaemonError, StatusError
from device.web import connections
from device.web.access.passwords import write_password
from device.web.sources.daemon_requests import LastCheck
from tests.device.web.server import FINDINGS, PASSWORD, FakeDaemon, Response, Server, running
from tests.waiting import LIMIT_S, wait_until

JSON = {"Accept": "application/json"}
HOSTILE = "<script>alert(1)</script>"
Change = Callable[[str, Any], None]


class SlowCheck:
    """A daemon whose check lasts until `go` is set."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, name: str, _value: Any) -> None:
        if name == "check":
            self.begun.set()
            assert self.go.wait(LIMIT_S)


@pytest.fixture
def slow() -> Iterator[SlowCheck]:
    check = SlowCheck()
    yield check
    check.go.set()


class Posting:
    """A request for a check that another browser sends, with the cookies of the server's client."""

    def __init__(self, server: Server, **headers: str) -> None:
        self.response: Response | None = None
        form = {"csrf": server.csrf("/health")}
        self._thread = threading.Thread(target=lambda: self._send(server, form, headers))
        self._thread.start()

    def _send(self, server: Server, form: dict[str, str], headers: dict[str, str]) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the server has ended
            self.response = server.request("POST", "/check", form, headers=headers)

    def ended(self) -> Self:
        """Wait until there is a response, or the connection has ended."""
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        return self

    def wait(self) -> Response:
        response = self.ended().response
        assert response is not None
        return response


def text_of(page: str) -> str:
    """The text of the section, on one line."""
    section = re.search(r'<section class="card" id="check".*?</section>', page, re.DOTALL)
    assert section is not None
    return " ".join(re.sub(r"<[^>]+>", " ", section[0]).split())


def test_the_findings_are_shown_with_problems_first(tmp_path: Path) -> None:
    with FakeDaemon(tmp_path / "events.sock"), running(tmp_path) as server:
        wait_until(lambda: server.services.live.connected)
        assert "Not checked yet." in text_of(server.get("/health").text)
        done = server.post("/check", {})
        assert (done.status, done.headers["Location"]) == (303, "/health#check")
        text = text_of(server.get("/health").text)
        assert re.search(r"Fix first: microphone\. Checked \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \.", text), text
        order = (
            "FAIL microphone no microphone found Plug one in WARN lights no LED will light up Nothing to fix OK sett"
        )
        assert order in text
        assert server.changes == [("check", True)]


def test_scripts_get_json(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        found = json.loads(server.post("/check", {}, **JSON).text)
    assert found.keys() == {"time", "findings", "summary"}
    assert found["findings"] == list(FINDINGS)
    assert found["summary"] == "Fix first: microphone."


@pytest.mark.parametrize(
    "error",
    [
        NoDaemonError("no daemon is running", fix="start one: edge-mcnn listen"),
        StatusError("the check did not end within 120 s", fix="on the device, run: edge-mcnn doctor"),
    ],
)
def test_a_check_that_fails_is_reported_and_the_last_findings_stay(tmp_path: Path, error: StatusError) -> None:
    fails = False

    def change(_name: str, _value: object) -> None:
        if fails:
            raise error

    with running(tmp_path, change=change) as server:
        server.post("/check", {})
        fails = True
        assert json.loads(server.post("/check", {}, **JSON).text) == {"error": error.message, "fix": error.fix}
        refused = server.post("/check", {})
        assert refused.status == 503
        assert error.message[1:] in refused.text
        text = text_of(server.get("/health").text)
        assert "Fix first: microphone." in text
        assert "Checking" not in text
        assert "Nothing can be checked while the device does not run." in text


def test_one_check_for_all_who_press_and_a_mute_does_not_wait(tmp_path: Path, slow: SlowCheck) -> None:
    with running(tmp_path, change=slow) as server:
        requested = threading.Semaphore(0)
        check = server.services.daemon.check

        async def note() -> LastCheck:
            requested.release()
            return await check()

        server.services.daemon.check = note  # type: ignore[method-assign]  # notes that the request has arrived
        first = Posting(server)
        assert slow.begun.wait(LIMIT_S)
        second = Posting(server, **JSON)
        assert all(requested.acquire(timeout=LIMIT_S) for _ in range(2))
        page = server.get("/health").text
        assert "Checking… It takes some seconds." in text_of(page)
        assert "Not checked yet" not in page
        assert server.post("/mute", {"muted": "on"}).status == 303, "it does not wait for the check"
        slow.go.set()
        assert first.wait().status == 303
        assert json.loads(second.wait().text)["findings"]
        assert server.changes == [("mute", True), ("check", True)]
        assert "Checking" not in text_of(server.get("/health").text)


def test_a_check_goes_on_without_those_who_requested_it(tmp_path: Path, slow: SlowCheck) -> None:
    with running(tmp_path, change=slow) as server:
        token = server.csrf("/health")
        cookies = "; ".join(f"{name}={value}" for name, value in server.cookies.items())
        body = f"csrf={token}"
        with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as browser:
            browser.sendall(
                f"POST /check HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\nContent-Length: {len(body)}\r\n"
                f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}".encode()
            )
            assert slow.begun.wait(LIMIT_S)
        slow.go.set()
        wait_until(lambda: "Fix first" in server.get("/health").text)


def test_who_logs_out_meanwhile_sees_no_findings(tmp_path: Path, slow: SlowCheck) -> None:
    write_password(tmp_path, PASSWORD)
    with running(tmp_path, change=slow) as server:
        server.log_in()
        checking = Posting(server)
        assert slow.begun.wait(LIMIT_S)
        server.post("/logout", {})
        slow.go.set()
        assert checking.wait().headers["Location"] == "/health#check"
        assert server.get("/health", Accept="text/html").headers["Location"] == "/login"
        server.log_in()
        assert "Fix first: microphone." in server.get("/health").text


def test_a_check_may_take_longer_than_other_limits(
    tmp_path: Path, slow: SlowCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_LIMIT_S", 0.3)
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 0.3)
    with running(tmp_path, change=slow) as server:
        checking = Posting(server)
        assert slow.begun.wait(LIMIT_S)
        with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as silent:
            assert silent.recv(1) == b"", "the limit has passed for a connection without a request"
        slow.go.set()
        assert checking.wait().status == 303


def test_the_end_of_the_server_does_not_wait_for_a_check(tmp_path: Path, slow: SlowCheck) -> None:
    with running(tmp_path, change=slow) as server:
        checking = Posting(server)
        assert slow.begun.wait(LIMIT_S)
    assert not slow.go.is_set(), "the server has ended"
    assert checking.ended().response is None


def test_foreign_text_in_findings_is_only_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = ({"topic": HOSTILE, "verdict": "FAIL", "message": HOSTILE, "fix": HOSTILE},)
    monkeypatch.setattr("tests.device.web.server.FINDINGS", hostile)
    with running(tmp_path) as server:
        server.post("/check", {})
        page = server.get("/health").text
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;") == 4


def test_every_page_learns_when_a_check_begins_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Mapping[str, Any]] = []
    with running(tmp_path) as server:
        monkeypatch.setattr(server.services.hub, "publish", events.append)
        server.post("/check", {})
    assert events == [{"event": "check", "busy": True}, {"event": "check", "busy": False}]
