"""The entities that Home Assistant must show for a device: the one table to change when the device announces others."""

from dataclasses import dataclass

from device.bundle import DEFAULT_BUNDLE, read_bundle

LABELS = tuple(read_bundle(DEFAULT_BUNDLE).companions.labels)
MODEL = "edge-mcnn"


@dataclass(frozen=True)
class Entity:
    """What the registry and the state of an entity must contain."""

    key: str
    """Last part of its unique ID, which begins with the ID of the device."""
    platform: str
    """First part of its entity ID."""
    name: str
    """Its name, without that of the device."""
    device_class: str | None = None
    unit: str | None = None
    category: str | None = None


EMOTION = Entity("label", "sensor", "Emotion", "enum")
CONFIDENCE = Entity("confidence", "sensor", "Confidence", unit="%")
PREDICTION = Entity("prediction", "event", "Prediction")
MICROPHONE = Entity("microphone", "binary_sensor", "Microphone", "connectivity", category="diagnostic")
MUTE = Entity("mute", "switch", "Mute")
LEVEL = Entity("level", "sensor", "Sound level", unit="dBFS")
DIAGNOSTICS = (
    Entity("memory", "sensor", "Memory", "data_size", "MB", "diagnostic"),
    Entity("started", "sensor", "Started", "timestamp", category="diagnostic"),
    Entity("dropped-blocks", "sensor", "Dropped blocks", category="diagnostic"),
    Entity("microphone-losses", "sensor", "Microphone losses", category="diagnostic"),
    Entity("model", "sensor", "Model", category="diagnostic"),
)
THRESHOLDS = {
    label: Entity(f"threshold-{label}", "number", f"Confidence threshold {label}", unit="%", category="config")
    for label in LABELS
}
CORRECTIONS = {label: Entity(f"correct-{label}", "button", f"That was {label}") for label in LABELS}
ENTITIES = (
    EMOTION, CONFIDENCE, PREDICTION, MICROPHONE, MUTE, LEVEL, *DIAGNOSTICS, *THRESHOLDS.values(),
    *CORRECTIONS.values(),
)  # fmt: skip
