"""What the pages show and what their forms do, with a history and a fake daemon."""

import asyncio
import contextlib
import http.client
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from device.errors import HistoryError, ProfileError, StatusError
from device.history import queries
from device.history.store import History
from device.settings.schema import HistorySettings, PublishSettings, Settings
from device.settings.toml import as_toml
from device.web.access.access import Access
from device.web.serve import _history
from device.web.sources import daemon_requests
from device.web.sources.daemon_requests import DaemonRequests
from device.web.sources.history_thread import HistoryThread
from tests.device.web.server import HEALTH, HELLO, START, STATE, FakeDaemon, Server, prediction, running
from tests.waiting import LIMIT_S, wait_until

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
JSON = {"Accept": "application/json"}
HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path / "events.sock") as daemon:
        yield daemon


def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite3", keep_days=30, max_mb=10, words=False, clock=lambda: NOW)


@pytest.fixture
def server(tmp_path: Path, daemon: FakeDaemon) -> Iterator[Server]:
    with running(tmp_path, open_history=lambda: history(tmp_path)) as server:
        wait_until(lambda: server.services.live.labels)
        yield server


def rows(server: Server, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(server.get(f"/api/history{query}").text)["rows"]
    return found


def test_predictions_are_stored_and_shown(server: Server, daemon: FakeDaemon) -> None:
    daemon.send(*(prediction(number, "positive" if number % 2 else "negative") for number in range(1, 8)))
    daemon.send({"event": "corrected", "daemon": "d" * 32, "number": 7, "label": "neutral"})
    wait_until(lambda: [each["corrected"] for each in rows(server)[:1]] == ["neutral"])
    assert [each["number"] for each in rows(server)] == [7, 6, 5, 4, 3, 2, 1]
    assert [each["number"] for each in rows(server, "?label=negative")] == [6, 4, 2]
    assert rows(server, "?low=1") == []
    first = json.loads(server.get("/api/history?limit=3").text)
    assert [each["number"] for each in rows(server, f"?before={first['next']}")] == [4, 3, 2, 1]
    day = json.loads(server.get("/api/day?day=2026-11-27").text)
    assert day["today"]["labels"] == {"negative": 3, "positive": 3, "neutral": 1}
    assert day["hours"][10] == day["today"]["labels"]
    overview = json.loads(server.get("/api/heat-map?day=2026-11-27").text)
    assert overview["heat_map"][4][10] == day["today"]["labels"]
    assert [each["day"] for each in overview["days"]] == ["2026-11-27"]
    assert "positive" in server.get("/history").text


def test_the_export_is_complete(server: Server, daemon: FakeDaemon, tmp_path: Path) -> None:
    with history(tmp_path) as other:
        for number in range(1, 2502):
            other._connection.execute("PRAGMA synchronous = OFF")
            other.add(prediction(number), "b" * 32)
    response = server.get("/history.csv")
    assert response.headers["Content-Disposition"] == 'attachment; filename="edge-mcnn-history.csv"'
    lines = response.text.splitlines()
    assert lines[0].startswith("time,label,corrected,probability")
    assert len(lines) == 2502
    assert len(set(lines)) == 2502
    assert server.get("/history.csv?since=2026-11-28").text.splitlines() == lines[:1]
    assert server.request("HEAD", "/history.csv").status == 405, "it would compute all of it, and send nothing"


def test_an_export_that_fails_on_its_way_ends_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A browser must not take half a table for a complete one."""
    parts = ["time\n", "x" * 1000]

    def csv(_rows: object, *, first: bool) -> str:
        if not parts:
            raise HistoryError("the disk is broken")
        return parts.pop(0)

    monkeypatch.setattr("device.web.past._csv", csv)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        server.get("/history.csv")
    wait_until(lambda: "a response is incomplete: GET /history.csv: the disk is broken" in caplog.text)


@pytest.mark.parametrize(
    "query",
    ["day=x", "day=2026-13-01", "before=-1", "before=x", "before=99999999999999999999", "limit=501", "before=\u0663"],
)
def test_a_wrong_query_is_refused(server: Server, query: str) -> None:
    from urllib.parse import quote

    response = server.get(f"/api/history?{quote(query, safe='=&')}")
    assert response.status == 400
    assert json.loads(response.text)["error"]


def test_a_broken_history_is_reported_and_the_rest_goes_on(tmp_path: Path, daemon: FakeDaemon) -> None:
    def broken() -> History:
        raise HistoryError("the disk is full", fix="free some space")

    with running(tmp_path, open_history=broken) as server:
        wait_until(lambda: server.services.live.labels)
        daemon.send(prediction(1))
        wait_until(lambda: json.loads(server.get("/api/status").text)["latest"])
        for path in ("/", "/history"):
            page = server.get(path)
            assert page.status == 200
            assert "the disk is full" in page.text
            assert "Free some space" in page.text
        assert json.loads(server.get("/history.csv", **JSON).text) == {
            "error": "the disk is full",
            "fix": "free some space",
        }


def test_a_history_that_works_again_is_used_again(tmp_path: Path, daemon: FakeDaemon) -> None:
    is_full = True

    def sometimes() -> History:
        if is_full:
            raise HistoryError("the disk is full")
        return history(tmp_path)

    with running(tmp_path, open_history=sometimes) as server:
        thread = server.services.history
        assert rows(server) == []
        assert thread.message == "the disk is full"
        is_full = False
        assert rows(server) == []
        assert thread.message == "the disk is full", "not tried again for a while"
        thread._retry_at = 0
        daemon.send(prediction(1))
        wait_until(lambda: rows(server))
        assert thread.message == ""


def test_words_that_the_device_does_not_publish_are_reported(tmp_path: Path, daemon: FakeDaemon) -> None:
    for words, notices in ((True, 1), (False, 0)):
        settings = Settings(history=HistorySettings(keep_days=30, words=words))
        with running(tmp_path, open_history=lambda: history(tmp_path), settings=settings) as server:
            wait_until(lambda: server.services.live.labels)
            assert server.get("/history").text.count("No words are stored,") == notices


def test_what_happens_while_the_history_does_not_work_is_stored_later(tmp_path: Path, daemon: FakeDaemon) -> None:
    is_locked = True

    def sometimes() -> History:
        if is_locked:
            raise HistoryError("another program uses it")
        return history(tmp_path)

    with running(tmp_path, open_history=sometimes) as server:
        thread = server.services.history
        daemon.send(prediction(1), prediction(2))
        wait_until(lambda: len(thread._waiting) == 2)
        daemon.send({"event": "corrected", "daemon": "d" * 32, "number": 1, "label": "neutral"})
        wait_until(lambda: len(thread._waiting) == 3)
        for uptime_s in (1.0, 2.0):  # health does not wait: a day of it would push the predictions out
            daemon.send({**HEALTH, "uptime_s": uptime_s})
            wait_until(lambda up=uptime_s: server.services.live.current["health"]["uptime_s"] == up)  # type: ignore[misc]  # the default
            wait_until(
                lambda: [each[0]["event"] for each in thread._waiting.copy()] == ["prediction"] * 2 + ["corrected"]
            )
        is_locked = False
        thread._retry_at = 0
        daemon.send(HEALTH)
        wait_until(lambda: not thread._waiting)
        assert [(each["number"], each["corrected"]) for each in rows(server)] == [(2, None), (1, "neutral")]


def test_a_history_that_another_program_writes_is_shown_and_stores_later(tmp_path: Path, daemon: FakeDaemon) -> None:
    path = tmp_path / "history.sqlite3"
    with running(
        tmp_path, open_history=lambda: History(path, keep_days=30, max_mb=10, words=False, busy_s=0.05)
    ) as server:
        thread = server.services.history
        daemon.send(prediction(1))
        wait_until(lambda: rows(server))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            daemon.send(prediction(2))
            wait_until(lambda: "another program has used it for more than 0.05 s" in thread.message)
            assert [each["number"] for each in rows(server)] == [1], "reading waits for none that writes"
            assert "another program has used it" in server.get("/history").text
        daemon.send(HEALTH)
        wait_until(lambda: len(rows(server)) == 2)
        wait_until(lambda: thread.message == "")


def test_what_waits_to_be_stored_is_erased_with_the_rest(tmp_path: Path, daemon: FakeDaemon) -> None:
    path = tmp_path / "history.sqlite3"
    with running(
        tmp_path, open_history=lambda: History(path, keep_days=30, max_mb=10, words=False, busy_s=0.05)
    ) as server:
        thread = server.services.history
        daemon.send(prediction(1))
        wait_until(lambda: rows(server))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            daemon.send(prediction(2), prediction(3))
            wait_until(lambda: len(thread._waiting) == 2)
        with History(path, keep_days=30, max_mb=10, words=False) as own:
            assert own.erase() == 1
        daemon.send(prediction(4, time=datetime.now().astimezone().isoformat()))
        wait_until(lambda: not thread._waiting)
        wait_until(lambda: [each["number"] for each in rows(server)] == [4])


def test_an_export_goes_on_while_nothing_can_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.sqlite3"
    monkeypatch.setattr(queries, "_BATCH", 1)

    async def exported() -> list[int]:
        thread = HistoryThread(lambda: History(path, keep_days=30, max_mb=10, words=False, busy_s=0.05))
        for number in (1, 2):
            await thread.read(partial(History.add, prediction=prediction(number), boot="boot"))
        rows = await thread.read(lambda history: history.in_order())
        numbers = [(await thread.read(lambda _: next(rows))).number]
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            thread.write(prediction(3), "boot")
            while not thread.message:
                await asyncio.sleep(0.01)
        numbers.append((await thread.read(lambda _: next(rows))).number)
        await thread.close()
        return numbers

    assert asyncio.run(exported()) == [1, 2]


def test_what_is_read_before_anybody_knows_that_storing_failed_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, failing, was_read = threading.Event(), threading.Event(), threading.Event()

    def fail(*_: object) -> bool:
        begun.set()
        assert failing.wait(LIMIT_S)
        thread._retry_at = 0
        raise HistoryError("the disk is full")

    def read(opened: History) -> int:
        was_read.set()
        return opened.contents().predictions

    async def both() -> int:
        thread.write(prediction(1), "boot")
        while not begun.is_set():
            await asyncio.sleep(0)
        reading = asyncio.create_task(thread.read(read))
        await asyncio.sleep(0)  # it is waiting behind the prediction
        failing.set()
        assert was_read.wait(LIMIT_S)  # meanwhile this loop does nothing
        count = await reading
        await thread.close()
        return count

    monkeypatch.setattr(History, "add", fail)
    thread = HistoryThread(lambda: history(tmp_path))
    assert asyncio.run(both()) == 0
    assert thread.message == "the disk is full"


def test_a_page_waits_two_seconds_for_a_program_that_writes(tmp_path: Path) -> None:
    open_history = _history(HistorySettings(keep_days=30), {"STATE_DIRECTORY": str(tmp_path)})
    assert open_history is not None
    with open_history() as opened:
        assert opened._rows("PRAGMA busy_timeout") == [(2000,)]


def test_a_full_disk_is_reported_until_something_is_stored(
    server: Server, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bool:
        thread._retry_at = 0
        raise HistoryError("the disk is full")

    thread = server.services.history
    daemon.send(prediction(1))
    wait_until(lambda: rows(server))
    with monkeypatch.context() as full:
        full.setattr(History, "add", fail)
        for number in range(2, 5):
            daemon.send(prediction(number))
            wait_until(lambda number=number: len(thread._waiting) == number - 1)  # type: ignore[misc]  # the default
            assert len(rows(server)) == 1
            page = server.get("/history").text
            assert "the disk is full" in page
            assert 'class="predictions"' in page
    assert caplog.text.count("the disk is full") == 1
    daemon.send(HEALTH)
    wait_until(lambda: len(rows(server)) == 4)
    wait_until(lambda: thread.message == "")


def test_a_history_that_was_removed_is_begun_again(tmp_path: Path, daemon: FakeDaemon) -> None:
    with running(tmp_path, open_history=lambda: history(tmp_path)) as server:
        daemon.send(prediction(1))
        wait_until(lambda: rows(server))
        (tmp_path / "history.sqlite3").unlink()
        assert rows(server) == []
        daemon.send(prediction(2))
        wait_until(lambda: rows(server))
    with history(tmp_path) as stored:
        assert [each.number for each in stored.page().predictions] == [2]


def test_without_a_history_nothing_is_written(tmp_path: Path, daemon: FakeDaemon) -> None:
    with running(tmp_path) as server:
        daemon.send(prediction(1))
        wait_until(lambda: json.loads(server.get("/api/status").text)["latest"])
        assert json.loads(server.get("/api/status").text)["history"] == {"on": False, "message": "", "fix": ""}
    assert not list(tmp_path.glob("*.sqlite3*"))


def test_forms_change_the_device(server: Server) -> None:
    done = server.post("/mute", {"muted": "on", "back": "/health"})
    assert (done.status, done.headers["Location"]) == (303, "/health")
    assert server.post("/correct", {"label": "neutral"}, **JSON).text == '{"label": "neutral"}'
    assert server.post("/light", {"label": "positive"}).status == 303
    assert server.changes == [("mute", True), ("correct", "neutral"), ("light", "positive")]


def test_a_prediction_is_corrected_only_while_it_is_the_latest(server: Server, daemon: FakeDaemon) -> None:
    shown = prediction(1)
    form = {"label": "neutral", "number": "1", "daemon": shown["daemon"]}
    assert server.post("/correct", form).status == 400, "nothing was predicted"
    daemon.send(shown)
    wait_until(lambda: json.loads(server.get("/api/status").text)["latest"])
    assert server.post("/correct", {**form, "daemon": "0" * 32}).status == 400, "of a daemon that has ended"
    assert server.post("/correct", form).status == 303
    daemon.send(prediction(2))
    wait_until(lambda: len(json.loads(server.get("/api/status").text)["latest"]) == 2)
    refused = server.post("/correct", form)
    assert (refused.status, "There is a later prediction" in refused.text) == (400, True)
    assert server.changes == [("correct", "neutral")]


def test_a_correction_that_waits_for_another_request_is_of_no_later_prediction(
    tmp_path: Path, daemon: FakeDaemon
) -> None:
    muting, may_mute = threading.Event(), threading.Event()

    def change(name: str, _value: object) -> None:
        if name == "mute":
            muting.set()
            assert may_mute.wait(LIMIT_S)

    with running(tmp_path, change=change) as server, ThreadPoolExecutor(2) as threads:
        live = server.services.live
        daemon.send(prediction(1))
        wait_until(lambda: len(live.latest) == 1)
        muted = threads.submit(server.post, "/mute", {"muted": "on"}, **JSON)
        assert muting.wait(LIMIT_S)
        form = {"label": "neutral", "number": "1", "daemon": "d" * 32}
        corrected = threads.submit(server.post, "/correct", form, **JSON)
        wait_until(lambda: server.services.daemon._changing._waiters)
        daemon.send(prediction(2))
        wait_until(lambda: len(live.latest) == 2)
        may_mute.set()
        assert json.loads(muted.result(LIMIT_S).text) == {"muted": True, "message": "mute is True now"}
        assert "there is a later prediction" in corrected.result(LIMIT_S).text
        assert server.changes == [("mute", True)]


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_a_form_leads_to_no_other_site(server: Server, back: str) -> None:
    assert server.post("/mute", {"muted": "off", "back": back}).headers["Location"] == "/"


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/mute", {}),
        ("/mute", {"muted": "maybe"}),
        ("/correct", {}),
        ("/correct", {"label": HOSTILE}),
        ("/light", {"label": "x"}),
    ],
)
def test_a_wrong_form_is_refused(server: Server, path: str, form: dict[str, str]) -> None:
    response = server.post(path, form)
    assert response.status == 400
    assert "<script>" not in response.text
    assert json.loads(server.post(path, form, **JSON).text)["fix"]
    assert server.changes == []


@pytest.mark.parametrize(("error", "status"), [(StatusError, 503), (ProfileError, 400)])
def test_what_the_daemon_refuses_is_reported(tmp_path: Path, error: type[StatusError], status: int) -> None:
    def refuse(_name: str, _value: object) -> None:
        raise error("it cannot be done", fix="do this")

    with running(tmp_path, change=refuse) as server:
        response = server.post("/mute", {"muted": "on"})
        assert response.status == status
        assert "It cannot be done" in response.text
        assert json.loads(server.post("/mute", {"muted": "on"}, **JSON).text) == {
            "error": "it cannot be done", "fix": "do this"
        }  # fmt: skip


def test_an_unexpected_error_shows_no_details(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_name: str, _value: object) -> None:
        raise RuntimeError("secret detail")

    with running(tmp_path, change=fail) as server:
        response = server.post("/mute", {"muted": "on"})
        assert response.status == 500
        assert "secret" not in response.text
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert server.get("/").status == 200
    assert "secret detail" in caplog.text


def test_a_path_writes_no_line_of_its_own_into_the_log(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_access: Access, _request: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Access, "visitor", fail)
    assert server.get("/%0AERROR%0D%1B[31m").status == 500
    [message] = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert message.isprintable()


def test_foreign_text_is_only_text(tmp_path: Path) -> None:
    """Labels, microphones, words and versions come from elsewhere."""
    hello, state, *others = START
    start = (
        {**hello, "labels": [HOSTILE], "version": HOSTILE},
        {**state, "state": HOSTILE, "reason": HOSTILE},
        *others,
    )
    event = prediction(1, HOSTILE, text=HOSTILE)
    with (
        FakeDaemon(tmp_path / "events.sock", (*start, event)),
        running(tmp_path, open_history=lambda: history(tmp_path), status={"microphone": HOSTILE}) as server,
    ):
        wait_until(lambda: rows(server))
        for path in ("/", "/history", "/health", "/settings", "/history?label=" + "%3Cscript%3Ealert(1)", "/login"):
            page = server.get(path).text
            assert "<script>alert" not in page, path
            assert "\"'&{{" not in page, path
            assert "49" not in re.findall(r">([^<]*)<", page), path
        assert "&lt;script&gt;" in server.get("/").text


_HALF = "\ud800"
"""Half of a surrogate pair, which JSON can contain and UTF-8 cannot."""


@pytest.mark.parametrize(
    "event",
    [
        {**STATE, "state": ["healthy"]},
        {**STATE, "microphone": _HALF},
        {**HEALTH, "memory_mb": 10**400},
        {**HEALTH, "blocks_dropped": -(10**400)},
        {**HEALTH, "model": _HALF},
        {**HELLO, "hold_s": 10**400},
        {"event": "prediction", "number": 2, "daemon": "d" * 32},
        {"event": "corrected", "number": [], "daemon": "d" * 32},
        {**prediction(2), "label": None},
        prediction(2, "x", probabilities="x"),
        prediction(2, "x", audio_only={"label": 5, "probabilities": {}}),
        prediction(2, "x", text_only=[]),
        prediction(2, _HALF, light=_HALF),
        prediction(2, "x", light=[]),
        prediction(2, "x", time="yesterday"),
        prediction(2, "x", time=_HALF),
        prediction(2, "x", seconds={}),
    ],
)
def test_no_event_breaks_a_page(tmp_path: Path, event: dict[str, Any]) -> None:
    good = prediction(3, "positive")
    with (
        FakeDaemon(tmp_path / "events.sock", (*START, event, good)),
        running(tmp_path, open_history=lambda: history(tmp_path), status={}) as server,
    ):
        wait_until(lambda: [each for each in server.services.live.latest.copy() if each["number"] == 3])
        wait_until(lambda: [each for each in rows(server) if each["number"] == 3])
        assert server.services.history.message == ""
        for path in ("/", "/health", "/history", "/history.csv", "/api/status", "/api/day"):
            assert server.get(path).status == 200, path
        assert "positive" in server.get("/").text


def test_all_settings_are_shown_but_no_secrets(tmp_path: Path) -> None:
    settings = replace(Settings(), publish=PublishSettings(command=("/usr/bin/curl", "--token", "s3cret")))
    with running(tmp_path, settings=settings) as server:
        page = server.get("/settings").text
    for name in re.findall(r"^(\w+) =", as_toml(Settings()), re.MULTILINE):
        assert name in page
    assert "s3cret" not in page
    assert "/usr/bin/curl with 2 arguments" in page


def test_a_daemon_that_hangs_delays_requests_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, read = 0.0, 0

    def hang() -> None:
        nonlocal clock, read
        clock, read = clock + 2.0, read + 1  # seconds, until the limit for its reply

    monkeypatch.setattr(daemon_requests, "time", SimpleNamespace(monotonic=lambda: clock))

    async def requests() -> None:
        requests = DaemonRequests(status=hang)
        await asyncio.gather(*(requests.status() for _ in range(5)))

    asyncio.run(requests())
    assert read == 1


def test_the_status_of_the_daemon_is_shown(tmp_path: Path) -> None:
    with running(tmp_path, status={"microphone_losses": 77}) as server:
        assert "77" in server.get("/health").text
    with running(tmp_path) as server:
        assert server.get("/health").status == 200
