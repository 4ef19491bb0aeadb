"""What the server makes of the daemon's events: its state, lost connections, other versions, and what is passed on."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import StatusError
from device.event_client import EventReader
from device.outputs.event_stream.server import EventServer
from device.web.sources.live import LATEST, LiveState, decoded
from tests.device.web.server import HEALTH, HELLO, LABELS, START, STATE, FakeDaemon, Server, prediction, running
from tests.device.web.test_stream import Page
from tests.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as server:
        yield server


def status(server: Server) -> dict[str, Any]:
    table = json.loads(server.get("/api/status").text)
    assert isinstance(table, dict)
    return table


def wait_for(server: Server, **expected: Any) -> dict[str, Any]:
    """Wait until the status has these values."""
    wait_until(
        lambda: all(status(server)[name] == value for name, value in expected.items()),
        message=lambda: f"{expected} is not in {status(server)}",
    )
    return status(server)


def test_the_state_follows_the_events(server: Server, tmp_path: Path) -> None:
    start = ({**HELLO, "hold_s": 3600.0}, *START[1:])  # no machine is so slow that the light goes out
    with FakeDaemon(tmp_path / "events.sock", start) as daemon:
        found = wait_for(server, connected=True, health=HEALTH)
        assert found["labels"] == list(LABELS)
        assert found["mute"] == {"event": "mute", "muted": False}
        assert found["light"] is None
        daemon.send({"event": "mute", "muted": True}, prediction(1), prediction(2, "positive"))
        found = wait_for(server, mute={"event": "mute", "muted": True})
        wait_until(lambda: len(status(server)["latest"]) == 2)
        found = status(server)
        assert [each["number"] for each in found["latest"]] == [2, 1]
        assert found["light"]["label"] == "positive"
        daemon.send({"event": "corrected", "daemon": "d" * 32, "number": 2, "label": "neutral"})
        wait_until(lambda: status(server)["latest"][0]["corrected"] == "neutral")
        assert status(server)["light"]["label"] == "neutral"


def until_lost(page: Page, message: str) -> None:
    """Read the events of a page until the daemon is lost, after which the server soon tries to connect again."""
    while page.until("connection")[-1]["message"] != message:
        pass


def test_a_lost_daemon_is_found_again(server: Server, tmp_path: Path) -> None:
    wait_for(server, connected=False, message="the device does not run")
    for _ in range(2):
        with FakeDaemon(tmp_path / "events.sock") as daemon:
            wait_for(server, connected=True)
            with Page(server) as page:
                daemon.send({"event": "end"})
                until_lost(page, "the device has ended")
    with FakeDaemon(tmp_path / "events.sock") as daemon:
        wait_for(server, connected=True)
        daemon.drop()
        wait_until(lambda: daemon.readers, message="the server does not connect again")
        wait_for(server, connected=True, message="", fix="")


def test_without_a_connection_there_is_no_state_of_the_microphone() -> None:
    live = LiveState()
    for event in (*START, {"event": "level", "dbfs": -50.0}):
        live.apply(event)
    live.found()
    live.lost("the device has ended")
    assert [event["event"] for event in live.picture()] == ["connection", "hello", "mute", "health"]
    assert live.as_dict()["state"] is None


def test_after_a_lost_connection_nothing_is_there_twice(server: Server, tmp_path: Path) -> None:
    first = (*START, {**prediction(1), "replayed": True})
    with FakeDaemon(tmp_path / "events.sock", first) as daemon:
        wait_until(lambda: len(status(server)["latest"]) == 1)
        daemon.drop()
        daemon.send(prediction(2))
        wait_until(lambda: len(status(server)["latest"]) == 2)


@pytest.mark.parametrize(
    "first",
    [
        b'{"event": "hello", "protocol": 2}\n', b'{"event": "state"}\n', b"[]\n", b"{}\n", b"nonsense\n",
        b'{"event": 1}\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"\n",
    ],
)  # fmt: skip
def test_another_protocol_is_reported(server: Server, tmp_path: Path, first: bytes) -> None:
    with FakeDaemon(tmp_path / "events.sock", ()) as daemon:
        daemon.send_bytes(first)
        found = wait_for(server, connected=False, message="the device's events are not of this version")
        assert "update" in found["fix"]


def test_too_many_readers_are_reported_as_by_the_command(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device.outputs.event_stream.server.MOST_READERS", 0)
    path = tmp_path / "events.sock"
    with EventServer(path, lambda: None, 10.0):
        with pytest.raises(StatusError) as error:
            EventReader.connect(path)
        message = error.value.message.removeprefix(f"{path}: ")
        assert message == "too many programs read the events now"
        wait_for(server, connected=False, message=message, fix=error.value.fix)


def test_a_line_without_end_is_not_collected(server: Server, tmp_path: Path) -> None:
    with FakeDaemon(tmp_path / "events.sock") as daemon:
        wait_for(server, connected=True)
        with Page(server) as page:
            page.until("health")
            with contextlib.suppress(OSError):  # the server has closed the connection
                for _ in range(64):
                    daemon.send_bytes(b"x" * (1 << 16))
            until_lost(page, "the connection to the device is broken")


def test_numbers_that_no_browser_reads_become_none(server: Server, tmp_path: Path) -> None:
    sent = b'{"event": "health", "memory_mb": 1e999, "uptime_s": -1e999, "blocks_dropped": NaN, "losses": 1%s}\n'
    with FakeDaemon(tmp_path / "events.sock") as daemon:
        wait_for(server, connected=True, health=HEALTH)
        daemon.send_bytes(sent % (b"0" * 400))
        wait_for(server, health={
            "event": "health", "memory_mb": None, "uptime_s": None, "blocks_dropped": None, "losses": None,
        })  # fmt: skip


def test_what_is_nested_too_deeply_is_no_event() -> None:
    """Python reads deeper values than it writes, where more functions are called already."""
    for depth in range(400, 1000):
        event = decoded(b'{"event": "level", "dbfs": %b%b}' % (b"[" * depth, b"]" * depth))
        assert (event is None) == (depth >= 500)
        json.dumps([[event]])


def test_what_is_not_known_is_ignored(server: Server, tmp_path: Path) -> None:
    with FakeDaemon(tmp_path / "events.sock") as daemon:
        wait_for(server, mute={"event": "mute", "muted": False})
        daemon.send({"event": "future", "value": 1}, {"event": "mute", "muted": True, "future": [1]})
        wait_until(lambda: status(server)["mute"]["muted"])
        assert "future" not in status(server)


def test_only_the_latest_predictions_are_remembered() -> None:
    live = LiveState()
    live.apply(HELLO)
    for number in range(LATEST + 10):
        assert live.apply(prediction(number))
    assert not live.apply(prediction(LATEST))
    assert [each["number"] for each in live.latest] == list(range(10, LATEST + 10))


def test_the_light_goes_out() -> None:
    now = 2e9
    live = LiveState(lambda: now)
    live.apply(HELLO)
    live.found()
    live.apply(prediction(1))
    assert live.light == {"label": "negative", "until": 2e9 + 5}
    live.apply(prediction(2, "positive", lights_stay=True))
    assert live.light == {"label": "negative", "until": 2e9 + 5}
    live.apply(prediction(3, light=None))
    assert live.light is None
    live.apply(prediction(4, replayed=True))
    assert live.light is None, "it was long ago"
    live.apply(prediction(5))
    now += 5
    assert live.light is None


@pytest.mark.parametrize(
    ("states", "lit"),
    [
        (["muted"], False), (["lost"], False), (["silent"], False), (["recovering"], True), (["failed"], True),
        (["recovering", "healthy"], False),
    ],
)  # fmt: skip
def test_the_light_goes_out_with_the_leds(states: list[str], lit: bool) -> None:
    live = lit_by_a_prediction()
    for state in states:
        live.apply({**STATE, "state": state})
    assert (live.light is not None) == lit


def test_the_light_of_a_correction_goes_out_when_the_microphone_is_unmuted() -> None:
    live = lit_by_a_prediction()
    live.apply({**STATE, "state": "muted"})
    live.apply({"event": "corrected", "daemon": "d" * 32, "number": 1, "label": "neutral"})
    assert live.light is not None
    live.apply({**STATE, "state": "recovering"})
    assert live.light is None


@pytest.mark.parametrize(
    ("daemon", "state", "lit"),
    [("d" * 32, "healthy", True), ("d" * 32, "muted", False), ("e" * 32, "recovering", False)],
)
def test_the_light_after_a_new_connection(daemon: str, state: str, lit: bool) -> None:
    live = lit_by_a_prediction()
    live.lost("the connection to the device is broken")
    live.apply({**HELLO, "daemon": daemon})
    live.found()
    live.apply({**STATE, "state": state})
    assert (live.light is not None) == lit


def lit_by_a_prediction() -> LiveState:
    """A state in which the light of a prediction is on."""
    live = LiveState(lambda: 2e9)
    for event in START:
        live.apply(event)
    live.found()
    live.apply(HELLO)  # again, as when the models are loaded
    live.apply(prediction(1))
    live.apply(HELLO)
    assert live.light is not None
    return live


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
    max_leaves=5,
)
_NAMES = ("hello", "state", "mute", "level", "health", "speech", "words", "prediction", "corrected")
_KEYS = sorted({*HELLO, *HEALTH, *prediction(1), "muted", "state", "reason", "fix", "dbfs"} - {"event"})


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_NAMES),
            st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=8),
        ),
        max_size=8,
    )
)
def test_no_event_breaks_the_state(events: list[tuple[str, dict[str, Any]]]) -> None:
    live = LiveState()
    live.found()
    for name, values in events:
        event = decoded(json.dumps({**values, "event": name}).encode())
        assert event is not None
        live.apply(event)
        json.dumps([live.as_dict(), list(live.picture()), live.labels, live.boot])
