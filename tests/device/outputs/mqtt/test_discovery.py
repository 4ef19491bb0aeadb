"""The discovery messages have what Home Assistant's documentation requires."""

import json
import re
from importlib.metadata import version
from typing import Any

import pytest

from device.outputs.mqtt.client import topic_name
from device.outputs.mqtt.discovery import config_topics, discovery
from device.outputs.mqtt.topics import Topics
from device.settings.schema import MqttSettings
from tests.device.outputs.predictions import numbered_table

TOPICS = Topics("home/lamps", "kitchen")
LABELS = ("neutral", "joy")
ALWAYS = {
    "sensor label": "Emotion",
    "sensor confidence": "Confidence",
    "event prediction": "Prediction",
    "binary_sensor microphone": "Microphone",
    "sensor memory": "Memory",
    "sensor started": "Started",
    "sensor dropped-blocks": "Dropped blocks",
    "sensor microphone-losses": "Microphone losses",
    "sensor model": "Model",
}
THRESHOLDS = {
    "number threshold-neutral": "Confidence threshold neutral",
    "number threshold-joy": "Confidence threshold joy",
}
BUTTONS = {"button correct-neutral": "That was neutral", "button correct-joy": "That was joy"}


def configs(labels: tuple[str, ...] = LABELS, **settings: Any) -> dict[str, dict[str, Any]]:
    """The configurations by component and name of the entity."""
    found = discovery(TOPICS, "Kitchen", MqttSettings(discovery_prefix="ha", **settings), labels)
    table = {}
    for topic, payload in found.items():
        match = re.fullmatch(r"ha/(\w+)/edge-mcnn-kitchen/([a-zA-Z0-9_-]+)/config", topic)  # as Home Assistant accepts
        assert match, topic
        table[f"{match[1]} {match[2]}"] = json.loads(payload)
    return table


def names(**settings: Any) -> dict[str, str]:
    return {entity: config["name"] for entity, config in configs(**settings).items()}


def test_there_is_a_message_for_each_entity() -> None:
    assert names() == {**ALWAYS, "switch mute": "Mute", **THRESHOLDS}
    assert names(level=True) == {**ALWAYS, "switch mute": "Mute", **THRESHOLDS, "sensor level": "Sound level"}
    assert names(corrections=True) == {**ALWAYS, "switch mute": "Mute", **THRESHOLDS, **BUTTONS}


def test_without_commands_nothing_can_be_changed_and_the_state_is_visible() -> None:
    assert names(commands=False) == {**ALWAYS, "binary_sensor muted": "Muted"}
    for config in configs(commands=False).values():
        assert "command_topic" not in config
    assert configs(commands=False)["binary_sensor muted"]["state_topic"] == TOPICS.mute


def test_the_ids_are_unique_and_stay_the_same() -> None:
    found = configs(level=True, corrections=True)
    for entity, config in found.items():
        assert config["unique_id"] == f"edge-mcnn-kitchen-{entity.split()[1]}"
    assert len({config["unique_id"] for config in found.values()}) == len(found)


@pytest.mark.parametrize("name", ["Küche 2", "pi/+#", 'a"b\\c', "💡 lamp", "{{ x }}", "$SYS x"])
def test_any_device_name_gives_topics_and_ids_that_home_assistant_accepts(name: str) -> None:
    settings = MqttSettings(discovery_prefix="ha", corrections=True)
    labels = (name, f"{name}!", "")
    for topic, payload in discovery(Topics("home", topic_name(name)), name, settings, labels).items():
        assert re.fullmatch(r"ha/\w+/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
        config = json.loads(payload)
        assert config["device"]["name"] == name
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", config["unique_id"])


def test_all_entities_belong_to_one_device_with_an_availability() -> None:
    for entity, config in configs(level=True, corrections=True).items():
        assert config["device"]["identifiers"] == ["edge-mcnn-kitchen"]
        assert config["device"]["name"] == "Kitchen"
        assert config["device"]["sw_version"] == config["origin"]["sw_version"] == version("edge-mcnn")
        assert config["origin"]["name"] == "edge-mcnn"
        [of_device, *others] = config["availability"]
        assert (of_device, config["availability_mode"]) == ({"topic": "home/lamps/kitchen/availability"}, "all")
        assert bool(others) == (entity == "sensor level"), "only the level is unknown while the microphone is closed"
    level = configs(level=True)["sensor level"]["availability"][1]
    assert level == {"topic": TOPICS.microphone, "payload_available": "ON", "payload_not_available": "OFF"}


def test_states_are_read_from_the_published_topics() -> None:
    found = configs(level=True)
    label, confidence, event = (
        found[entity] for entity in ("sensor label", "sensor confidence", "event prediction")
    )  # fmt: skip
    assert label["state_topic"] == label["json_attributes_topic"] == TOPICS.prediction
    assert "tojson" in label["json_attributes_template"]
    assert (label["device_class"], label["options"]) == ("enum", list(LABELS))  # what automations can choose from
    assert event["event_types"] == list(LABELS)
    assert event["value_template"] == (
        "{{ {'event_type': value_json.label, 'confidence': (100 * (value_json.probabilities.values() | max)) | "
        "round(1), 'confident': value_json.confident} | tojson }}"
    )
    templates = [config["value_template"] for config in found.values() if config["state_topic"] == TOPICS.prediction]
    used = {name for template in templates for name in re.findall(r"value_json\.(\w+)", template)}
    assert used == {"label", "probabilities", "confident"} <= set(numbered_table(1))
    assert (confidence["unit_of_measurement"], confidence["state_class"]) == ("%", "measurement")
    microphone, level = found["binary_sensor microphone"], found["sensor level"]
    assert (microphone["device_class"], microphone["state_topic"]) == ("connectivity", TOPICS.microphone)
    assert (level["unit_of_measurement"], level["state_class"]) == ("dBFS", "measurement")
    assert "device_class" not in level


def test_diagnostics_expire() -> None:
    found = [config for config in configs().values() if config.get("state_topic") == TOPICS.diagnostics]
    assert len(found) == 5
    for config in found:
        assert (config["entity_category"], config["expire_after"]) == ("diagnostic", 180)
    started = configs()["sensor started"]
    assert (started["device_class"], started["value_template"]) == ("timestamp", "{{ value_json.started }}")


def test_commands_are_sent_to_the_topics_that_are_read() -> None:
    found = configs(corrections=True)
    mute, threshold, button = (
        found[entity] for entity in ("switch mute", "number threshold-joy", "button correct-joy")
    )
    assert (mute["state_topic"], mute["command_topic"]) == (
        "home/lamps/kitchen/mute", "home/lamps/kitchen/mute/set",
    )  # fmt: skip
    assert (threshold["state_topic"], threshold["command_topic"]) == (
        "home/lamps/kitchen/confidence/joy", "home/lamps/kitchen/confidence/joy/set",
    )  # fmt: skip
    assert (threshold["min"], threshold["max"], threshold["step"]) == (0, 100, 1)
    assert (threshold["unit_of_measurement"], threshold["entity_category"]) == ("%", "config")
    assert (button["command_topic"], button["payload_press"]) == ("home/lamps/kitchen/correct", "joy")


def test_every_entity_can_be_found_again_to_be_removed() -> None:
    known = set(config_topics(TOPICS, "ha"))
    for settings in (
        MqttSettings(discovery_prefix="ha", level=True),
        MqttSettings(discovery_prefix="ha", commands=False),
    ):
        assert set(discovery(TOPICS, "Kitchen", settings, ())) <= known
