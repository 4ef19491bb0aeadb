"""What messages can command, and that nothing else in them has any effect."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.outputs.mqtt.commands import CommandReceiver
from device.outputs.mqtt.topics import Topics
from tests.device.outputs.mqtt.recorded_commands import RecordedCommands
from tests.device.outputs.predictions import LABELS

TOPICS = Topics("edge-mcnn", "lamp")
NEGATIVE = TOPICS.set_confidence("negative")


class Receiver:
    """A receiver, whose clock stands still."""

    def __init__(self, *, corrections: bool = True) -> None:
        self.commands = RecordedCommands()
        self.lines: list[str] = []
        self.changes = 0
        self.now = 100.0
        self.receiver = CommandReceiver(
            TOPICS, LABELS, self.commands, self.lines.append, self._changed, corrections=corrections,
            clock=lambda: self.now,
        )  # fmt: skip

    def _changed(self) -> None:
        self.changes += 1

    def __call__(self, topic: str, payload: bytes | str, *, retained: bool = False) -> None:
        content = payload if isinstance(payload, bytes) else payload.encode()
        self.receiver.receive(topic, content, retained=retained)

    @property
    def untouched(self) -> bool:
        return (
            self.commands.mutings == [] and self.commands.learnt == []
            and set(self.commands.confidences.values()) == {0.4} and self.changes == 0
        )  # fmt: skip


@pytest.fixture
def receive() -> Receiver:
    return Receiver()


def test_mute(receive: Receiver) -> None:
    for payload in ("ON", "OFF", " ON\n"):
        receive("edge-mcnn/lamp/mute/set", payload)
    assert receive.commands.mutings == [True, False, True]
    assert receive.changes == 3
    assert receive.lines == []


def test_confidence(receive: Receiver) -> None:
    for payload, expected in (("60", 0.6), ("0", 0.0), ("100", 1.0), ("62.5", 0.625), ("45.0", 0.45)):
        receive("edge-mcnn/lamp/confidence/negative/set", payload)
        assert receive.commands.confidences == {"negative": expected, "neutral": 0.4, "positive": 0.4}
    assert receive.lines == []


@pytest.mark.parametrize(
    ("topic", "payload", "line"),
    [
        (TOPICS.set_mute, b"on", "received 'on', which is neither ON nor OFF; publish one of them"),
        (TOPICS.set_mute, b"toggle", "neither ON nor OFF"),
        (TOPICS.set_mute, b"ON" + b" " * 10 + b"x", "neither ON nor OFF"),
        (TOPICS.set_mute, b"ON\x00", "received 'ON\\x00'"),
        (NEGATIVE, b"101", "received '101', which is not a number from 0 to 100; publish a percentage, such as 60"),
        *((NEGATIVE, payload, "not a number from 0 to 100") for payload in (
            b"-1", b"nan", b"inf", b"1e1", b"1_0", b"0x1", b"9" * 500, b"50 %", "\u0665".encode(), b"[50]", b"true",
            b"1." + b"0" * 900, b"\xff",
        )),
        (TOPICS.correct, b"angry\x1b[31m", "received 'angry\\x1b[31m', which is not a class of the model; publish one"),
        (TOPICS.correct, b"Negative", "not a class of the model"),
        (TOPICS.correct, b"\xff" * 900, "not a class of the model"),
    ],
)  # fmt: skip
def test_what_is_no_command_is_reported_once(receive: Receiver, topic: str, payload: bytes, line: str) -> None:
    for _ in range(3):
        receive(topic, payload)
    [printed] = receive.lines
    assert line in printed
    assert printed.startswith(f"mqtt: {topic} received ")
    assert printed.endswith("; this is reported once")
    assert len(printed) < 300
    assert receive.untouched


def test_a_payload_that_is_too_long_is_no_command(receive: Receiver) -> None:
    receive(TOPICS.set_mute, b"ON" + b" " * 999 + b"x")
    receive(NEGATIVE, b" " * 100_000 + b"60")
    assert receive.untouched
    assert receive.lines == ["mqtt: edge-mcnn/lamp/mute/set received 1002 bytes, and a command has at most 1000"]


def test_each_kind_of_message_is_reported(receive: Receiver) -> None:
    for topic in (TOPICS.set_mute, NEGATIVE, TOPICS.set_confidence("neutral"), TOPICS.correct):
        receive(topic, "?")
    assert [line.split()[1] for line in receive.lines] == [TOPICS.set_mute, NEGATIVE, TOPICS.correct]


def test_a_command_that_the_broker_stored_is_ignored(receive: Receiver) -> None:
    for topic, payload in ((TOPICS.set_mute, "ON"), (NEGATIVE, "60"), (TOPICS.correct, "negative")):
        receive(topic, payload, retained=True)
    assert receive.untouched
    assert receive.lines == [
        "mqtt: the broker has stored a command with the topic edge-mcnn/lamp/mute/set; it is ignored, publish it "
        "without retain"
    ]


@pytest.mark.parametrize(
    "topic",
    [TOPICS.mute, TOPICS.confidence("negative"), TOPICS.set_confidence("angry"), "edge-mcnn/other/mute/set", ""],
)
def test_other_topics_and_empty_payloads_do_nothing(receive: Receiver, topic: str) -> None:
    receive(topic, "ON")
    receive(TOPICS.set_mute, "")  # deletes what the broker has stored
    assert receive.untouched
    assert receive.lines == []


def test_too_many_commands_are_dropped_and_reported_once(receive: Receiver) -> None:
    for _ in range(1000):
        receive(TOPICS.set_mute, "ON")
    assert len(receive.commands.mutings) == 10
    receive.now += 1.0
    for _ in range(1000):
        receive(TOPICS.set_mute, "OFF")
    assert receive.commands.mutings[10:] == [False] * 5
    [line] = receive.lines
    assert line.startswith(
        "mqtt: more than 5 commands a second arrive, such as with the topic edge-mcnn/lamp/mute/set;"
    )
    receive.now += 3600
    for _ in range(1000):
        receive(TOPICS.set_mute, "ON")
    assert len(receive.commands.mutings) == 25


def test_corrections_are_accepted_only_if_the_settings_permit_it() -> None:
    receive = Receiver(corrections=False)
    receive(TOPICS.correct, "negative")
    assert TOPICS.correct not in receive.receiver.topics
    assert receive.untouched
    assert list(Receiver().receiver.topics) == [
        "edge-mcnn/lamp/mute/set", "edge-mcnn/lamp/confidence/negative/set", "edge-mcnn/lamp/confidence/neutral/set",
        "edge-mcnn/lamp/confidence/positive/set", "edge-mcnn/lamp/correct",
    ]  # fmt: skip


_TOPIC = st.sampled_from([*Receiver().receiver.topics, TOPICS.mute, TOPICS.availability]) | st.text(max_size=50)
_PAYLOAD = st.sampled_from([b"ON", b"OFF", b"50", b"100.5", b"negative", b""]) | st.binary(max_size=2000)


@settings(max_examples=300)
@given(st.lists(st.tuples(_TOPIC, _PAYLOAD, st.booleans()), max_size=8))
def test_any_message_has_the_effect_of_a_valid_command_or_none(messages: list[tuple[str, bytes, bool]]) -> None:
    receive = Receiver(corrections=False)
    for topic, payload, retained in messages:
        receive(topic, payload, retained=retained)
    valid = [(topic, payload.strip()) for topic, payload, retained in messages if not retained]
    muted = [payload == b"ON" for topic, payload in valid if topic == TOPICS.set_mute and payload in (b"ON", b"OFF")]
    assert receive.commands.mutings == muted
    assert receive.commands.learnt == []
    for confidence in receive.commands.confidences.values():
        assert 0 <= confidence <= 1
    for label, confidence in receive.commands.confidences.items():
        sent = [payload for topic, payload in valid if topic == TOPICS.set_confidence(label)]
        assert confidence == 0.4 or any(payload[:1].isdigit() for payload in sent)
    assert all("\n" not in line and line.isprintable() for line in receive.lines)
