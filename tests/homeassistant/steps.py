"""What a user of Home Assistant does with a device, step by step, and what must happen."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import CLIPS
from tests.homeassistant import entities
from tests.homeassistant.core import HomeAssistant, State
from tests.homeassistant.entities import ENTITIES, Entity
from tests.homeassistant.listening_device import ListeningDevice
from tests.system.virtual_microphone import VirtualMicrophone
from tests.waiting import wait_until

_NEW_NAME = "Bedroom"
_LIMIT_S = 90.0
"""Seconds until a step fails: a device announces itself at most every 30 s, and waits 20 s for devices of its names."""
_OPTIONS_SINCE = (2024, 11)
"""First version whose MQTT sensors have options; the ones before ignore them."""


@dataclass(frozen=True)
class BrokerAccess:
    """The broker, as Home Assistant reaches it; the device uses TLS at another port."""

    port: int
    user: str
    password: str

    def remove(self, topics: Collection[str]) -> None:
        """Remove the retained messages with these topics."""
        client = Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(self.user, self.password)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        for published in [client.publish(topic, qos=1, retain=True) for topic in topics]:
            published.wait_for_publish(_LIMIT_S)
        client.disconnect()
        client.loop_stop()


@dataclass(frozen=True)
class Installation:
    """Everything that takes part."""

    home: HomeAssistant
    device: ListeningDevice
    microphone: VirtualMicrophone
    broker: BrokerAccess

    def state(self, entity: Entity) -> State | None:
        """State of an entity of the device; None if there is none."""
        return self.home.states().get(self.entity_id(entity))

    def entity_id(self, entity: Entity) -> str:
        """The entity ID that Home Assistant has chosen for an entity of the device."""
        unique_id = f"{self.device.id}-{entity.key}"
        entry = next((each for each in self.home.entities() if each["unique_id"] == unique_id), None)
        assert entry is not None, f"there is no entity {unique_id}"
        return str(entry["entity_id"])

    def wait_for_state(self, entity: Entity, condition: Callable[[State], bool], expected: str) -> State:
        """Wait until the state of an entity meets a condition, and return it."""
        entity_id = self.entity_id(entity)

        def matching() -> State | None:
            state = self.home.states().get(entity_id)
            return state if state is not None and condition(state) else None

        def failure() -> str:
            return f"{entity_id} is not {expected}, but {self.home.states().get(entity_id)}"

        state = wait_until(matching, limit_s=_LIMIT_S, message=failure)
        assert state is not None
        return state

    def wait_until_complete(self) -> None:
        """Wait until the device has all of its entities, each of them available."""
        expected = {f"{self.device.id}-{entity.key}" for entity in ENTITIES}

        def present() -> bool:
            return {entry["unique_id"] for entry in self.home.entities()} == expected

        def difference() -> str:
            found = {entry["unique_id"] for entry in self.home.entities()}
            return f"missing entities: {sorted(expected - found)}; others: {sorted(found - expected)}"

        wait_until(present, limit_s=_LIMIT_S, message=difference)
        for entity in ENTITIES:
            self.wait_for_state(entity, lambda state: state.state != "unavailable", "available")


def _entities_have_the_right_classes(all_of_it: Installation) -> str:
    home, device = all_of_it.home, all_of_it.device
    all_of_it.wait_until_complete()
    [entry] = home.devices()
    about = [entry[key] for key in ("name", "manufacturer", "model", "sw_version")]
    assert about == [device.name, "edge-mcnn", entities.MODEL, version("edge-mcnn")], about
    entries = {entry["unique_id"]: entry for entry in home.entities()}
    for entity in ENTITIES:
        found = entries[f"{device.id}-{entity.key}"]
        assert found["device_id"] == entry["id"], found
        assert found["original_name"] == entity.name, found
        assert found["entity_id"].partition(".")[0] == entity.platform, found
        assert found["entity_category"] == entity.category, found
        attributes = home.states()[found["entity_id"]].attributes
        assert attributes.get("device_class") == entity.device_class, (entity, attributes)
        assert attributes.get("unit_of_measurement") == entity.unit, (entity, attributes)
        assert attributes["friendly_name"] == f"{device.name} {entity.name}", attributes
    options = _attributes(all_of_it, entities.EMOTION).get("options")
    if tuple(int(part) for part in home.version.split(".")[:2]) >= _OPTIONS_SINCE:
        assert options == list(entities.LABELS), options
    assert sorted(_attributes(all_of_it, entities.PREDICTION)["event_types"]) == sorted(entities.LABELS)
    return f"{len(ENTITIES)} entities"


def _a_prediction_changes_the_states(all_of_it: Installation) -> str:
    before = all_of_it.state(entities.PREDICTION)
    printed = all_of_it.device.speak(CLIPS / "espeak-ruined.flac")
    _wait_for_prediction(all_of_it, printed, before)
    attributes = _attributes(all_of_it, entities.EMOTION)
    assert attributes["audio_only"] == printed["audio_only"], attributes
    assert "text" not in attributes, "words are published, but the settings do not permit that"
    # Another class, so that it is the prediction that changes the state.
    before = all_of_it.state(entities.PREDICTION)
    other = all_of_it.device.speak(CLIPS / "espeak-thank-you.flac")
    _wait_for_prediction(all_of_it, other, before)
    assert other["label"] != printed["label"], other
    return f"{printed['label']}, then {other['label']}"


def _diagnostics_have_values(all_of_it: Installation) -> str:
    for entity in entities.DIAGNOSTICS:
        all_of_it.wait_for_state(entity, lambda state: state.state not in ("unknown", "unavailable"), "known")
    values = {entity.name: _value(all_of_it, entity) for entity in entities.DIAGNOSTICS}
    assert float(values["Memory"]) > 1, values
    assert datetime.fromisoformat(values["Started"]).tzinfo is not None, values
    assert int(values["Microphone losses"]) == 0, values
    level = all_of_it.wait_for_state(entities.LEVEL, lambda state: state.state != "unknown", "known")
    assert -120 <= float(level.state) <= 0, level
    return f"{values['Memory']} MB, level {level.state} dBFS"


def _the_last_will_makes_all_unavailable(all_of_it: Installation) -> str:
    all_of_it.device.kill()
    for entity in ENTITIES:
        all_of_it.wait_for_state(entity, lambda state: state.state == "unavailable", "unavailable")
    all_of_it.device.start()
    all_of_it.wait_until_complete()
    return ""


def _a_restart_of_home_assistant_is_noticed(all_of_it: Installation) -> str:
    """The broker also loses what it retained for discovery: the birth message alone makes the device announce it."""
    home, broker = all_of_it.home, all_of_it.broker
    home.stop()
    topics = [f"homeassistant/{each.platform}/{all_of_it.device.id}/{each.key}/config" for each in ENTITIES]
    broker.remove(topics)
    home.start()
    home.wait_for_broker()
    all_of_it.wait_until_complete()
    before = all_of_it.state(entities.PREDICTION)
    _wait_for_prediction(all_of_it, all_of_it.device.speak(CLIPS / "espeak-ruined.flac"), before)
    return ""


def _the_switch_closes_the_microphone(all_of_it: Installation) -> str:
    home, device, microphone = all_of_it.home, all_of_it.device, all_of_it.microphone
    assert microphone.recorders() == 1, "the device does not record"
    switch = all_of_it.entity_id(entities.MUTE)
    assert home.states()[switch].state == "off", home.states()[switch]
    start = time.monotonic()
    home.call_service("switch", "turn_on", switch)
    wait_until(lambda: microphone.recorders() == 0, message="the microphone is still open")
    closed_s = time.monotonic() - start
    device.wait_for("muted")
    all_of_it.wait_for_state(entities.MUTE, lambda state: state.state == "on", "on")
    all_of_it.wait_for_state(entities.MICROPHONE, lambda state: state.state == "off", "off")
    all_of_it.wait_for_state(entities.LEVEL, lambda state: state.state == "unavailable", "unavailable")
    printed = json.loads(device.run("status", "--json", status=1))
    assert printed["state"] == "muted", printed
    utterances = device.status.utterances
    microphone.play(CLIPS / "espeak-thank-you.flac")
    start = time.monotonic()
    home.call_service("switch", "turn_off", switch)
    device.wait_for("healthy")
    open_s = time.monotonic() - start
    all_of_it.wait_for_state(entities.MUTE, lambda state: state.state == "off", "off")
    all_of_it.wait_for_state(entities.MICROPHONE, lambda state: state.state == "on", "on")
    before = all_of_it.state(entities.PREDICTION)
    _wait_for_prediction(all_of_it, device.speak(CLIPS / "espeak-ruined.flac"), before)
    assert device.status.utterances == utterances + 1, "it made a prediction of what was played while it was muted"
    return f"closed {1000 * closed_s:.0f} ms after the call, audio arrives {1000 * open_s:.0f} ms after the next one"


def _thresholds_can_be_set(all_of_it: Installation) -> str:
    clip = CLIPS / "espeak-ruined.flac"
    label = all_of_it.device.speak(clip)["label"]
    entity = entities.THRESHOLDS[label]
    original = float(_value(all_of_it, entity))
    for percent, confident in ((100.0, False), (original, True)):
        all_of_it.home.call_service("number", "set_value", all_of_it.entity_id(entity), value=percent)
        wait_until(_has_value(all_of_it, entity, percent), message=f"the threshold is not {percent:g} %")
        printed = all_of_it.device.speak(clip)
        assert (printed["label"], printed["confident"]) == (label, confident), printed
    return f"{label}: 100 %, then {original:g} % again"


def _predictions_can_be_corrected(all_of_it: Installation) -> str:
    device = all_of_it.device
    assert device.status.examples == 0, device.status
    device.speak(CLIPS / "espeak-ruined.flac")
    all_of_it.home.call_service("button", "press", all_of_it.entity_id(entities.CORRECTIONS["positive"]))
    wait_until(lambda: device.status.examples == 1, message="nothing was learnt")
    return ""


def _a_new_name_leaves_no_ghost(all_of_it: Installation) -> str:
    """The device also stops using TLS."""
    home, device = all_of_it.home, all_of_it.device
    former, former_states = device.name, _states_of_entities(home)
    device.stop()
    device.name = _NEW_NAME
    device.broker = {**device.broker, "port": all_of_it.broker.port, "tls": False, "ca_file": ""}
    device.start()
    all_of_it.wait_until_complete()
    _wait_for_devices(home, _NEW_NAME)
    assert not former_states & home.states().keys(), former_states & home.states().keys()
    return f"{former} is now {_NEW_NAME}"


def _a_forgotten_device_is_removed(all_of_it: Installation) -> str:
    home, device = all_of_it.home, all_of_it.device
    former_states = _states_of_entities(home)
    device.stop()
    device.run("mqtt", "forget", "--config", "SETTINGS")
    wait_until(lambda: not home.entities(), message=lambda: f"still there: {home.entities()}")
    _wait_for_devices(home)
    assert not former_states & home.states().keys(), former_states & home.states().keys()
    return ""


STEPS: dict[str, Callable[[Installation], str]] = {
    "discovery: one device, and each entity with its class, unit and category": _entities_have_the_right_classes,
    "a spoken sentence changes emotion and confidence, and fires the event": _a_prediction_changes_the_states,
    "diagnostics and the sound level have values": _diagnostics_have_values,
    "killed: everything is unavailable; started again: available": _the_last_will_makes_all_unavailable,
    "Home Assistant restarts, discovery is lost: the device announces itself": _a_restart_of_home_assistant_is_noticed,
    "the switch closes the microphone and opens it again": _the_switch_closes_the_microphone,
    "the confidence threshold of a class can be set": _thresholds_can_be_set,
    "a button corrects the latest prediction": _predictions_can_be_corrected,
    "a new name leaves no ghost": _a_new_name_leaves_no_ghost,
    "edge-mcnn mqtt forget removes the device": _a_forgotten_device_is_removed,
}
"""The steps in their order, by what they check; each returns details, or raises an AssertionError."""


def _states_of_entities(home: HomeAssistant) -> set[str]:
    found = {entry["entity_id"] for entry in home.entities()} & home.states().keys()
    assert found, "there are no entities"
    return found


def _wait_for_devices(home: HomeAssistant, *names: str) -> None:
    """Wait until Home Assistant has these devices and no others."""

    def found() -> list[str]:
        return [entry["name"] for entry in home.devices()]

    wait_until(lambda: found() == [*names], limit_s=_LIMIT_S, message=lambda: f"devices: {found()}")


def _wait_for_prediction(all_of_it: Installation, printed: dict[str, Any], before: State | None) -> None:
    """Wait until all entities of a prediction show it, the event later than in its state before."""
    percent = round(100 * max(printed["probabilities"].values()), 1)
    earlier = None if before is None else before.state
    all_of_it.wait_for_state(entities.EMOTION, lambda state: state.state == printed["label"], printed["label"])
    all_of_it.wait_for_state(
        entities.CONFIDENCE, lambda state: _is_number(state.state) and float(state.state) == percent, f"{percent} %"
    )
    event = all_of_it.wait_for_state(
        entities.PREDICTION, lambda state: state.state not in ("unknown", "unavailable", earlier), "a new event"
    )
    assert event.attributes["event_type"] == printed["label"], event


def _has_value(all_of_it: Installation, entity: Entity, number: float) -> Callable[[], bool]:
    return lambda: float(_value(all_of_it, entity)) == number


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _value(all_of_it: Installation, entity: Entity) -> str:
    return all_of_it.wait_for_state(entity, lambda _state: True, "there").state


def _attributes(all_of_it: Installation, entity: Entity) -> dict[str, Any]:
    return all_of_it.wait_for_state(entity, lambda _state: True, "there").attributes
