"""What `make check-homeassistant` finds in a log of Home Assistant, without running it."""

from tests.homeassistant.core import log_entries, mqtt_entries, problems

INFO = (
    "2026-01-02 03:04:05.678 INFO (MainThread) [homeassistant.components.mqtt.discovery] Found new component: switch x"
)
INSTALLATION = "2026-01-02 03:04:05.678 WARNING (MainThread) [homeassistant.bootstrap] Skipping pip installation"
DISCOVERY = (
    "2026-01-02 03:04:05.678 ERROR (MainThread) [homeassistant.components.mqtt.mixins] Error 'required key not "
    "provided @ data['command_topic']' when processing MQTT discovery message"
)
TEMPLATE = (
    "2026-01-02 03:04:05.678 WARNING (SyncWorker_1) [homeassistant.helpers.template] Template variable warning\n"
    "Traceback (most recent call last):\n"
    "KeyError: 'x'"
)
LOG = "\n".join(["a line before the log", INSTALLATION, INFO, TEMPLATE, DISCOVERY, ""])


def test_an_entry_includes_its_traceback() -> None:
    assert log_entries(LOG) == [INSTALLATION, INFO, TEMPLATE, DISCOVERY]


def test_warnings_and_errors_are_problems_but_those_about_the_installation() -> None:
    assert problems(LOG) == [TEMPLATE, DISCOVERY]
    assert problems(f"{INSTALLATION}\n{INFO}") == []


def test_entries_of_the_mqtt_integration() -> None:
    assert mqtt_entries(LOG) == [INFO, DISCOVERY]
