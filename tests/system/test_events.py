"""The events of a real `edge-mcnn listen` that listens to a virtual microphone."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.event_client import EventReader
from device.settings.schema import LightsSettings
from tests.conftest import CLIPS
from tests.system.listen_process import ListenProcess
from tests.system.virtual_microphone import VirtualMicrophone, missing_programs, plugged_in
from tests.waiting import LIMIT_S, wait_until

CLEAR = CLIPS / "espeak-ruined.flac"
LAST_WORDS = "leave me alone"

pytestmark = [
    pytest.mark.usefixtures("speech_model"),
    pytest.mark.skipif(
        bool(missing_programs()),
        reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`",
    ),
]


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with plugged_in(rate=16_000, channels=1, strict=False) as microphone:
        yield microphone


@pytest.fixture
def runtime() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="run") as folder:  # short, because it contains sockets
        yield Path(folder)


def listening(microphone: VirtualMicrophone, runtime: Path, *, words: bool) -> ListenProcess:
    settings = {
        "XDG_RUNTIME_DIR": str(runtime), "XDG_STATE_HOME": str(runtime / "state"),  # which remembers that it is muted
        "EDGE_MCNN_EVENTS_WORDS": str(words).lower(),
    }  # fmt: skip
    return ListenProcess(microphone, "--lights", "gpio", mock_pins=True, settings=settings)


def until(reader: EventReader, name: str) -> list[dict[str, Any]]:
    """The events up to the next one of this name, which is the last of them."""
    events = []
    for event in reader:
        events.append(event)
        if event["event"] == name:
            return events
    raise AssertionError(f"no {name}: {events}")


def request(runtime: Path, request: dict[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(LIMIT_S)
        connection.connect(str(runtime / "edge-mcnn" / "control.sock"))
        connection.sendall(json.dumps(request).encode() + b"\n")
        reply = json.loads(connection.makefile().readline())
    assert isinstance(reply, dict)
    return reply


def test_a_sentence_from_its_level_to_its_prediction(microphone: VirtualMicrophone, runtime: Path) -> None:
    path = runtime / "edge-mcnn" / "events.sock"
    with listening(microphone, runtime, words=True) as process:
        wait_until(path.exists, message="there is no socket while the models are being loaded")
        with EventReader.connect(path) as reader:
            process.wait_for("listening to")
            while until(reader, "state")[-1]["state"] != "healthy":
                pass
            until(reader, "level")
            microphone.play(CLEAR)
            events = until(reader, "prediction")
            printed = process.next_prediction()
            prediction = events[-1]
            assert {name: prediction[name] for name in printed} == printed
            assert (prediction["number"], prediction["replayed"]) == (1, False)
            assert prediction["ms_endpoint_to_light"] < 5000  # as in test_listen.py: only detects a queue that grows
            assert max(event["dbfs"] for event in events if event["event"] == "level") > -30
            words = [event["text"] for event in events if event["event"] == "words"]
            assert len(words) > 1
            assert words[-1]
            assert prediction["text"].endswith(LAST_WORDS)
            columns = 0
            for event in (event for event in events if event["event"] == "speech"):
                assert event["first"] == columns
                columns += len(base64.b64decode(event["columns"])) // 128
            assert columns == 1 + int(np.floor(prediction["seconds"] / 0.032 + 0.5)), "the complete utterance"

            assert request(runtime, {"light": "neutral"}) == {"light": "neutral"}
            assert "is not a class" in request(runtime, {"light": "angry"})["error"]
            assert request(runtime, {"mute": True})["muted"]
            assert until(reader, "mute")[-1]["muted"]
            assert "the lights show the state of the microphone" in request(runtime, {"light": "neutral"})["error"]
            with EventReader.connect(path) as later:
                replayed = until(later, "prediction")
                assert [event["event"] for event in replayed] == ["hello", "state", "mute", "health", "prediction"]
                assert set(replayed[0]["labels"]) == {"positive", "neutral", "negative"}
                assert (replayed[1]["state"], replayed[2]["muted"]) == ("muted", True)
                assert replayed[-1] == {**prediction, "replayed": True}
            process.end(signal.SIGTERM)
            assert until(reader, "end")[-1] == {"event": "end"}
        pins = process.pins()
        assert [True in pins[LightsSettings().pins[label]] for label in ("negative", "neutral")] == [True, True]
    assert not path.exists()


def test_a_reader_that_is_frozen_delays_no_light(microphone: VirtualMicrophone, runtime: Path) -> None:
    command = [sys.executable, "-m", "edge_mcnn", "events", "--socket", str(runtime / "edge-mcnn" / "events.sock")]
    with listening(microphone, runtime, words=False) as process:
        process.wait_for("listening to")
        with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
            try:
                assert reader.stdout is not None
                while b'"level"' not in reader.stdout.readline():
                    pass
                os.kill(reader.pid, signal.SIGSTOP)
                for _ in range(2):
                    microphone.play(CLEAR)
                    prediction = process.next_prediction()
                    assert prediction["ms_endpoint_to_light"] < 1000
                assert process.end(signal.SIGTERM) < 2
            finally:
                reader.kill()
