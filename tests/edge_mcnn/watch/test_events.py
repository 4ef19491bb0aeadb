"""`edge-mcnn events` as a process, at the socket of an event stream."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.outputs.event_stream.stream import EventStream
from device.settings.schema import Settings
from tests.device.outputs.commands import NotedCommands
from tests.device.outputs.predictions import LABELS, LIT_AT, prediction
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn
from tests.waiting import LIMIT_S, wait_until


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="events") as name:  # pytest's own paths are too long for a socket
        yield Path(name) / "events.sock"


def stream(path: Path) -> EventStream:
    stream = EventStream(path, Settings(), NotedCommands())
    stream.open(LABELS)
    return stream


class Process:
    """`edge-mcnn events`, until it is killed."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge_mcnn", "events", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONWARNINGS": "error"},
        )  # fmt: skip

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def test_events_are_printed_until_the_daemon_ends(path: Path) -> None:
    with stream(path) as events, Process("--socket", path) as process:
        assert [json.loads(process.line())["event"] for _ in range(3)] == ["hello", "state", "mute"]
        events.prediction(prediction("negative"), LIT_AT)
        assert json.loads(process.line())["label"] == "negative"
        events.close(LIMIT_S)
        output, errors = process.process.communicate(timeout=LIMIT_S)
    assert (output, errors, process.process.returncode) == ('{"event": "end"}\n', "", 0)


def test_only_some_events(path: Path) -> None:
    with stream(path) as events, Process("--socket", path, "--only", "prediction, corrected") as process:
        wait_until(lambda: events.watching)
        events.prediction(prediction("negative"), LIT_AT)
        events.corrected("neutral")
        assert [json.loads(process.line())["event"] for _ in range(2)] == ["prediction", "corrected"]
    done = edge_mcnn("events", "--only", "prediction,levels")
    assert done.returncode == 2
    assert "there is no event 'levels'" in done.stderr


def test_a_connection_that_ends_without_an_end(path: Path) -> None:
    with stream(path) as events, Process("--socket", path) as process:
        process.line()
        for reader in list(events._server._readers.values()):
            reader.overflowed = True
        events.corrected("neutral")
        events._server.publish(b"")
        _, errors = process.process.communicate(timeout=LIMIT_S)
    assert process.process.returncode == 1
    assert errors == (
        "edge-mcnn: the daemon has ended, or these events were read too slowly\n  fix: add --wait to connect again\n"
    )


def test_it_waits_for_a_daemon_and_connects_again(path: Path) -> None:
    with Process("--socket", path, "--wait", "--only", "hello") as process:
        assert process.process.stderr is not None
        assert "no daemon is running" in process.process.stderr.readline()
        daemons = set()
        for _ in range(2):
            with stream(path):
                daemons.add(json.loads(process.line())["daemon"])
        assert len(daemons) == 2
        process.process.send_signal(signal.SIGINT)
        _, errors = process.process.communicate(timeout=LIMIT_S)
    assert process.process.returncode == 130
    assert "Traceback" not in errors


def test_without_a_daemon(path: Path) -> None:
    assert_refused(edge_mcnn("events", "--socket", path), "no daemon is running", "start one: edge-mcnn listen")
