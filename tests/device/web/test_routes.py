"""Every route, from the router, so that none can be forgotten: login, host, origin, form, method, headers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from device.web.access.passwords import write_password
from device.web.access.tokens import make_token
from device.web.security import HEADERS, OPEN_ROUTES
from tests.device.web.server import PASSWORD, Response, Server, running

_VALUES = {"name": "page.js"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a password, and a client that has not logged in."""
    folder = tmp_path_factory.mktemp("locked")
    write_password(folder, PASSWORD)
    with running(folder) as server:
        yield server


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without a password, and a client that has opened the page."""
    with running(tmp_path_factory.mktemp("unlocked")) as server:
        server.get("/")
        yield server


def routes(server: Server) -> list[tuple[str, str, bool]]:
    """Method and path of each route, and whether it can be used without a login."""
    return sorted(
        (route.method, str(route.resource.canonical).format(**_VALUES), route.name in OPEN_ROUTES)
        for route in server.app.router.routes()
        if route.resource is not None
    )


def assert_safe(response: Response) -> None:
    """Check the headers that every response has, and that nothing about the program is in it."""
    for name, value in HEADERS.items():
        if name != "Cache-Control":
            assert response.headers[name] == value, name
    assert response.headers["Cache-Control"] in ("no-store", "no-cache")
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Traceback" not in response.text
    assert "aiohttp" not in response.text


def test_the_routes_are_these(locked: Server) -> None:
    """A reminder: a new route needs a thought about who may use it."""
    found = routes(locked)
    assert [(method, path) for method, path, is_open in found if is_open and method != "HEAD"] == [
        ("GET", "/login"), ("GET", "/static/login.css"), ("POST", "/login"),
    ]  # fmt: skip
    assert [path for method, path, _ in found if method not in ("GET", "HEAD")] == [
        "/check", "/correct", "/light", "/login", "/logout", "/mute",
    ]  # fmt: skip


def test_without_a_login_nothing_is_shown(locked: Server) -> None:
    for method, path, is_open in routes(locked):
        locked.cookies.clear()
        response = locked.request(method, path, headers={"Accept": "text/html"})
        assert_safe(response)
        if is_open:
            continue
        assert (response.status, response.headers.get("Location")) in ((303, "/login"), (401, None)), (method, path)
        assert response.status == (303 if method in ("GET", "HEAD") and not path.startswith("/api/") else 401)
        assert len(response.text) < 1300  # the frame of an error and its mark
        assert "negative" not in response.text
        script = locked.request(method, path, headers={"Accept": "application/json"})
        assert script.status == 401
        wrong = locked.request(method, path, headers={"Authorization": "Bearer wrong"})
        assert wrong.status == 401


def test_unknown_paths_look_like_known_ones_without_a_login(locked: Server) -> None:
    for path in (
        "/nothing",
        "/static/app.js",
        "/static/",
        "/login/",
        "/settings.html",
        "/%2e%2e/settings",
    ):
        assert locked.get(path, Accept="text/html").headers.get("Location") == "/login", path
        unknown, known = locked.request("POST", path), locked.request("POST", "/mute")
        assert (unknown.status, unknown.text) == (known.status, known.text) == (401, known.text)


def test_another_host_name_is_refused(unlocked: Server) -> None:
    for method, path, _ in routes(unlocked):
        for name in (
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "",
            "[",
        ):
            response = unlocked.request(method, path, headers={"Host": name})
            assert response.status in (400, 421), (method, path, name)
            assert_safe(response)


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST:8350", "127.0.0.1:1", "192.168.1.7", "[::1]:8350", "[fe80::1]", "localhost."]
)
def test_own_host_names_and_addresses_are_accepted(unlocked: Server, name: str) -> None:
    assert unlocked.get("/settings", Host=name).status == 200


def test_another_origin_is_refused(unlocked: Server) -> None:
    own = f"127.0.0.1:{unlocked.port}"
    for method, path, _ in routes(unlocked):
        for origin in (
            "http://evil.example", "null", f"http://{own}.evil.example", "http://127.0.0.1", f"http://x@{own}",
            f"ftp://{own}", f"http://{own}/", "", "http://[",
        ):  # fmt: skip
            response = unlocked.request(method, path, headers={"Origin": origin})
            assert response.status == 403, (method, path, origin)
            assert_safe(response)
        for site in ("cross-site", "same-site"):
            response = unlocked.request(method, path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})
            assert response.status == 403, (method, path, site)


def test_a_link_on_another_page_leads_here_but_does_nothing(unlocked: Server) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert unlocked.request("GET", "/", headers=link).status == 200
    assert unlocked.request("GET", "/", headers={**link, "Sec-Fetch-Dest": "iframe"}).status == 403
    assert unlocked.request("POST", "/mute", {"muted": "on"}, headers=link).status == 403


def test_a_form_needs_its_token(unlocked: Server) -> None:
    token = unlocked.csrf("/")
    form = {"muted": "on", "label": "negative", "password": PASSWORD}
    for method, path, _ in routes(unlocked):
        if method in ("GET", "HEAD"):
            continue
        for csrf in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": token[:-1]}, {"csrf": "\u20ac"}):
            response = unlocked.request(method, path, {**form, **csrf})
            assert response.status == 403, (path, csrf)
            assert_safe(response)
        saved = dict(unlocked.cookies)
        unlocked.cookies.clear()
        assert unlocked.request(method, path, {**form, "csrf": token}).status == 403, "a token without its cookie"
        unlocked.cookies.update(saved)
    assert unlocked.changes == []


def test_the_token_of_another_browser_is_refused(unlocked: Server) -> None:
    other = unlocked.csrf("/")
    unlocked.cookies.clear()
    assert unlocked.csrf("/") != other
    assert unlocked.request("POST", "/mute", {"muted": "on", "csrf": other}).status == 403


def test_a_script_with_a_token_needs_no_form(tmp_path: Path) -> None:
    write_password(tmp_path, PASSWORD)
    token = make_token(tmp_path, "script")
    with running(tmp_path) as server:
        sent = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        for method, path, _ in routes(server):
            if method == "GET" and path not in ("/login", "/events", "/history.csv", "/static/page.js"):
                assert server.request(method, path, headers=sent).status == 200, path
        done = server.request("POST", "/mute", {"muted": "off"}, headers=sent)
        assert (done.status, done.text) == (200, '{"muted": false, "message": "mute is False now"}')
        assert (
            server.request("POST", "/mute", {"muted": "on"}, headers={**sent, "Origin": "http://evil.example"}).status
            == 403
        )
        assert server.changes == [("mute", False)]


def test_other_methods_are_not_allowed(unlocked: Server) -> None:
    known = {(method, path) for method, path, _ in routes(unlocked)}
    for path in {path for _, path in known}:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
            if (method, path) in known or (method, path) == ("POST", "/login"):
                continue
            token = {"csrf": unlocked.csrf("/")}
            response = unlocked.request(method, path, token)
            assert response.status in (400, 404, 405), (method, path, response.status)  # CONNECT names no path
            assert_safe(response)


def test_every_status_has_the_headers(unlocked: Server) -> None:
    assert_safe(unlocked.get("/"))
    for path, status in (("/nothing", 404), ("/static/nothing", 404), ("/history?day=x", 400), ("/history.csv", 503)):
        response = unlocked.get(path)
        assert response.status == status, path
        assert_safe(response)
    tag = unlocked.get("/static/login.css").headers["Etag"]
    unchanged = unlocked.get("/static/login.css", If_None_Match=tag)
    assert unchanged.status == 304
    assert_safe(unchanged)


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_the_headers_too(unlocked: Server, content: bytes) -> None:
    received = unlocked.raw(content)
    assert received.split(b" ")[1] in (b"400", b"421", b"431"), received[:100]
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in received
    assert b"\r\nContent-Security-Policy: default-src 'self'; " in received
    assert b"aiohttp" not in received.lower()
    assert b"Traceback" not in received


def test_an_unknown_expectation_is_ignored(unlocked: Server) -> None:
    for expected in (b"caf\xe9", b"200-ok", b"100-continue, x"):
        sent = b"GET /%b HTTP/1.1\r\nHost: %b\r\nExpect: " + expected + b"\r\n\r\n"
        assert unlocked.raw(sent % (b"settings", b"localhost")).startswith(b"HTTP/1.1 200 ")
        assert unlocked.raw(sent % (b"nothing", b"localhost")).startswith(b"HTTP/1.1 404 ")
        assert unlocked.raw(sent % (b"settings", b"evil.example")).startswith(b"HTTP/1.1 421 ")


_CONTENT = b"root:"


@pytest.mark.parametrize("prefix", ["/static/", "/", "/api/", "/static/login.css/"])
@pytest.mark.parametrize(
    "up",
    [
        "../",
        "%2e%2e/",
        "..%2f",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "%252e%252e%252f",
        "..%c0%af",
        "....//",
        "%2e%2e%00/",
        "/",
    ],
)
def test_no_path_leads_out_of_the_folder(unlocked: Server, prefix: str, up: str) -> None:
    for target in ("etc/passwd", "app.py", "templates/base.html"):
        received = unlocked.raw(
            f"GET {prefix}{up * 6}{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert received.split(b" ")[1] in (b"400", b"404"), received[:200]
        assert _CONTENT not in received
        assert b"{%" not in received
