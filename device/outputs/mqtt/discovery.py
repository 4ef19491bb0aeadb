"""The messages with which Home Assistant finds a device and its entities by itself.

See https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True)
class Topics:
    """Topics under which one device publishes."""

    prefix: str
    """First part of the topics of all devices."""
    device: str
    """Name of the device: ASCII letters, digits, - and _."""

    @property
    def prediction(self) -> str:
        """Topic of each prediction, as JSON."""
        return f"{self.prefix}/{self.device}/prediction"

    @property
    def microphone(self) -> str:
        """Topic of the state of the microphone: `ON` while it gives audio, else `OFF`; retained."""
        return f"{self.prefix}/{self.device}/microphone"

    @property
    def correct(self) -> str:
        """Topic to which others publish the right class of the latest prediction."""
        return f"{self.prefix}/{self.device}/correct"

    @property
    def availability(self) -> str:
        """Topic of the availability of the device: `online` or `offline`; retained."""
        return f"{self.prefix}/{self.device}/availability"


def discovery(topics: Topics, name: str, prefix: str, labels: Sequence[str]) -> dict[str, str]:
    """The retained messages by topic, one per entity: the label, its probability, the microphone.

    Args:
        topics: topics of the device.
        name: name of the device for people.
        prefix: topic prefix under which Home Assistant expects discovery messages.
        labels: classes of the model, from which automations can choose.
    """
    own_version = version("edge-mcnn")
    device_id = f"edge-mcnn-{topics.device}"
    shared = {
        "availability_topic": topics.availability,
        "device": {
            "identifiers": [device_id],
            "name": name,
            "manufacturer": "edge-mcnn",
            "model": "edge-mcnn",
            "sw_version": own_version,
        },
        "origin": {"name": "edge-mcnn", "sw_version": own_version},
        "qos": 1,
    }
    entities: dict[tuple[str, str], dict[str, Any]] = {
        ("sensor", "label"): {
            "name": "Emotion",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": list(labels),
            "state_topic": topics.prediction,
            "value_template": "{{ value_json.label }}",
            "json_attributes_topic": topics.prediction,
            "json_attributes_template": "{{ value_json | tojson }}",
            "force_update": True,  # the same label again is a new prediction
        },
        ("sensor", "confidence"): {
            "name": "Confidence",
            "icon": "mdi:percent",
            "state_topic": topics.prediction,
            "value_template": "{{ (100 * (value_json.probabilities.values() | max)) | round(1) }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
        },
        ("binary_sensor", "microphone"): {
            "name": "Microphone",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topics.microphone,
        },
    }
    return {
        f"{prefix}/{component}/{device_id}/{entity}/config": json.dumps(
            {**about, "unique_id": f"{device_id}-{entity}", **shared}, ensure_ascii=False
        )
        for (component, entity), about in entities.items()
    }
