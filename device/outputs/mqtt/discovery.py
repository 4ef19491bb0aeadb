"""What Home Assistant is told so that it knows a device and its entities by itself.

See https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.
"""

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True)
class Topics:
    """Where one device publishes."""

    prefix: str
    """Below which all devices are."""
    device: str
    """Of letters, digits, - and _."""

    @property
    def prediction(self) -> str:
        """Each answer, as JSON."""
        return f"{self.prefix}/{self.device}/prediction"

    @property
    def microphone(self) -> str:
        """`ON` while it gives sound, else `OFF`; retained."""
        return f"{self.prefix}/{self.device}/microphone"

    @property
    def availability(self) -> str:
        """`online` or `offline`; retained."""
        return f"{self.prefix}/{self.device}/availability"


def discovery(topics: Topics, name: str, prefix: str) -> dict[str, str]:
    """The retained messages by topic, one per entity: the label, its probability, the microphone.

    Args:
        topics: of the device.
        name: of the device, for people.
        prefix: where Home Assistant looks.
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
            "name": "Answer",
            "icon": "mdi:emoticon-outline",
            "state_topic": topics.prediction,
            "value_template": "{{ value_json.label }}",
            "json_attributes_topic": topics.prediction,
            "json_attributes_template": "{{ value_json | tojson }}",
            "force_update": True,  # the same answer again is an answer, too
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
