"""Limits on connections and on what is sent on them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from device.web import connections, security
from device.web.access.login_limit import LOOPBACK, network
from device.web.connections import MOST, MOST_PER_ADDRESS, Connections
from tests.device.web.server import Server, running
from tests.waiting import LIMIT_S, wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as server:
        yield server


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)


def test_there_are_only_so_many_connections(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_LIMIT_S", 10 * LIMIT_S)  # none of them sends one
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connected(server)) for _ in range(MOST)]
        wait_until(lambda: len(server.connections) == MOST)
        with connected(server) as refused:
            assert refused.recv(1) == b"", "it is served"
        assert len(server.connections) == MOST
        idle[0].close()
        wait_until(lambda: len(server.connections) == MOST - 1)
        assert server.get("/").status == 200
    wait_until(lambda: len(server.connections) == 0)


async def _nothing(_request: web.BaseRequest) -> web.Response:
    raise AssertionError


def test_one_address_cannot_take_all_connections() -> None:
    async def limits() -> Connections:
        return Connections(web.Server(_nothing))

    limited = asyncio.run(limits())
    assert [limited.join("192.168.1.7") for _ in range(MOST_PER_ADDRESS + 1)] == [True] * MOST_PER_ADDRESS + [False]
    assert limited.join("192.168.1.8")
    for _ in range(MOST_PER_ADDRESS):
        limited.leave("192.168.1.7")
    limited.leave("192.168.1.8")
    assert len(limited) == 0
    assert len(limited._networks) == 0
    assert [limited.join(LOOPBACK) for _ in range(MOST + 1)] == [True] * MOST + [False]
    assert not limited.join("192.168.1.9")
    assert len(limited._networks) == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("127.0.0.1", LOOPBACK),
        ("127.8.9.10", LOOPBACK),
        ("::1", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
    ],
)
def test_one_machine_cannot_count_as_many(address: str, expected: str) -> None:
    assert network(address) == expected


def test_handshakes_that_do_not_come_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_LIMIT_S", 10 * LIMIT_S)
    with running(tmp_path, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) as server, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(server)) for _ in range(MOST)]
        wait_until(lambda: len(server.connections) == MOST)
        with connected(server) as refused:
            assert refused.recv(1) == b"", "it may begin a handshake"
        silent[0].close()
        wait_until(lambda: len(server.connections) == MOST - 1)
        monkeypatch.setattr(connections, "FIRST_REQUEST_LIMIT_S", 0.05)
        with connected(server) as late:
            assert late.recv(1) == b""
        for each in silent:
            each.close()
        wait_until(lambda: len(server.connections) == 0)
        with connected(server) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):  # as refused as without a response
                assert not plain.recv(100).startswith(b"HTTP")
        wait_until(lambda: len(server.connections) == 0)
    assert caplog.text == ""


def test_a_client_that_reads_no_response_is_disconnected(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_LIMIT_S", 0.2)
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 2 * LIMIT_S)
    with connected(server) as frozen:
        frozen.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                frozen.sendall(b"GET /settings HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        wait_until(lambda: len(server.connections) == 0)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"GET"])
def test_a_connection_that_sends_no_request_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_LIMIT_S", 0.05)
    with connected(server) as slow:
        slow.sendall(sent)
        with contextlib.suppress(ConnectionResetError):  # it was closed before that arrived
            assert slow.recv(1) == b""


def test_a_body_that_does_not_come_ends_the_request(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_BODY_LIMIT_S", 0.05)
    received = server.raw(
        b"POST /mute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 20\r\n\r\nmuted="
    )
    assert received.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_is_no_error(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with connected(server) as gone:
            gone.sendall(
                b"POST /mute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                b"Content-Length: 20\r\n\r\nmuted="
            )
            wait_until(lambda: len(server.connections) == 1)
        wait_until(lambda: len(server.connections) == 0)
    assert server.get("/").status == 200
    assert caplog.text == ""


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused(server: Server, chunked: bool) -> None:
    token = server.csrf("/")
    body = f"csrf={token}&muted=on&x={'x' * security.BODY_BYTES}".encode()
    head = "POST /mute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    assert server.raw(f"{head}{length}\r\n\r\n".encode() + sent).startswith(b"HTTP/1.1 413 ")
    assert server.changes == []


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--', 415),
        ("application/json", b'{"muted": "on"}', 415),
        ("text/plain", b"muted=on", 415),
        ("application/x-www-form-urlencoded", b"&".join(b"a=%d" % each for each in range(1000)), 400),
        ("application/x-www-form-urlencoded", b"\xff\xfe=\xff", 400),
        ("application/x-www-form-urlencoded", b"", 403),
        ("application/x-www-form-urlencoded; charset=utf-7", b"+AGMAcwByAGY-=x", 403),
    ],
)  # fmt: skip
def test_only_small_forms_are_read(server: Server, kind: str, body: bytes, status: int) -> None:
    assert server.request("POST", "/mute", body=body, headers={"Content-Type": kind}).status == status


def test_a_compressed_body_is_not_unpacked(server: Server) -> None:
    import gzip

    body = gzip.compress(f"csrf={server.csrf('/')}&muted=on".encode())
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    assert server.request("POST", "/mute", body=body, headers=kind).status in (400, 403)
    assert server.changes == []
