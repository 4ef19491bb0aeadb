import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.outputs.mqtt.leftovers import Leftovers, announcements, filters
from device.outputs.mqtt.topics import Topics

TOPICS = Topics("home/lamps", "bath")
OWN = "ha/sensor/edge-mcnn-bath/memory/config"


@pytest.fixture
def leftovers() -> Leftovers:
    return Leftovers(TOPICS, "ha", "0123")


def other(leftovers: Leftovers, device: str, machine: str, availability: str | None) -> None:
    leftovers.note(f"home/lamps/{device}/machine", machine.encode(), retained=True)
    if availability is not None:
        leftovers.note(f"home/lamps/{device}/availability", availability.encode(), retained=True)


def test_the_subscriptions() -> None:
    assert filters(TOPICS, "ha") == ["home/lamps/bath/#", "ha/+/edge-mcnn-bath/+/config"]
    assert filters(TOPICS, "") == ["home/lamps/bath/#"]
    discovered = ["ha/+/edge-mcnn-bath/+/config", "home/lamps/bath/confidence/+"]
    former = ["home/lamps/+/availability", "home/lamps/+/machine"]
    assert Leftovers(TOPICS, "ha", "0123").filters == [*discovered, *former]
    assert Leftovers(TOPICS, "ha", "").filters == discovered


def test_entities_that_the_device_no_longer_has_are_stale(leftovers: Leftovers) -> None:
    joy = "home/lamps/bath/confidence/joy"
    others = "ha/sensor/edge-mcnn-kitchen/x/config", "home/lamps/kitchen/confidence/joy", "ha/sensor/0x1/bath/config"
    for topic in (OWN, "ha/number/edge-mcnn-bath/threshold-joy/config", joy, *others):
        leftovers.note(topic, b"{}", retained=True)
    leftovers.note("ha/sensor/edge-mcnn-bath/new/config", b"{}", retained=False)
    leftovers.note("ha/sensor/edge-mcnn-bath/gone/config", b"", retained=True)
    assert leftovers.stale([OWN]) == ["ha/number/edge-mcnn-bath/threshold-joy/config", joy]


def test_former_names_are_offline_devices_of_this_machine(leftovers: Leftovers) -> None:
    other(leftovers, "kitchen", "0123", "offline")
    other(leftovers, "runs", "0123", "online")
    other(leftovers, "elsewhere", "4567", "offline")
    other(leftovers, "unknown", "0123", None)
    other(leftovers, "bath", "0123", "offline")  # from before this connection
    leftovers.note("home/lamps/deep/er/machine", b"0123", retained=True)
    other(leftovers, "#", "0123", "offline")  # as no broker sends
    assert leftovers.former() == [Topics("home/lamps", "kitchen")]
    leftovers.note("home/lamps/kitchen/availability", b"online", retained=False)
    assert leftovers.former() == []


def test_a_machine_without_an_id_has_no_former_names() -> None:
    leftovers = Leftovers(TOPICS, "ha", "")
    other(leftovers, "kitchen", "", "offline")
    assert leftovers.former() == []


def test_everything_of_a_former_name_is_found(leftovers: Leftovers) -> None:
    kitchen = [
        "ha/switch/edge-mcnn-kitchen/mute/config",
        "home/lamps/kitchen/machine",
        "home/lamps/kitchen/confidence/x",
    ]
    for topic in [*kitchen, OWN, "home/lamps/bath/mute", "ha/sensor/edge-mcnn-kitchen2/memory/config"]:
        leftovers.note(topic, b"x", retained=True)
    assert leftovers.retained_of(Topics("home/lamps", "kitchen")) == sorted(kitchen)


def test_announcements() -> None:
    states = {"home/lamps/bath/confidence/config", "home/lamps/bath/mute"}
    assert announcements({OWN, *states}, "ha") == {OWN}


def test_what_others_publish_is_bounded(leftovers: Leftovers) -> None:
    for number in range(5000):
        other(leftovers, f"d{number}", "0123", "offline")
    assert len(leftovers.former()) == 5
    assert len(leftovers._retained) == len(leftovers._machines) == len(leftovers._availabilities) == 2000


@given(st.lists(st.tuples(st.text(max_size=60), st.binary(max_size=80), st.booleans())))
def test_any_message_can_be_noted(messages: list[tuple[str, bytes, bool]]) -> None:
    leftovers = Leftovers(TOPICS, "ha", "0123")
    for topic, payload, retained in messages:
        leftovers.note(topic, payload, retained=retained)
    assert leftovers.stale(()) == []
    assert leftovers.former() == []
