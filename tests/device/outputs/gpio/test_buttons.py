"""Buttons on gpiozero's mock pins: what counts as a press, what it does, and pins that cannot be used."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from gpiozero import Device, LEDBoard
from gpiozero.pins.mock import MockFactory, MockPin

from device.adaptation.adapted_classifier import Learnt
from device.audio.liveness import Liveness, State
from device.errors import LightsError, ProfileError
from device.outputs.gpio.buttons import Buttons, check_pins
from device.settings.buttons import Button
from tests.device.outputs.commands import NotedCommands
from tests.device.outputs.gpio.mock_pins import mock_pins
from tests.device.outputs.predictions import LABELS, LIT_AT, Announcements, prediction
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

MUTE = Button("mute", 23, "low")
LEARN = Button("learn", 26, "low")


class Recorder(NotedCommands):
    """Commands whose corrections wait and fail as the test says."""

    def __init__(self) -> None:
        super().__init__(self._learn)
        self.corrected: list[str] = []
        self.failing = 0
        """Number of corrections that fail next."""
        self.released = threading.Event()
        """Corrections wait for it."""
        self.released.set()

    def mute(self, muted: bool | None) -> bool:
        assert muted is None
        return super().mute(muted)

    def _learn(self, label: str) -> Learnt:
        assert self.released.wait(LIMIT_S)
        self.corrected.append(label)
        if self.failing:
            self.failing -= 1
            raise ProfileError("the profile is damaged", fix="remove it")
        return Learnt(len(self.corrected), used=True)


class HeldPin(MockPin):  # type: ignore[misc]  # gpiozero has no types
    """A pin that a pressed button connects to ground, whatever its resistor pulls it to."""

    def _set_pull(self, value: str) -> None:
        self._pull = value
        self.drive_low()


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    with mock_pins(MockPin) as made:
        yield made


@pytest.fixture
def commands() -> Recorder:
    return Recorder()


def unexpected(error: BaseException) -> None:
    raise AssertionError(error)


@contextmanager
def opened(
    commands: Recorder,
    announced: Callable[[str], None],
    *buttons: Button,
    stop: Callable[[BaseException], None] = unexpected,
) -> Iterator[Buttons]:
    made = Buttons(buttons, commands, announced, stop)
    made.open(LABELS)
    try:
        yield made
    finally:
        made.close(0)


def press(pins: MockFactory, button: Button) -> None:
    """Press the button and release it."""
    pin = pins.pin(f"GPIO{button.pin}")
    first, second = (pin.drive_low, pin.drive_high) if button.active == "low" else (pin.drive_high, pin.drive_low)
    first()
    second()


@pytest.mark.parametrize("active", ["low", "high"])
def test_each_press_mutes_or_unmutes(
    active: str, pins: MockFactory, commands: Recorder, announced: Announcements
) -> None:
    button = Button("mute", 23, active)
    with opened(commands, announced, button):
        assert pins.pin("GPIO23").pull == {"low": "up", "high": "down"}[active]
        assert not commands.muted
        press(pins, button)
        assert commands.muted
        press(pins, button)
        assert not commands.muted
    assert announced.lines == []


def test_a_press_counts_at_once_and_only_once(pins: MockFactory, commands: Recorder, announced: Announcements) -> None:
    with opened(commands, announced, MUTE):
        pins.pin("GPIO23").drive_low()
        assert commands.muted
        pins.pin("GPIO23").drive_low()
        assert commands.muted, "the level is the same"
        pins.pin("GPIO23").drive_high()
        assert commands.muted, "a release is no press"


def test_the_pin_library_debounces(pins: MockFactory, commands: Recorder, announced: Announcements) -> None:
    """Mock pins do not implement it: what lgpio does with this time is part of its own documentation."""
    with opened(commands, announced, MUTE, LEARN):
        assert [pins.pin(f"GPIO{number}").bounce for number in (23, 26)] == [0.05, 0.05]
        assert pins.pin("GPIO23").edges == "both", "for debouncing, lgpio must see the release as well"


def test_a_button_that_is_pressed_at_the_start_works_after_it_was_released(
    commands: Recorder, announced: Announcements
) -> None:
    with mock_pins(HeldPin) as pins, opened(commands, announced, MUTE):
        [line] = announced.lines
        assert line.startswith("buttons: the button of [mute] at GPIO23 is pressed, and works after it was released;")
        assert "edge-mcnn lights wiring" in line
        pins.pin("GPIO23").drive_low()
        assert not commands.muted
        pins.pin("GPIO23").drive_high()
        assert not commands.muted
        pins.pin("GPIO23").drive_low()
        assert commands.muted


def test_a_button_works_whatever_the_microphone_does(
    pins: MockFactory, commands: Recorder, announced: Announcements
) -> None:
    with opened(commands, announced, MUTE) as buttons:
        for state in State:
            before = commands.muted
            buttons.microphone(Liveness(state, 0, "?"))
            press(pins, MUTE)
            assert commands.muted != before


def test_an_error_of_the_program_ends_the_daemon_and_not_the_button(
    pins: MockFactory, commands: Recorder, announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[BaseException] = []
    with opened(commands, announced, MUTE, stop=errors.append):
        with monkeypatch.context() as broken:
            broken.setattr(commands, "mute", lambda _muted: 1 // 0)
            press(pins, MUTE)
        assert [type(error) for error in errors] == [ZeroDivisionError]
        press(pins, MUTE)
        assert commands.muted


def test_presses_correct_to_one_class_after_the_other_and_come_back_to_the_first(
    pins: MockFactory, commands: Recorder, announced: Announcements
) -> None:
    with opened(commands, announced, MUTE, LEARN) as buttons:
        probabilities = {"negative": 0.1, "neutral": 0.6, "positive": 0.3}
        buttons.prediction(replace(prediction("neutral"), probabilities=probabilities), LIT_AT)
        for _ in range(4):
            press(pins, LEARN)
        wait_until(lambda: len(commands.corrected) == 4)
        assert commands.corrected == ["positive", "negative", "neutral", "positive"]
        announced.wait_for("buttons: learnt: that was neutral (3 examples, used)")
        buttons.prediction(prediction("positive"), LIT_AT)  # the others are equally probable
        press(pins, LEARN)
        wait_until(lambda: len(commands.corrected) == 5)
        assert commands.corrected[4:] == ["negative"]
        assert not commands.muted


def test_after_a_correction_that_failed_the_next_press_tries_the_same_class(
    pins: MockFactory, commands: Recorder, announced: Announcements
) -> None:
    with opened(commands, announced, LEARN) as buttons:
        buttons.prediction(prediction("neutral"), LIT_AT)
        press(pins, LEARN)
        announced.wait_for("learnt: that was negative")
        commands.failing = 1
        press(pins, LEARN)
        announced.wait_for("fix: remove it")
        assert announced.lines[1:] == ["buttons: the profile is damaged", "  fix: remove it"]
        press(pins, LEARN)
        announced.wait_for("learnt: that was positive")
        assert commands.corrected == ["negative", "positive", "positive"]


def test_a_press_before_the_first_prediction_is_explained(
    pins: MockFactory, commands: Recorder, announced: Announcements
) -> None:
    with opened(commands, announced, LEARN):
        press(pins, LEARN)
        assert announced.lines == ["buttons: nothing was predicted yet; speak, and wait for a prediction"]
        assert commands.corrected == []


def test_a_correction_delays_no_other_press(pins: MockFactory, commands: Recorder, announced: Announcements) -> None:
    commands.released.clear()
    with opened(commands, announced, MUTE, LEARN) as buttons:
        buttons.prediction(prediction("neutral"), LIT_AT)
        press(pins, LEARN)
        press(pins, MUTE)
        assert commands.muted
        assert commands.corrected == []
        commands.released.set()
        announced.wait_for("learnt: that was negative")


def test_it_can_be_closed_before_it_is_opened_and_twice(
    pins: MockFactory, commands: Recorder, announced: Announcements
) -> None:
    buttons = Buttons([MUTE, LEARN], commands, announced, unexpected)
    buttons.close(1)
    buttons.open(LABELS)
    buttons.close(1)
    buttons.close(1)
    press(pins, MUTE)
    press(pins, LEARN)
    assert not commands.muted
    assert announced.lines == []
    with LEDBoard(23, 26):  # the pins are free
        pass


def test_two_buttons_on_one_pin(pins: MockFactory, commands: Recorder, announced: Announcements) -> None:
    both = (MUTE, Button("learn", 23, "high"))
    with pytest.raises(LightsError) as caught, opened(commands, announced, *both):
        pass
    assert caught.value.message == "GPIO23 belongs to the button of [mute] and to the button of [learn]"
    assert caught.value.fix == "write button = 26 under [learn] in a file for --config"
    assert pins.pins == {}, "none was taken"


def test_the_proposed_pin_is_free() -> None:
    leds = {26: "the LED of a", 23: "the LED of b"}
    with pytest.raises(LightsError) as caught:
        check_pins([MUTE, Button("learn", 12, "low")], leds)
    assert caught.value.message == "GPIO23 belongs to the LED of b and to the button of [mute]"
    assert caught.value.fix == "write button = 13 under [mute] in a file for --config"
    check_pins([Button("mute", 13, "low"), Button("learn", 12, "low")], leds)
    with pytest.raises(LightsError) as caught:
        check_pins([MUTE], {pin: f"the LED of {pin}" for pin in range(28)})
    assert caught.value.fix == "write button = -1 under [mute] in a file for --config"


class LgpioError(Exception):
    """Stands for lgpio's own `error`, which has no other base."""


class TakenPin(MockPin):  # type: ignore[misc]  # gpiozero has no types
    def _set_bounce(self, value: Any) -> None:
        if self.info.name == "GPIO26":
            raise LgpioError("'GPIO busy'")
        super()._set_bounce(value)


def test_a_pin_that_another_program_uses(commands: Recorder, announced: Announcements) -> None:
    with mock_pins(TakenPin):
        with pytest.raises(LightsError) as caught, opened(commands, announced, MUTE, LEARN):
            pass
        with LEDBoard(23):  # the first pin was released
            pass
    assert caught.value.message == "the buttons cannot be read (GPIO busy)"
    assert caught.value.fix.startswith("stop the program that uses the pins")


def test_a_machine_without_pins(monkeypatch: pytest.MonkeyPatch, commands: Recorder, announced: Announcements) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    with pytest.raises(LightsError) as caught, opened(commands, announced, MUTE):
        pass
    assert caught.value.message.startswith("the buttons cannot be read (")
    assert caught.value.fix.startswith("on a Raspberry Pi install python3-lgpio")
    assert caught.value.fix.endswith("on another machine remove button from [mute] and [learn] in the settings")
