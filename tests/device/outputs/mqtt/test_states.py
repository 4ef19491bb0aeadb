import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from device.audio.liveness import Liveness, State
from device.outputs.commands import Diagnostics
from device.outputs.mqtt import states as states_module
from device.outputs.mqtt.states import DeviceStates
from device.outputs.mqtt.topics import Topics
from tests.device.outputs.mqtt.recorded_commands import RecordedCommands
from tests.device.outputs.predictions import LABELS

TOPICS = Topics("edge-mcnn", "lamp")


def opened(commands: RecordedCommands | None, machine: str = "0123") -> DeviceStates:
    states = DeviceStates(TOPICS, commands, machine)
    states.open(LABELS)
    return states


def test_the_present_states() -> None:
    commands = RecordedCommands()
    commands.set_confidence("negative", 0.625)
    assert opened(commands).present() == {
        "edge-mcnn/lamp/microphone": "OFF",
        "edge-mcnn/lamp/mute": "OFF",
        "edge-mcnn/lamp/confidence/negative": "62.5",
        "edge-mcnn/lamp/confidence/neutral": "40",
        "edge-mcnn/lamp/confidence/positive": "40",
        "edge-mcnn/lamp/machine": "0123",
    }
    assert opened(None, "").present() == {"edge-mcnn/lamp/microphone": "OFF", "edge-mcnn/lamp/mute": "OFF"}


@pytest.mark.parametrize(
    ("states", "microphone", "mute"),
    [
        ([], "OFF", "OFF"), ([State.HEALTHY], "ON", "OFF"), ([State.SILENT], "OFF", "OFF"),
        ([State.LOST], "OFF", "OFF"),
        ([State.HEALTHY, State.RECOVERING], "ON", "OFF"), ([State.LOST, State.RECOVERING], "OFF", "OFF"),
        ([State.HEALTHY, State.MUTED], "OFF", "ON"), ([State.MUTED, State.RECOVERING], "OFF", "OFF"),
        ([State.MUTED, State.RECOVERING, State.HEALTHY], "ON", "OFF"), ([State.FAILED], "OFF", "OFF"),
    ],
)  # fmt: skip
def test_the_microphone_and_mute(states: list[State], microphone: str, mute: str) -> None:
    commands = RecordedCommands()
    found = opened(commands)
    for state in states:
        commands.muted = state == State.MUTED
        found.microphone(Liveness(state, 0, ""))
    present = found.present()
    assert (present[TOPICS.microphone], present[TOPICS.mute]) == (microphone, mute)


def test_it_is_muted_when_the_microphone_is_closed() -> None:
    commands = RecordedCommands()
    states = opened(commands)
    commands.mute(True)
    assert states.present()[TOPICS.mute] == "ON", "it was never open"
    states.microphone(Liveness(State.HEALTHY, 0, ""))
    assert states.present()[TOPICS.mute] == "OFF", "it is still open"
    states.microphone(Liveness(State.MUTED, 0, ""))
    assert states.present()[TOPICS.mute] == "ON"
    commands.mute(False)
    assert states.present()[TOPICS.mute] == "OFF", "it is closed for another process"


def test_changes_are_what_was_not_published() -> None:
    commands = RecordedCommands()
    states = opened(commands)
    assert len(states.changes()) == 6
    assert states.changes() == {}
    commands.set_confidence("negative", 0.5)
    states.microphone(Liveness(State.HEALTHY, 0, ""))
    assert states.changes() == {TOPICS.microphone: "ON", TOPICS.confidence("negative"): "50"}
    assert states.changes() == {}
    assert len(states.present()) == 6


def test_diagnostics(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    class Clock:
        @staticmethod
        def now(_zone: Any) -> datetime:
            return now

    monkeypatch.setattr(states_module, "datetime", Clock)
    commands = RecordedCommands()
    states = opened(commands)

    def measured() -> Any:
        states.measure()
        return json.loads(states.present()[TOPICS.diagnostics])

    assert measured() == {
        "memory_mb": 123.4, "started": "2026-01-01T11:59:00+00:00", "uptime_s": 60, "blocks_dropped": 2,
        "microphone_losses": 1, "model": "sentiment",
    }  # fmt: skip
    now += timedelta(seconds=62)
    commands.found = Diagnostics(123.4, 120.4, 2, 1, "sentiment")
    assert measured()["started"] == "2026-01-01T11:59:00+00:00", "a clock that drifts is no restart"
    now += timedelta(days=1)
    assert measured()["started"] == "2026-01-02T11:59:02+00:00", "the clock was set"
    commands.found = None
    assert measured()["uptime_s"] == 120, "nothing new is known"
