"""The messages with which Home Assistant finds a device and its entities by itself.

See https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from device.outputs.mqtt.topics import Topics, class_slugs
from device.settings.schema import MqttSettings

DIAGNOSTICS_S = 60.0
"""Seconds between two messages with diagnostics."""
_STALE_S = round(3 * DIAGNOSTICS_S)
"""Seconds after which diagnostics that did not come again are unavailable."""
_ALWAYS = (
    ("sensor", "label"), ("sensor", "confidence"), ("binary_sensor", "microphone"), ("event", "prediction"),
    ("switch", "mute"), ("binary_sensor", "muted"), ("sensor", "level"), ("sensor", "memory"), ("sensor", "started"),
    ("sensor", "dropped-blocks"), ("sensor", "microphone-losses"), ("sensor", "model"),
)  # fmt: skip
"""Components and names of all entities of this version and of those before, apart from those for each class."""
_Entity = tuple[str, str, dict[str, Any]]
"""Component, name, and configuration of an entity."""


def config_topics(topics: Topics, prefix: str) -> list[str]:
    """Topics of the discovery messages of all entities that a device may have had, apart from those for each class."""
    return [topics.config(prefix, component, entity) for component, entity in _ALWAYS]


def discovery(topics: Topics, name: str, settings: MqttSettings, labels: Sequence[str]) -> dict[str, str]:
    """The retained messages by topic, one per entity.

    Args:
        topics: topics of the device.
        name: name of the device for people.
        settings: the topic prefix under which Home Assistant expects discovery messages, and which commands the device
            accepts.
        labels: classes of the model, from which automations can choose.
    """
    own_version = version("edge-mcnn")
    shared = {
        "device": {
            "identifiers": [topics.device_id],
            "name": name,
            "manufacturer": "edge-mcnn",
            "model": "edge-mcnn",
            "sw_version": own_version,
        },
        "origin": {"name": "edge-mcnn", "sw_version": own_version},
        "availability_mode": "all",
        "qos": 1,
    }
    entities = [*_of_predictions(topics, labels), *_of_microphone(topics, settings), *_of_diagnostics(topics)]
    if settings.commands:
        entities += _of_classes(topics, settings, labels)
    return {
        topics.config(settings.discovery_prefix, component, entity): json.dumps(
            {
                **about,
                "unique_id": f"{topics.device_id}-{entity}",
                "availability": [{"topic": topics.availability}, *about.get("availability", [])],
                **shared,
            },
            ensure_ascii=False,
        )
        for component, entity, about in entities
    }


def _of_predictions(topics: Topics, labels: Sequence[str]) -> Iterator[_Entity]:
    yield (
        "sensor",
        "label",
        {
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
    )
    percent = "(100 * (value_json.probabilities.values() | max)) | round(1)"
    yield (
        "sensor",
        "confidence",
        {
            "name": "Confidence",
            "icon": "mdi:percent",
            "state_topic": topics.prediction,
            "value_template": f"{{{{ {percent} }}}}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
        },
    )
    event = f"{{'event_type': value_json.label, 'confidence': {percent}, 'confident': value_json.confident}}"
    yield (
        "event",
        "prediction",
        {
            "name": "Prediction",
            "icon": "mdi:account-voice",
            "event_types": list(labels),
            "state_topic": topics.prediction,
            "value_template": f"{{{{ {event} | tojson }}}}",
        },
    )


def _of_microphone(topics: Topics, settings: MqttSettings) -> Iterator[_Entity]:
    yield (
        "binary_sensor",
        "microphone",
        {
            "name": "Microphone",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topics.microphone,
        },
    )
    muted = {"icon": "mdi:microphone-off", "state_topic": topics.mute}
    if settings.commands:
        yield "switch", "mute", {"name": "Mute", "command_topic": topics.set_mute, **muted}
    else:
        yield "binary_sensor", "muted", {"name": "Muted", **muted}
    if settings.level:
        yield "sensor", "level", {
            "name": "Sound level",
            "icon": "mdi:volume-high",
            "state_topic": topics.level,
            # No device class: that of sound pressure means dB above the quietest sound that people perceive.
            "unit_of_measurement": "dBFS",
            "state_class": "measurement",
            "availability": [
                {"topic": topics.microphone, "payload_available": "ON", "payload_not_available": "OFF"}
            ],
        }  # fmt: skip


def _of_diagnostics(topics: Topics) -> Iterator[_Entity]:
    shared = {"entity_category": "diagnostic", "state_topic": topics.diagnostics, "expire_after": _STALE_S}
    yield (
        "sensor",
        "memory",
        {
            "name": "Memory",
            "value_template": "{{ value_json.memory_mb }}",
            "device_class": "data_size",
            "unit_of_measurement": "MB",
            "state_class": "measurement",
            **shared,
        },
    )
    yield (
        "sensor",
        "started",
        {
            "name": "Started",
            "value_template": "{{ value_json.started }}",
            "device_class": "timestamp",  # and not the uptime, which would change in every message
            **shared,
        },
    )
    for entity, name, key, icon in (
        ("dropped-blocks", "Dropped blocks", "blocks_dropped", "mdi:waveform"),
        ("microphone-losses", "Microphone losses", "microphone_losses", "mdi:microphone-question"),
    ):
        yield (
            "sensor",
            entity,
            {
                "name": name,
                "icon": icon,
                "value_template": f"{{{{ value_json.{key} }}}}",
                "state_class": "total_increasing",
                **shared,
            },
        )
    yield (
        "sensor",
        "model",
        {
            "name": "Model",
            "icon": "mdi:brain",
            "value_template": "{{ value_json.model }}",
            **shared,
        },
    )


def _of_classes(topics: Topics, settings: MqttSettings, labels: Sequence[str]) -> Iterator[_Entity]:
    for label, slug in class_slugs(labels).items():
        yield (
            "number",
            f"threshold-{slug}",
            {
                "name": f"Confidence threshold {label}",
                "icon": "mdi:tune-variant",
                "entity_category": "config",
                "state_topic": topics.confidence(slug),
                "command_topic": topics.set_confidence(slug),
                "min": 0,
                "max": 100,
                "step": 1,
                "unit_of_measurement": "%",
            },
        )
        if settings.corrections:
            # Not a select: it would have a state, which is wrong from the next prediction on.
            yield (
                "button",
                f"correct-{slug}",
                {
                    "name": f"That was {label}",
                    "icon": "mdi:school-outline",
                    "command_topic": topics.correct,
                    "payload_press": label,
                },
            )
