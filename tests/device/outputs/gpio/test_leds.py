"""One LED per class, RGB LEDs, dimmed LEDs, a common anode: on gpiozero's mock pins, which record their states."""

import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice, pairwise
from random import Random
from typing import Any
from unittest.mock import Mock

import pytest
from gpiozero import Device, LEDBoard
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

from device.audio.liveness import Liveness, State
from device.errors import LightsError
from device.events import Prediction
from device.outputs.base import Monitor
from device.outputs.calm import Calm
from device.outputs.fan_out import Outputs
from device.outputs.gpio.leds import GpioLeds, PatternPlayer, TimedPattern, class_patterns, switch_off
from device.outputs.terminal.state import ScreenState
from device.outputs.terminal.text import UNICODE
from device.settings.buttons import Button
from device.settings.leds import CLASS_COLOURS, CLASS_PINS, COLOURS, colour_problems, pin_problems, rgb_levels
from device.settings.schema import LightsSettings, MuteSettings
from tests.device.outputs.gpio.mock_pins import mock_pins
from tests.device.outputs.predictions import LIT_AT, prediction, preview
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

THREE = ("negative", "neutral", "positive")
SEVEN = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
LED_PINS = (22, 27, 17)
"""Default pins of the three classes."""
RGB = {"red": 5, "green": 6, "blue": 13}
RGB_PINS = tuple(RGB.values())
HEALTHY = Liveness(State.HEALTHY, 0, "", "USB", 16_000)
PROBLEMS = tuple(Liveness(state, 0, "gone") for state in (State.LOST, State.SILENT))
LOST = PROBLEMS[0]
MUTED = Liveness(State.MUTED, 0, "closed")
States = tuple[float, ...]


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    with mock_pins(MockPWMPin) as made:
        yield made


@pytest.fixture
def pins_without_pwm() -> Iterator[MockFactory]:
    with mock_pins(MockPin) as made:
        yield made


@contextmanager
def opened(settings: LightsSettings, labels: Sequence[str], mute: MuteSettings | None = None) -> Iterator[GpioLeds]:
    leds = GpioLeds(settings, mute)
    try:
        leds.open(labels)
        yield leds
    finally:
        leds.close(0)


def show(leds: GpioLeds, shown: Prediction) -> None:
    leds.prediction(shown, LIT_AT)


def states(pins: MockFactory, numbers: tuple[int, ...]) -> States:
    return tuple(pins.pin(f"GPIO{number}").state for number in numbers)


def first_states(pins: MockFactory, numbers: tuple[int, ...], change: Callable[[], None]) -> States:
    """The states that `change` causes at once, however long the test takes to read them."""
    histories = [pins.pin(f"GPIO{number}") for number in numbers]
    for history in histories:
        history.clear_states()
    change()
    return tuple(history.states[:2][-1].state for history in histories)


def wait_for(pins: MockFactory, numbers: tuple[int, ...], expected: Callable[[States], bool]) -> States:
    wait_until(lambda: expected(states(pins, numbers)), message=lambda: f"{states(pins, numbers)} all the time")
    return states(pins, numbers)


def dark(now: States) -> bool:
    return not any(now)


def playing() -> bool:
    """Whether any pattern is still being played: without its thread, no pin changes any more."""
    return any(thread.name == "lights" for thread in threading.enumerate())


def proposed(error: LightsError) -> dict[str, Any]:
    """The settings that the fix proposes, read as TOML."""
    assert error.fix.startswith("write ")
    return tomllib.loads(error.fix.removeprefix("write ").removesuffix(" under [lights] in a file for --config"))


def test_one_led_at_a_time_and_off_at_the_end(pins_without_pwm: MockFactory) -> None:
    with opened(LightsSettings(), THREE) as leds:
        assert dark(states(pins_without_pwm, LED_PINS))
        for label, expected in [("positive", (0, 0, 1)), ("negative", (1, 0, 0)), ("negative", (1, 0, 0))]:
            show(leds, prediction(label))
            assert states(pins_without_pwm, LED_PINS) == expected
    assert dark(states(pins_without_pwm, LED_PINS))


def test_a_light_goes_out_after_the_hold_time(pins_without_pwm: MockFactory) -> None:
    with opened(LightsSettings(hold_s=0.3), THREE) as leds:
        show(leds, prediction("neutral"))
        assert states(pins_without_pwm, LED_PINS) == (0, 1, 0)
        wait_for(pins_without_pwm, LED_PINS, dark)
        history = pins_without_pwm.pin("GPIO27").states
        [lit] = [after.timestamp - state.timestamp for state, after in pairwise(history) if state.state]
        assert lit == pytest.approx(0.3, abs=0.25)


def test_the_lights_are_off_after_an_error(pins_without_pwm: MockFactory) -> None:
    def fail_while_lit() -> None:
        with opened(LightsSettings(), THREE) as leds:
            show(leds, prediction("positive"))
            assert states(pins_without_pwm, LED_PINS) == (0, 0, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_lit()
    assert dark(states(pins_without_pwm, LED_PINS))


def test_a_light_that_a_killed_process_left_on_goes_off(pins_without_pwm: MockFactory) -> None:
    pin = pins_without_pwm.pin("GPIO17")
    pin.function = "output"
    pin.state = True
    with opened(LightsSettings(), THREE):
        assert dark(states(pins_without_pwm, LED_PINS))


def test_it_can_be_closed_before_it_is_opened_and_twice(pins_without_pwm: MockFactory) -> None:
    leds = GpioLeds(LightsSettings())
    leds.close(1)
    leds.microphone(HEALTHY)
    leds.open(THREE)
    leds.close(1)
    leds.close(1)
    show(leds, replace(prediction("positive"), confident=False))
    assert not playing()


@pytest.mark.parametrize("state", [State.RECOVERING, State.FAILED])
def test_some_states_of_the_microphone_change_nothing(pins_without_pwm: MockFactory, state: State) -> None:
    with opened(LightsSettings(), THREE) as leds:
        show(leds, prediction("positive"))
        leds.microphone(Liveness(state, 0, "?"))
        assert states(pins_without_pwm, LED_PINS) == (0, 0, 1)


def test_a_class_without_a_pin(pins_without_pwm: MockFactory) -> None:
    with pytest.raises(LightsError) as caught:
        GpioLeds(LightsSettings(pins={"a": 27, "c": 22, "another model's": 23})).open(("a", "b d", "c", "e"))
    assert caught.value.message == "no pin for b d, e"
    assert proposed(caught.value) == {"pins": {"a": 27, "b d": 17, "c": 22, "e": 23}}


def test_the_proposed_pins_light_every_class(pins_without_pwm: MockFactory) -> None:
    for count in (2, 7, 24):
        labels = [f"class {number}" for number in range(count)]
        with pytest.raises(LightsError) as caught:
            GpioLeds(LightsSettings()).open(labels)
        found = proposed(caught.value)["pins"]
        assert list(pin_problems("pins", found)) == []
        assert min(found.values()) >= 4, "boards that are plugged on need the others"
        with opened(LightsSettings(pins=found), labels):
            pass
    with pytest.raises(LightsError) as caught:
        GpioLeds(LightsSettings()).open([*labels, "one more"])
    assert "one more" in caught.value.message
    assert caught.value.fix == "25 classes are more than there are pins: use one RGB LED, see rgb under [lights]"


def test_a_pin_that_another_device_holds(pins_without_pwm: MockFactory) -> None:
    with opened(LightsSettings(), THREE), pytest.raises(LightsError) as caught:
        GpioLeds(LightsSettings()).open(THREE)
    assert caught.value.message.startswith("the LEDs cannot be driven (")
    with opened(LightsSettings(), THREE):
        pass


def test_a_machine_without_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    with pytest.raises(LightsError) as caught:
        GpioLeds(LightsSettings()).open(THREE)
    assert caught.value.message.startswith("the LEDs cannot be driven (")
    assert caught.value.fix.startswith("on a Raspberry Pi install python3-lgpio")
    assert "--lights terminal" in caught.value.fix
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (THREE, {"negative": (1, 0, 0), "neutral": (1, 1, 1), "positive": (0, 1, 0)}),
        (SEVEN, {"anger": (1, 0, 0), "disgust": (0, 1, 0), "fear": (1, 0, 1), "joy": (1, 1, 0), "neutral": (1, 1, 1),
                 "sadness": (0, 0, 1), "surprise": (0, 1, 1)}),
    ],
)  # fmt: skip
def test_an_rgb_led_has_a_colour_for_each_class(
    pins_without_pwm: MockFactory, labels: tuple[str, ...], expected: dict[str, States]
) -> None:
    """Pure colours need no PWM, which these pins refuse."""
    with opened(LightsSettings(rgb=RGB), labels) as leds:
        assert dark(states(pins_without_pwm, RGB_PINS))
        for label in labels:
            show(leds, prediction(label, labels=labels))
            assert states(pins_without_pwm, RGB_PINS) == expected[label]
    assert dark(states(pins_without_pwm, RGB_PINS))
    assert len(set(expected.values())) == len(labels)


def test_colours_from_the_settings(pins: MockFactory) -> None:
    settings = LightsSettings(rgb=RGB, colours={"positive": "#ff0000", "tired": "orange"})
    labels = ("positive", "neutral", "tired")
    with opened(settings, labels) as leds:
        show(leds, prediction("positive", labels=labels))
        assert states(pins, RGB_PINS) == (1, 0, 0)
        show(leds, prediction("neutral", labels=labels))
        assert states(pins, RGB_PINS) == (1, 1, 1), "the other classes keep their default colours"
        show(leds, prediction("tired", labels=labels))
        red, green, blue = states(pins, RGB_PINS)
        assert (red, blue) == (1, 0)
        assert green == pytest.approx((128 / 255) ** 2.2), "half as bright to the eye"


def test_a_class_without_a_colour(pins: MockFactory) -> None:
    labels = ("positive", "happy", "negative", "tired", "calm")
    with pytest.raises(LightsError) as caught:
        GpioLeds(LightsSettings(rgb=RGB, colours={"happy": "orange"})).open(labels)
    assert caught.value.message == "no colour for tired, calm"
    colours = proposed(caught.value)["colours"]
    assert colours == {"happy": "orange", "tired": "yellow", "calm": "cyan"}, "colours that no other class has"
    with opened(LightsSettings(rgb=RGB, colours=colours), labels):
        pass
    many = [str(number) for number in range(30)]
    with pytest.raises(LightsError) as caught:
        GpioLeds(LightsSettings(rgb=RGB)).open(many)
    assert caught.value.fix.count('"red"') == 3, "the named colours run out"
    taken = {str(number): colour for number, colour in enumerate(COLOURS)}
    with pytest.raises(LightsError) as caught:
        GpioLeds(LightsSettings(rgb=RGB, colours=taken)).open([*taken, "calm"])
    assert 'calm = "red" }' in caught.value.fix


def test_a_common_anode_is_lit_by_low_pins(pins_without_pwm: MockFactory) -> None:
    for settings, numbers in [
        (LightsSettings(rgb=RGB, common="anode"), RGB_PINS),
        (LightsSettings(common="anode"), LED_PINS),
    ]:
        with opened(settings, THREE) as leds:
            assert states(pins_without_pwm, numbers) == (1, 1, 1), "dark"
            show(leds, prediction("negative"))
            assert states(pins_without_pwm, numbers) == (0, 1, 1)
            leds.microphone(HEALTHY)
            assert states(pins_without_pwm, numbers) == (1, 1, 1), "dark again"
        functions = [pins_without_pwm.pin(f"GPIO{number}").function for number in numbers]
        assert functions == ["input"] * 3, "released"


@pytest.mark.parametrize(("settings", "numbers"), [
    (LightsSettings(brightness="confidence"), LED_PINS),
    (LightsSettings(brightness="confidence", rgb=RGB), RGB_PINS),
])  # fmt: skip
def test_the_higher_the_probability_the_brighter(
    pins: MockFactory, settings: LightsSettings, numbers: tuple[int, ...]
) -> None:
    with opened(settings, THREE) as leds:
        seen = []
        for probability in (0.4, 0.6, 0.8, 1.0):
            show(leds, prediction("negative", probability=probability))
            first, second, third = states(pins, numbers)
            assert (second, third) == (0, 0)
            assert first == pytest.approx(probability**2.2)
            seen.append(first)
        assert seen == sorted(seen)
        assert seen[-1] == 1


@pytest.mark.parametrize(("settings", "numbers"), [
    (LightsSettings(brightness="confidence", common="anode"), LED_PINS),
    (LightsSettings(brightness="confidence", common="anode", rgb=RGB), RGB_PINS),
])  # fmt: skip
def test_a_common_anode_is_dimmed_too(pins: MockFactory, settings: LightsSettings, numbers: tuple[int, ...]) -> None:
    with opened(settings, THREE) as leds:
        assert states(pins, numbers) == (1, 1, 1)
        show(leds, prediction("negative", probability=0.5))
        assert states(pins, numbers) == pytest.approx((1 - 0.5**2.2, 1, 1))
        assert first_states(pins, numbers, lambda: leds.microphone(LOST)) == (0, 0, 0)


def test_an_improbable_prediction_is_visible_too(pins: MockFactory) -> None:
    many = tuple(f"class {number}" for number in range(20))
    settings = LightsSettings(brightness="confidence", pins={label: pin for pin, label in enumerate(many)})
    with opened(settings, many) as leds:
        show(leds, prediction("class 3", labels=many, probability=0.06))
        [lit] = [state for state in states(pins, tuple(range(20))) if state]
        assert lit > 0.02


@pytest.mark.parametrize("settings", [
    LightsSettings(hold_s=0.2),
    LightsSettings(hold_s=0.2, brightness="confidence"),
    LightsSettings(hold_s=0.2, rgb=RGB),
    LightsSettings(hold_s=0.2, rgb=RGB, brightness="confidence", colours={"positive": "#ff8000"}),
])  # fmt: skip
def test_every_kind_goes_out_flashes_and_is_off_at_the_end(pins: MockFactory, settings: LightsSettings) -> None:
    numbers = RGB_PINS if settings.rgb else LED_PINS
    with opened(settings, THREE) as leds:
        assert not dark(first_states(pins, numbers, lambda: show(leds, prediction("positive")))), "on at once"
        wait_for(pins, numbers, dark)
        for problem in PROBLEMS:
            flash = first_states(pins, numbers, lambda problem=problem: leds.microphone(problem))  # type: ignore[misc]  # mypy infers no type for the default
            assert flash == (1, 1, 1), "all of them, fully"
            wait_for(pins, numbers, dark)
        leds.microphone(LOST)
        for _ in range(2):  # repeatedly
            wait_for(pins, numbers, dark)
            wait_for(pins, numbers, all)
        leds.microphone(HEALTHY)
        assert dark(states(pins, numbers))
        assert not playing(), "nothing flashes any more"
        leds.microphone(LOST)
        wait_for(pins, numbers, dark)
        shown = first_states(pins, numbers, lambda: show(leds, prediction("negative")))
        assert [bool(state) for state in shown] == [True, False, False]
        wait_until(lambda: not playing())  # the prediction has ended the flashing
        assert dark(states(pins, numbers))
        for number in numbers[1:]:
            assert not any(state.state for state in pins.pin(f"GPIO{number}").states), "no flash came between"
    assert dark(states(pins, numbers))


def test_a_prediction_is_not_cut_short_by_the_one_before(pins: MockFactory) -> None:
    with LEDBoard(*LED_PINS, pwm=True) as board:
        player = PatternPlayer(board)
        player.play([((0.0, 0.0, 1.0), 0.1)])
        begun = time.monotonic()
        player.play([((0.0, 0.0, 1.0), 0.4)])
        wait_for(pins, LED_PINS, dark)
        assert time.monotonic() - begun >= 0.39


def test_a_light_that_cannot_be_turned_off_after_its_time_is_reported() -> None:
    class Board:
        value: States = ()

        def off(self) -> None:
            raise OSError("the chip is gone")

    errors: list[LightsError] = []
    PatternPlayer(Board(), errors.append).play([((0.0, 0.0, 1.0), 0.01)])
    wait_until(lambda: errors)
    assert errors[0].message == "the LEDs cannot be driven (the chip is gone)"


@pytest.mark.parametrize("settings", [LightsSettings(), LightsSettings(rgb=RGB)])
def test_a_low_confidence_prediction_is_dark_or_neutral(pins: MockFactory, settings: LightsSettings) -> None:
    with opened(settings, THREE) as leds:
        numbers = RGB_PINS if settings.rgb else LED_PINS
        show(leds, prediction("positive"))
        show(leds, replace(prediction("positive"), confident=False))
        assert dark(states(pins, numbers)), "the previous light does not stay on either"
        show(leds, replace(prediction("positive"), confident=False, low_confidence_label="neutral"))
        assert states(pins, numbers) == ((1, 1, 1) if settings.rgb else (0, 1, 0))


def test_seven_leds(pins_without_pwm: MockFactory) -> None:
    numbers = (4, 5, 6, 12, 13, 16, 19)
    with opened(LightsSettings(pins=dict(zip(SEVEN, numbers, strict=True))), SEVEN) as leds:
        for index, label in enumerate(SEVEN):
            show(leds, prediction(label, labels=SEVEN))
            assert states(pins_without_pwm, numbers) == tuple(float(other == index) for other in range(7))


def test_a_held_pattern_stays_until_something_else_is_shown(pins: MockFactory) -> None:
    settings = LightsSettings(hold_s=0.1)
    others = LightsSettings(hold_s=0.3, pins=dict(zip(THREE, RGB_PINS, strict=True)))
    with opened(settings, THREE) as leds, opened(others, THREE) as timed:
        leds.hold(class_patterns(settings, THREE)["neutral"])
        show(timed, prediction("neutral"))
        wait_for(pins, RGB_PINS, dark)  # longer than the hold time of the other ones
        assert states(pins, LED_PINS) == (0, 1, 0)
        show(leds, prediction("negative"))
        assert states(pins, LED_PINS)[1] == 0
    assert dark(states(pins, LED_PINS))


class LgpioError(Exception):
    """Stands for lgpio's own `error`, which has no other base."""


class TakenPin(MockPin):  # type: ignore[misc]  # gpiozero has no types
    def _set_function(self, value: Any) -> None:
        if value == "output":
            raise LgpioError("'GPIO busy'")
        super()._set_function(value)


def test_pins_that_another_program_uses() -> None:
    with mock_pins(TakenPin), pytest.raises(LightsError) as caught:
        GpioLeds(LightsSettings()).open(THREE)
    assert "GPIO busy" in caught.value.message
    assert caught.value.fix.startswith("stop the program that uses the pins")
    assert "systemctl stop" in caught.value.fix
    assert "\n" not in str(caught.value)


def test_every_default_colour_is_a_colour() -> None:
    assert not list(colour_problems("", CLASS_COLOURS))
    assert not list(colour_problems("", {name: name for name in COLOURS}))
    assert rgb_levels("#ff8000") == pytest.approx((1, 128 / 255, 0))
    assert rgb_levels("white") == (1, 1, 1)


def test_default_pins_are_switched_off_only_for_the_classes_of_the_model(
    pins: MockFactory,
) -> None:
    assert switch_off(LightsSettings(), THREE) == {"positive": 17, "neutral": 27, "negative": 22}
    emotions = [label for label in CLASS_PINS if label not in ("positive", "negative")]
    assert sorted(switch_off(LightsSettings(), emotions).values()) == [5, 6, 16, 23, 24, 25, 27]
    assert switch_off(LightsSettings(pins={"gone": 4, "calm": 18}), ["calm"]) == {"gone": 4, "calm": 18}


def test_every_class_with_a_default_colour_has_a_default_pin_that_needs_no_other_board() -> None:
    assert set(CLASS_PINS) == set(CLASS_COLOURS)
    assert not list(pin_problems("pins", CLASS_PINS))
    assert min(CLASS_PINS.values()) >= 4


def test_a_pin_that_another_program_holds_does_not_keep_the_others_on(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def board(pin: int, **options: object) -> LEDBoard:
        if pin == 27:
            raise RuntimeError("'GPIO busy'")
        return LEDBoard(pin, **options)

    monkeypatch.setattr("gpiozero.LEDBoard", board)
    with pytest.raises(LightsError) as error:
        switch_off(LightsSettings(), THREE)
    assert error.value.message == "GPIO27: the LEDs cannot be driven (GPIO busy)"
    assert "stop the program that uses the pins" in error.value.fix
    assert set(pins.pins) == {pins.pin("GPIO17").info, pins.pin("GPIO22").info}
    assert all(pin.function == "input" for pin in pins.pins.values()), "released"


def test_a_correction_lights_its_class_at_full_brightness(pins: MockFactory) -> None:
    settings = LightsSettings(brightness="confidence")
    with opened(settings, THREE) as leds:
        show(leds, replace(prediction("positive"), confident=False))
        leds.corrected("neutral")
        assert [pins.pin(number).state for number in LED_PINS] == [0, 1, 0]
        leds.show("negative")
        assert [pins.pin(number).state for number in LED_PINS] == [1, 0, 0]


@pytest.mark.parametrize("settings", [LightsSettings(hold_s=600), LightsSettings(hold_s=600, rgb=RGB)])
@pytest.mark.parametrize(("cooldown_s", "smooth"), [(0, 1), (5, 1), (0, 2), (5, 2), (30, 3)])
def test_all_kinds_of_lights_agree_on_what_they_show(
    pins: MockFactory, settings: LightsSettings, cooldown_s: float, smooth: int
) -> None:
    """LEDs and the lights in a terminal, with predictions and corrections in any order."""
    now = 0.0
    settings = replace(settings, cooldown_s=cooldown_s, smooth=smooth)
    leds, state = GpioLeds(settings), ScreenState(UNICODE, settings.hold_s, clock=lambda: now)
    numbers = RGB_PINS if settings.rgb else LED_PINS
    monitor = Mock(
        spec_set=Monitor,
        prediction=lambda made, _lit_at, *, lights_stay: state.prediction(made, lights_stay=lights_stay),
        corrected=lambda label, *, lights_stay, later: state.corrected(label, lights_stay=lights_stay),
        show=state.show,
        preview=state.preview,
        watching=True,
    )
    outputs = Outputs(leds, [monitor], calm=Calm(settings, clock=lambda: now))
    random = Random(1)
    seen = set()
    try:
        outputs.open(THREE)
        state.classes(THREE)
        patterns = class_patterns(settings, THREE)
        for _ in range(150):
            now += random.uniform(0, 4)
            label = random.choice(THREE)
            if random.random() < 0.1 and state.snapshot().content.prediction is not None:
                outputs.corrected(label)
            elif random.random() < 0.1:
                outputs.show(label)
            elif random.random() < 0.3:
                outputs.preview(preview(label, random.choice([None, label])))
            else:
                outputs.prediction(replace(prediction(label), confident=random.random() < 0.7))
            shown = state.snapshot().content.light
            assert states(pins, numbers) == ((0, 0, 0) if shown is None else patterns[shown])
            seen.add(shown)
    finally:
        outputs.close(1)
    assert seen == {None, *THREE}


@pytest.mark.parametrize(("rgb", "lit"), [({}, (0, 0, 1)), (RGB, (0, 1, 0))])
def test_a_light_that_comes_on_while_someone_speaks_stays_until_the_prediction(
    pins: MockFactory, rgb: dict[str, int], lit: States
) -> None:
    numbers = RGB_PINS if rgb else LED_PINS
    with opened(LightsSettings(hold_s=0.1, rgb=rgb), THREE) as leds:
        leds.preview(preview("positive"))
        assert states(pins, numbers) == (0, 0, 0), "not certain enough"
        leds.preview(preview("positive", "positive"))
        assert states(pins, numbers) == lit
        show(leds, prediction("negative"))  # which decides, and whose light goes out after its time
        wait_for(pins, numbers, dark)
        leds.preview(preview("positive", "positive"))
        history = [pins.pin(f"GPIO{number}") for number in numbers]
        for each in history:
            each.clear_states()
        show(leds, prediction("positive"))
        wait_for(pins, numbers, dark)
        on = [each for each, state in zip(history, lit, strict=True) if state]
        assert [[state.state for state in each.states] for each in on] == [[1, 0]], "it does not flicker in between"


def test_the_signs_of_the_microphone_end_a_light_that_came_on_while_someone_spoke(pins: MockFactory) -> None:
    with opened(LightsSettings(), THREE) as leds:
        for sign in (LOST, MUTED):
            leds.preview(preview("positive", "positive"))
            leds.microphone(sign)
            wait_for(pins, LED_PINS, dark)
            leds.microphone(HEALTHY)


def test_a_preview_is_as_bright_as_it_is_confident(pins: MockFactory) -> None:
    with opened(LightsSettings(brightness="confidence"), THREE) as leds:
        leds.preview(preview("positive", "positive"))
        assert states(pins, LED_PINS) == pytest.approx((0, 0, 0.6**2.2))


@pytest.mark.parametrize(
    ("labels", "led", "pin"),
    [(THREE, "", 27), (THREE, "positive", 17), (("joy", "anger"), "", 23), (("joy", "anger"), "anger", 25)],
)
def test_one_led_flashes_while_the_microphone_is_muted(
    labels: tuple[str, ...], led: str, pin: int, pins_without_pwm: MockFactory
) -> None:
    numbers = tuple(CLASS_PINS[label] for label in labels)
    with opened(LightsSettings(), labels, MuteSettings(led=led)) as leds:
        show(leds, prediction(labels[0], labels=labels))
        leds.microphone(HEALTHY)
        sign = first_states(pins_without_pwm, numbers, lambda: leds.microphone(MUTED))
        assert [number for number, state in zip(numbers, sign, strict=True) if state] == [pin]
        wait_for(pins_without_pwm, numbers, dark)
        leds.microphone(HEALTHY)
        assert not playing()


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[list[TimedPattern]]:
    """The first four patterns of everything that is played, instead of what LEDs show in so many seconds."""
    found: list[list[TimedPattern]] = []
    monkeypatch.setattr(PatternPlayer, "play", lambda _player, steps: found.append(list(islice(steps, 4))))
    return found


def test_a_light_that_follows_speech_has_no_end_of_its_own(pins: MockFactory, played: list[list[TimedPattern]]) -> None:
    with opened(LightsSettings(), THREE) as leds:
        leds.preview(preview("positive", "positive"))
        show(leds, prediction("positive"))
    assert played == [[((0, 0, 1), None)], [((0, 0, 1), 5.0)]]


def seconds(steps: Sequence[TimedPattern]) -> float:
    """Total duration of patterns."""
    return sum(each or 0 for _, each in steps)


def test_the_sign_flashes_more_slowly_than_a_lost_microphone(
    pins_without_pwm: MockFactory, played: list[list[TimedPattern]]
) -> None:
    with opened(LightsSettings(), THREE, MuteSettings()) as leds:
        leds.microphone(MUTED)
        leds.microphone(LOST)
    muted, lost = played
    assert [pattern for pattern, _ in muted] == 2 * [(0, 1, 0), (0, 0, 0)]
    assert [pattern for pattern, _ in lost] == 2 * [(1, 1, 1), (0, 0, 0)]
    assert seconds(muted) == pytest.approx(8), "two flashes, one every four seconds"
    assert seconds(lost) == pytest.approx(2)
    assert seconds(muted[:1]) < 0.5, "a flash"


@pytest.mark.parametrize(
    ("settings", "labels", "on"),
    [
        (LightsSettings(rgb=RGB), THREE, (1, 1, 1)),
        (LightsSettings(pins={"speech": 17}), ("speech",), (1,)),
    ],
)
def test_where_one_flash_would_look_like_a_silent_microphone_the_sign_has_two(
    settings: LightsSettings,
    labels: Sequence[str],
    on: States,
    pins_without_pwm: MockFactory,
    played: list[list[TimedPattern]],
) -> None:
    """A white RGB LED, and the LED of the only class."""
    with opened(settings, labels, MuteSettings()) as leds:
        leds.microphone(MUTED)
    [sign] = played
    dark_pattern = (0,) * len(on)
    assert [pattern for pattern, _ in sign] == [on, dark_pattern, on, dark_pattern]
    assert seconds(sign[:3]) < 1, "the second flash follows the first one quickly"
    assert seconds(sign) == pytest.approx(4)


def test_the_sign_ends_as_soon_as_the_microphone_is_unmuted(pins_without_pwm: MockFactory) -> None:
    with opened(LightsSettings(), THREE, MuteSettings()) as leds:
        leds.microphone(MUTED)
        assert playing()
        leds.microphone(Liveness(State.RECOVERING, 0, "unmuted"))
        assert not playing()
        assert dark(states(pins_without_pwm, LED_PINS))
        leds.microphone(MUTED)
        assert first_states(pins_without_pwm, LED_PINS, lambda: leds.microphone(LOST)) == (1, 1, 1)


def test_without_a_sign_the_leds_are_off_while_the_microphone_is_muted(pins_without_pwm: MockFactory) -> None:
    with opened(LightsSettings(), THREE, MuteSettings(sign="none", led="not a class, and not used")) as leds:
        show(leds, prediction("positive"))
        leds.microphone(MUTED)
        assert dark(states(pins_without_pwm, LED_PINS))
        assert not playing()


def test_the_sign_of_an_rgb_led_has_the_colour_of_its_class(pins_without_pwm: MockFactory) -> None:
    with opened(LightsSettings(rgb=RGB), THREE, MuteSettings(led="negative")) as leds:
        assert first_states(pins_without_pwm, RGB_PINS, lambda: leds.microphone(MUTED)) == (1, 0, 0)


def test_a_sign_of_an_unknown_class(pins_without_pwm: MockFactory) -> None:
    with pytest.raises(LightsError) as caught, opened(LightsSettings(), THREE, MuteSettings(led="joy")):
        pass
    assert caught.value.message == "mute.led is 'joy', and the model has no such class"
    assert caught.value.fix.endswith("or choose one of negative, neutral, positive")
    assert pins_without_pwm.pins == {}, "no pin was taken"


@pytest.mark.parametrize(
    ("settings", "owner"),
    [
        (LightsSettings(), "the LED of negative"),
        (LightsSettings(rgb={"red": 5, "green": 22, "blue": 13}), "the green leg of the RGB LED"),
    ],
)
def test_a_button_on_the_pin_of_an_led(settings: LightsSettings, owner: str, pins_without_pwm: MockFactory) -> None:
    with pytest.raises(LightsError) as caught:
        GpioLeds(settings, buttons=[Button("mute", 22, "low")]).open(THREE)
    assert caught.value.message == f"GPIO22 belongs to {owner} and to the button of [mute]"
    assert caught.value.fix == "write button = 26 under [mute] in a file for --config"
    assert pins_without_pwm.pins == {}, "no pin was taken"


def test_the_pin_of_a_class_that_the_model_does_not_have_may_have_a_button(pins_without_pwm: MockFactory) -> None:
    buttons = [Button("mute", 23, "low"), Button("learn", 24, "low")]
    leds = GpioLeds(LightsSettings(), buttons=buttons)
    leds.open(THREE)
    leds.close(0)
    assert set(switch_off(LightsSettings(), SEVEN, buttons)) == {*SEVEN} - {"joy", "sadness"}
    assert not {"GPIO23", "GPIO24"} & {pin.info.name for pin in pins_without_pwm.pins.values()}
