"""Logging in and out: what a browser gets, what ends a session, and what is stored."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import WebError
from device.web.access import folder
from device.web.access.login_limit import IN_ALL, PER_ADDRESS, WINDOW_S, LoginLimit
from device.web.access.passwords import (
    LONGEST,
    SHORTEST,
    PasswordHash,
    read_password,
    remove_password,
    write_password,
)
from device.web.access.sessions import LIFETIME_S, MOST, Sessions
from device.web.access.tokens import make_token, read_tokens, remove_token
from tests.device.web.server import PASSWORD, Server, running

COOKIE = "edge-mcnn-session"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[Server]:
    write_password(tmp_path, PASSWORD)
    with running(tmp_path, limit=LoginLimit(clock)) as server:
        yield server


def test_a_login_opens_the_page(server: Server) -> None:
    response = server.log_in()
    assert (response.status, response.headers["Location"]) == (303, "/")
    page = server.get("/")
    assert page.status == 200
    assert 'action="/logout"' in page.text


def test_the_cookie_cannot_be_read_or_used_by_others(server: Server, tmp_path: Path) -> None:
    [cookie] = [each for each in server.log_in().cookies if each.startswith(COOKIE)]
    attributes = {each.strip() for each in cookie.split(";")[1:]}
    assert attributes == {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={round(LIFETIME_S)}"}
    secret = server.cookies[COOKIE]
    assert len(secret) >= 43, "256 bits"
    for path in tmp_path.iterdir():
        assert secret not in path.read_text()
        assert PASSWORD not in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_wrong_password_is_refused(server: Server) -> None:
    for wrong in ("", "wrong password", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper(), "x" * (LONGEST + 1)):
        response = server.log_in(wrong)
        server.services.access.limit._attempts.clear()
        assert response.status == 401
        assert COOKIE not in server.cookies
        assert "The password is wrong." in response.text
        assert wrong not in response.text or not wrong
    assert server.services.access.session_count == 0


def test_a_session_that_was_there_before_is_not_used(server: Server) -> None:
    """Session fixation: who puts a cookie into a browser beforehand does not know the session after the login."""
    server.cookies[COOKIE] = "chosen-by-someone-else"
    server.log_in()
    assert server.cookies[COOKIE] != "chosen-by-someone-else"
    first = server.cookies[COOKIE]
    server.cookies[COOKIE] = "chosen-by-someone-else"
    assert server.get("/").status == 303
    del server.cookies[COOKIE]
    server.log_in()
    assert server.cookies[COOKIE] != first


def test_a_logout_ends_the_session(server: Server) -> None:
    server.log_in()
    secret = server.cookies[COOKIE]
    response = server.post("/logout", {})
    assert (response.status, response.headers["Location"]) == (303, "/login")
    assert server.cookies[COOKIE] == ""
    server.cookies[COOKIE] = secret
    assert server.get("/").status == 303


def test_a_logout_ends_only_its_own_session(server: Server) -> None:
    server.log_in()
    other = dict(server.cookies)
    server.cookies.clear()
    server.log_in()
    server.post("/logout", {})
    server.cookies.update(other)
    assert server.get("/").status == 200


@pytest.mark.parametrize("new", [PASSWORD, "another password"])
def test_a_new_password_ends_all_sessions(server: Server, tmp_path: Path, new: str) -> None:
    server.log_in()
    write_password(tmp_path, new)
    assert server.get("/").status == 303
    assert server.log_in(new).status == 303
    assert server.get("/").status == 200


def test_without_a_password_any_more_the_sessions_have_ended(server: Server, tmp_path: Path) -> None:
    server.log_in()
    secret = server.cookies.pop(COOKIE)
    remove_password(tmp_path)
    assert server.get("/").status == 200
    write_password(tmp_path, PASSWORD)
    server.cookies[COOKIE] = secret
    assert server.get("/").status == 303


def test_a_restart_keeps_sessions(server: Server, tmp_path: Path) -> None:
    server.log_in()
    with running(tmp_path) as restarted:
        restarted.cookies.update(server.cookies)
        assert restarted.get("/").status == 200


def test_a_damaged_password_lets_nobody_in(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.log_in()
    for content in ("", "[]", "{", '{"salt": 1}', '{"salt": "00", "hash": "00", "n": 2, "r": 8, "p": 1}'):
        (tmp_path / "web-password").write_text(content)
        assert server.get("/").status == 303
        assert server.log_in().status == 401
        server.services.access.limit._attempts.clear()
    assert "nobody can log in" in caplog.text


def test_on_other_addresses_nobody_gets_in_without_a_password(tmp_path: Path) -> None:
    with running(tmp_path, login_needed=True) as server:
        assert server.get("/").status == 303
        assert "No password is set" in server.get("/login").text
        assert server.log_in("").status == 401


def test_attempts_are_limited(server: Server, clock: Clock) -> None:
    for _ in range(PER_ADDRESS):
        assert server.log_in("wrong password").status == 401
    refused = server.log_in()
    assert (refused.status, refused.headers["Retry-After"]) == (429, "61")
    clock.now += WINDOW_S
    assert server.log_in().status == 303


def test_the_limit_counts_addresses_and_all_of_them(clock: Clock) -> None:
    limit = LoginLimit(clock)
    for number in range(100):
        for _ in range(PER_ADDRESS + 1):
            limit.wait_s(f"10.0.0.{number}")
    assert len(limit) == IN_ALL
    assert limit.wait_s("192.168.1.1") == WINDOW_S
    clock.now += WINDOW_S - 1
    assert limit.wait_s("192.168.1.1") == 1
    clock.now += 1
    assert limit.wait_s("192.168.1.1") == 0
    assert len(limit) == 1


def test_one_machine_cannot_use_many_addresses(clock: Clock) -> None:
    limit = LoginLimit(clock)
    assert [limit.wait_s(f"2001:db8::{each:x}") for each in range(PER_ADDRESS)] == [0] * PER_ADDRESS
    assert limit.wait_s("2001:db8::ffff:1") > 0
    assert limit.wait_s("2001:db8:0:1::1") == 0
    assert [limit.wait_s(each) for each in ("::ffff:10.0.0.1", "10.0.0.1", "nonsense", "fe80::1%eth0")] == [0] * 4


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    """Root makes a token in the folder of a service whose process may have been taken over."""
    secret, file = tmp_path / "secret.json", tmp_path / "web-tokens"
    secret.write_text('{"root": "secret"}')
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "link":
            file.symlink_to(secret)
        case _:
            file.mkdir()
    with pytest.raises(WebError, match="web-tokens: is not a regular file") as caught:
        make_token(tmp_path, "grafana")
    assert caught.value.fix == "remove it, and create it again"


def test_there_are_only_so_many_sessions(tmp_path: Path, clock: Clock) -> None:
    sessions = Sessions(tmp_path, "p", clock)
    secrets = []
    for _ in range(MOST + 1):
        clock.now += 1
        secrets.append(sessions.create())
    assert len(sessions) == MOST
    assert sessions.find(secrets[0]) is None
    assert sessions.find(secrets[1]) is not None
    clock.now += LIFETIME_S
    assert sessions.find(secrets[-1]) is None
    sessions.create()
    assert len(sessions) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", '{"password": "p", "sessions": 3}', '{"password": "p"}'])
def test_a_damaged_file_of_sessions_ends_them(tmp_path: Path, content: str) -> None:
    (tmp_path / "web-sessions").write_text(content)
    assert len(Sessions(tmp_path, "p")) == 0


def test_sessions_last_no_longer_than_they_should_whatever_the_file_contains(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "web-sessions").write_text(json.dumps({"password": "p", "sessions": {"a": 1e300}}))
    sessions = Sessions(tmp_path, "p", clock)
    clock.now += LIFETIME_S + 1
    sessions.create()
    assert len(sessions) == 1


def test_passwords(tmp_path: Path) -> None:
    for wrong in ("x" * (SHORTEST - 1), "x" * (LONGEST + 1), ""):
        with pytest.raises(WebError, match="characters"):
            write_password(tmp_path, wrong)
    assert read_password(tmp_path) is None
    write_password(tmp_path / "new", "\u00e4\u00f6\u00fc\u00df 12345")
    stored = read_password(tmp_path / "new")
    assert stored is not None
    assert stored.matches("a\u0308o\u0308u\u0308\u00df 12345"), "as another keyboard writes it"
    assert not stored.matches("aou\u00df 12345")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert remove_password(tmp_path / "new")
    assert not remove_password(tmp_path / "new")


def test_root_sets_the_password_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = {"XDG_STATE_HOME": "/state"}
    monkeypatch.setattr(folder, "UNIT_FILE", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert folder.state_folder(home) == Path("/var/lib/edge-mcnn-web")
    assert folder.state_folder({**home, "STATE_DIRECTORY": "/a:/b"}) == Path("/a")
    monkeypatch.setattr(folder, "UNIT_FILE", tmp_path / "none")
    assert folder.state_folder(home) == Path("/state/edge-mcnn")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(folder, "UNIT_FILE", tmp_path)
    assert folder.state_folder({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local/state/edge-mcnn"


def test_the_hash_is_that_of_the_standard() -> None:
    """The value is of `openssl kdf -keylen 32 ... SCRYPT` with n 32768, r 8, p 1."""
    expected = bytes.fromhex("f72cbc204bdcfc3ff5b115d8508aec1566ff0ef3f6583886 01a3933078ef7ac8")
    assert PasswordHash(b"SodiumChloride", expected).matches("pleaseletmein")


def test_tokens(tmp_path: Path) -> None:
    token = make_token(tmp_path, "grafana")
    assert token not in (tmp_path / "web-tokens").read_text()
    assert list(read_tokens(tmp_path).values()) == ["grafana"]
    again = make_token(tmp_path, "grafana")
    assert len(read_tokens(tmp_path)) == 1
    with running(tmp_path, login_needed=True) as server:
        assert server.get("/api/status", Authorization=f"Bearer {token}").status == 401
        assert server.get("/api/status", Authorization=f"bearer {again}").status == 200
        remove_token(tmp_path, "grafana")
        assert server.get("/api/status", Authorization=f"Bearer {again}").status == 401
    with pytest.raises(WebError, match="no token 'grafana'"):
        remove_token(tmp_path, "grafana")
    with pytest.raises(WebError, match="not a name"):
        make_token(tmp_path, "a b")
