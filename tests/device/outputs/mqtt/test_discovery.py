"""The discovery messages have what Home Assistant's documentation requires."""

import json
import re
from importlib.metadata import version
from typing import Any

import pytest

from device.outputs.mqtt.client import topic_name
from device.outputs.mqtt.discovery import Topics, discovery
from tests.device.outputs.predictions import numbered_table

TOPICS = Topics("home/lamps", "kitchen")
LABELS = ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")


@pytest.fixture
def configs() -> dict[str, dict[str, Any]]:
    return {topic: json.loads(payload) for topic, payload in discovery(TOPICS, "Kitchen", "ha", LABELS).items()}


def test_there_is_a_message_for_each_entity(configs: dict[str, dict[str, Any]]) -> None:
    assert sorted(configs) == [
        "ha/binary_sensor/edge-mcnn-kitchen/microphone/config",
        "ha/sensor/edge-mcnn-kitchen/confidence/config",
        "ha/sensor/edge-mcnn-kitchen/label/config",
    ]
    assert len({config["unique_id"] for config in configs.values()}) == 3
    for topic in configs:  # the form that Home Assistant accepts
        assert re.fullmatch(r"ha/\w+/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)


@pytest.mark.parametrize("name", ["Küche 2", "pi/+#", 'a"b\\c', "💡 lamp", "{{ x }}", "$SYS x"])
def test_any_device_name_gives_topics_and_ids_that_home_assistant_accepts(name: str) -> None:
    for topic, payload in discovery(Topics("home", topic_name(name)), name, "ha", LABELS).items():
        assert re.fullmatch(r"ha/\w+/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
        config = json.loads(payload)
        assert config["device"]["name"] == name
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", config["unique_id"])


def test_all_entities_belong_to_one_device_with_an_availability(configs: dict[str, dict[str, Any]]) -> None:
    for config in configs.values():
        assert config["device"]["identifiers"] == ["edge-mcnn-kitchen"]
        assert config["device"]["name"] == "Kitchen"
        assert config["device"]["sw_version"] == config["origin"]["sw_version"] == version("edge-mcnn")
        assert config["origin"]["name"] == "edge-mcnn"
        assert config["availability_topic"] == "home/lamps/kitchen/availability"


def test_states_are_read_from_the_published_topics(configs: dict[str, dict[str, Any]]) -> None:
    label = configs["ha/sensor/edge-mcnn-kitchen/label/config"]
    assert label["state_topic"] == label["json_attributes_topic"] == TOPICS.prediction
    assert "tojson" in label["json_attributes_template"]
    assert (label["device_class"], label["options"]) == ("enum", list(LABELS))  # what automations can choose from
    templates = [config["value_template"] for config in configs.values() if config["state_topic"] == TOPICS.prediction]
    used = {name for template in templates for name in re.findall(r"value_json\.(\w+)", template)}
    assert used == {"label", "probabilities"} <= set(numbered_table(1))
    confidence = configs["ha/sensor/edge-mcnn-kitchen/confidence/config"]
    assert (confidence["unit_of_measurement"], confidence["state_class"]) == ("%", "measurement")
    microphone = configs["ha/binary_sensor/edge-mcnn-kitchen/microphone/config"]
    assert (microphone["device_class"], microphone["state_topic"]) == ("connectivity", TOPICS.microphone)
