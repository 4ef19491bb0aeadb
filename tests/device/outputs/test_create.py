"""Which outputs the settings and options choose."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from device.adaptation.profile_path import NO_PROFILE
from device.errors import LightsError, PublishingError
from device.outputs import lights as lights_module
from device.outputs.base import Output
from device.outputs.create import create_outputs, create_publishers, create_screen
from device.outputs.fan_out import Outputs
from device.outputs.mqtt import output as mqtt_output
from device.settings.leds import CLASS_PINS
from device.settings.schema import (
    ClassifierSettings,
    LearnSettings,
    LightsSettings,
    MqttSettings,
    MuteSettings,
    PublishSettings,
    Settings,
)
from tests.device.outputs.commands import NotedCommands
from tests.device.outputs.predictions import LABELS, Announcements, prediction
from tests.device.outputs.terminal.terminal import Terminal
from tests.waiting import LIMIT_S


@pytest.fixture(autouse=True)
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    monkeypatch.setattr(Device, "pin_factory", MockFactory())
    yield Device.pin_factory
    Device.pin_factory.reset()


def names(outputs: Outputs) -> list[str]:
    return [output.name for output in outputs._all()]


def outputs_of(
    settings: Settings, announce: Callable[[str], None] = print, *, screen: bool = False, json: bool = False
) -> Outputs:
    from device.outputs.terminal.screen import Screen

    monitor = Screen(Terminal(80, 24).console, gate_dbfs=-60, hold_s=5) if screen else None
    return create_outputs(settings, monitor, announce, lambda _: None, NotedCommands(), json=json, words=False)


def created(settings: Settings, *, screen: bool = False, json: bool = False) -> list[str]:
    return names(outputs_of(settings, screen=screen, json=json))


def test_lights_and_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")
    gpio, drawn, none = (Settings(lights=LightsSettings(kind=kind)) for kind in ("gpio", "terminal", "none"))
    assert created(gpio) == ["lights", "standard output"]
    assert created(gpio, screen=True) == ["lights", "screen"]
    assert created(drawn) == ["standard output"]
    assert created(drawn, screen=True) == ["screen"]
    assert created(none) == []
    assert created(none, json=True) == ["standard output"]
    assert created(Settings()) == ["standard output"]
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    assert created(Settings()) == ["lights", "standard output"]


@pytest.mark.parametrize(
    ("lights", "previewing"),
    [
        (LightsSettings(kind="gpio"), True),
        (LightsSettings(kind="gpio", preview=False), False),
        (LightsSettings(kind="gpio", cooldown_s=1), False),
        (LightsSettings(kind="none"), False),
    ],
)
def test_lights_follow_while_someone_speaks_unless_the_settings_forbid_it(
    lights: LightsSettings, previewing: bool
) -> None:
    assert outputs_of(Settings(lights=lights)).previewing == previewing


def test_lines_while_someone_speaks_are_for_json_on_request_and_end_with_muting() -> None:
    settings, commands = Settings(lights=LightsSettings(kind="none")), NotedCommands()

    def previewing(*, json: bool, partial: bool) -> Outputs:
        return create_outputs(settings, None, print, print, commands, json=json, words=False, partial_lines=partial)

    assert not previewing(json=True, partial=False).previewing
    assert not previewing(json=False, partial=True).previewing
    outputs = previewing(json=True, partial=True)
    assert outputs.previewing
    commands.muted = True
    assert not outputs.previewing


def test_events_follow_speech_beside_a_screen_and_replace_no_lines() -> None:
    events = Mock(watching=False)
    events.name = "events"
    settings = Settings(lights=LightsSettings(kind="terminal"))
    outputs = create_outputs(
        settings, None, print, lambda _: None, NotedCommands(), json=False, words=False, events=events
    )
    assert names(outputs) == ["events", "standard output"]


def test_the_settings_of_the_lights_decide_which_predictions_change_them() -> None:
    settings = Settings(lights=LightsSettings(kind="gpio", smooth=2, hold_s=600))
    outputs = create_outputs(settings, None, print, lambda _: None, Mock(), json=False, words=False)
    outputs._others.clear()  # standard output
    try:
        outputs.open(LABELS)
        shown = []
        for label in ("positive", "positive", "negative", "negative"):
            outputs.prediction(prediction(label))
            shown.append({each: Device.pin_factory.pin(f"GPIO{CLASS_PINS[each]}").state for each in LABELS})
    finally:
        outputs.close(LIMIT_S)
    assert [[label for label in LABELS if each[label]] for each in shown] == [
        [], ["positive"], ["positive"], ["negative"],
    ]  # fmt: skip


def test_publishers() -> None:
    settings = Settings(
        lights=LightsSettings(kind="none"), mqtt=MqttSettings("127.0.0.1"), publish=PublishSettings(("true",))
    )
    assert [output.name for output in create_publishers(settings, print)] == ["mqtt", "publish.command"]
    assert created(settings, json=True) == ["mqtt", "publish.command", "standard output"]
    assert create_publishers(Settings(), print) == []
    with pytest.raises(PublishingError) as caught:
        create_publishers(Settings(mqtt=MqttSettings("a..b")), print)
    assert caught.value.fix


def test_mqtt_gets_the_commands_of_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Mock(return_value=Mock(spec_set=Output))
    monkeypatch.setattr(mqtt_output, "MqttOutput", made)
    commands, settings = NotedCommands(), Settings(lights=LightsSettings(kind="none"), mqtt=MqttSettings("127.0.0.1"))
    create_outputs(settings, None, print, print, commands, json=False, words=False)
    made.assert_called_once_with(settings.mqtt, print, commands)


@pytest.mark.parametrize("profile", ["", NO_PROFILE])
def test_the_screen_has_keys_for_corrections_only_where_these_can_be_learnt(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(ours), os.fdopen(theirs, "w") as terminal:
        settings = Settings(lights=LightsSettings(kind="terminal"), classifier=ClassifierSettings(profile=profile))
        with monkeypatch.context() as redirected:
            redirected.setattr(sys, "stdout", terminal)
            screen = create_screen(settings, NotedCommands())
        assert screen is not None
        assert (screen._commands is None, screen._corrections is None) == (False, profile == NO_PROFILE)
        screen._console.file.close()


def test_there_is_no_screen_where_standard_output_is_not_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert create_screen(Settings()) is None


def test_buttons_exist_where_there_are_pins_whatever_the_lights(
    announced: Announcements, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The mute button protects the user's privacy: it works without any light."""
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")
    none = Settings(lights=LightsSettings(kind="none"), mute=MuteSettings(button=23))
    gpio = replace(none, lights=LightsSettings(kind="gpio"), mute=MuteSettings(), learn=LearnSettings(button=26))
    assert names(outputs_of(gpio, announced)) == ["lights", "buttons", "standard output"]
    assert announced.lines == []
    assert names(outputs_of(none, announced)) == []
    assert announced.lines == ["buttons: the button of [mute] cannot be used, because this machine is no Raspberry Pi"]
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    assert names(outputs_of(none, announced)) == ["buttons"]
    assert names(outputs_of(replace(none, lights=LightsSettings(kind="terminal")), announced)) == [
        "buttons", "standard output",
    ]  # fmt: skip
    assert len(announced.lines) == 1


def test_no_pin_is_driven_if_a_button_has_the_pin_of_an_led(pins: MockFactory) -> None:
    outputs = outputs_of(Settings(lights=LightsSettings(kind="gpio"), mute=MuteSettings(button=17)))
    with pytest.raises(LightsError, match=r"^GPIO17 belongs to the LED of positive and to the button of \[mute\]"):
        outputs.open(LABELS)
    assert pins.pins == {}


def test_the_leds_and_the_buttons_share_the_settings(pins: MockFactory) -> None:
    outputs = outputs_of(Settings(lights=LightsSettings(kind="gpio"), mute=MuteSettings(button=23, led="joy")))
    with pytest.raises(LightsError, match=r"^mute\.led is 'joy'"):
        outputs.open(LABELS)
