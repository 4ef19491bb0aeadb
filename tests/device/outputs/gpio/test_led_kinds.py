"""RGB LEDs, dimmed LEDs, a common anode, any number of classes: on gpiozero's mock pins, which know PWM."""

import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

from device.errors import LightsError
from device.events import Prediction, Utterance
from device.outputs.base import Trouble
from device.outputs.gpio.leds import GpioLights, patterns
from device.settings.leds import CLASS_COLOURS, COLOURS, colour_problems, rgb_levels
from device.settings.schema import LightsSettings

THREE = ("negative", "neutral", "positive")
SEVEN = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
RGB = {"red": 5, "green": 6, "blue": 13}
RGB_PINS = tuple(RGB.values())
LIMIT_S = 5
States = tuple[float, ...]


def prediction(label: str, labels: tuple[str, ...] = THREE, probability: float = 0.7) -> Prediction:
    rest = (1 - probability) / (len(labels) - 1)
    probabilities = {each: probability if each == label else rest for each in labels}
    utterance = Utterance(start_s=1.0, speech_end_s=2.4, end_s=3.0, arrived_at=100.0, ending="silence")
    return Prediction(datetime(2026, 1, 2, tzinfo=UTC), label, probabilities, "i love it", utterance)


@contextmanager
def factory(kind: type[MockPin]) -> Iterator[MockFactory]:
    before = Device.pin_factory
    Device.pin_factory = MockFactory(pin_class=kind)
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = before


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    with factory(MockPWMPin) as made:
        yield made


@pytest.fixture
def pins_without_pwm() -> Iterator[MockFactory]:
    with factory(MockPin) as made:
        yield made


def states(pins: MockFactory, numbers: tuple[int, ...]) -> States:
    return tuple(pins.pin(f"GPIO{number}").state for number in numbers)


def first_shown(pins: MockFactory, numbers: tuple[int, ...], show: Callable[[], None]) -> States:
    """What `show` brings about at once, however long it takes to look."""
    histories = [pins.pin(f"GPIO{number}") for number in numbers]
    for history in histories:
        history.clear_states()
    show()
    return tuple(history.states[:2][-1].state for history in histories)


def wait_for(pins: MockFactory, numbers: tuple[int, ...], right: Callable[[States], bool]) -> States:
    end = time.monotonic() + LIMIT_S
    while not right(now := states(pins, numbers)):
        assert time.monotonic() < end, f"{now} all the time"
        time.sleep(0.005)
    return now


def dark(now: States) -> bool:
    return not any(now)


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
    with GpioLights(LightsSettings(rgb=RGB), labels) as lights:
        assert dark(states(pins_without_pwm, RGB_PINS))
        for label in labels:
            lights.show(prediction(label, labels))
            assert states(pins_without_pwm, RGB_PINS) == expected[label]
    assert dark(states(pins_without_pwm, RGB_PINS))
    assert len(set(expected.values())) == len(labels)


def test_colours_of_ones_own(pins: MockFactory) -> None:
    settings = LightsSettings(rgb=RGB, colours={"positive": "#ff0000", "tired": "orange"})
    with GpioLights(settings, ("positive", "neutral", "tired")) as lights:
        labels = ("positive", "neutral", "tired")
        lights.show(prediction("positive", labels))
        assert states(pins, RGB_PINS) == (1, 0, 0)
        lights.show(prediction("neutral", labels))
        assert states(pins, RGB_PINS) == (1, 1, 1), "the others keep theirs"
        lights.show(prediction("tired", labels))
        red, green, blue = states(pins, RGB_PINS)
        assert (red, blue) == (1, 0)
        assert green == pytest.approx((128 / 255) ** 2.2), "half as bright to the eye"


def test_a_class_without_a_colour(pins: MockFactory) -> None:
    labels = ("positive", "happy", "negative", "tired", "calm")
    with pytest.raises(LightsError, match="no colour for tired, calm; write colours = ") as caught:
        GpioLights(LightsSettings(rgb=RGB, colours={"happy": "orange"}), labels)
    line = str(caught.value).partition("; write ")[2].removesuffix(" under [lights] in a file for --config")
    colours = tomllib.loads(line)["colours"]
    assert colours == {"happy": "orange", "tired": "yellow", "calm": "cyan"}, "none that another class has"
    GpioLights(LightsSettings(rgb=RGB, colours=colours), labels).__exit__(None, None, None)
    many = [str(number) for number in range(30)]
    with pytest.raises(LightsError) as caught:
        GpioLights(LightsSettings(rgb=RGB), many)
    assert str(caught.value).count('"red"') == 3, "names of colours run out"
    taken = {str(number): colour for number, colour in enumerate(COLOURS)}
    with pytest.raises(LightsError, match='calm = "red" }'):
        GpioLights(LightsSettings(rgb=RGB, colours=taken), [*taken, "calm"])


def test_a_common_anode_is_lit_by_low_pins(pins_without_pwm: MockFactory) -> None:
    for settings, numbers in [
        (LightsSettings(rgb=RGB, common="anode"), RGB_PINS),
        (LightsSettings(common="anode"), (22, 27, 17)),
    ]:
        lights = GpioLights(settings, THREE)
        assert states(pins_without_pwm, numbers) == (1, 1, 1), "dark"
        lights.show(prediction("negative"))
        assert states(pins_without_pwm, numbers) == (0, 1, 1)
        lights.trouble(None)
        assert states(pins_without_pwm, numbers) == (1, 1, 1), "dark again"
        lights.__exit__(None, None, None)
        assert all(pins_without_pwm.pin(f"GPIO{number}").function == "input" for number in numbers), "let go"


@pytest.mark.parametrize(("settings", "numbers"), [
    (LightsSettings(brightness="confidence"), (22, 27, 17)),
    (LightsSettings(brightness="confidence", rgb=RGB), RGB_PINS),
])  # fmt: skip
def test_the_surer_the_brighter(pins: MockFactory, settings: LightsSettings, numbers: tuple[int, ...]) -> None:
    with GpioLights(settings, THREE) as lights:
        seen = []
        for probability in (0.4, 0.6, 0.8, 1.0):
            lights.show(prediction("negative", probability=probability))
            first, second, third = states(pins, numbers)
            assert (second, third) == (0, 0)
            assert first == pytest.approx(probability**2.2)
            seen.append(first)
        assert seen == sorted(seen)
        assert seen[-1] == 1


@pytest.mark.parametrize(("settings", "numbers"), [
    (LightsSettings(brightness="confidence", common="anode"), (22, 27, 17)),
    (LightsSettings(brightness="confidence", common="anode", rgb=RGB), RGB_PINS),
])  # fmt: skip
def test_a_common_anode_is_dimmed_too(pins: MockFactory, settings: LightsSettings, numbers: tuple[int, ...]) -> None:
    with GpioLights(settings, THREE) as lights:
        assert states(pins, numbers) == (1, 1, 1)
        lights.show(prediction("negative", probability=0.5))
        assert states(pins, numbers) == pytest.approx((1 - 0.5**2.2, 1, 1))
        assert first_shown(pins, numbers, lambda: lights.trouble(Trouble.LOST)) == (0, 0, 0)


def test_an_improbable_answer_is_seen_all_the_same(pins: MockFactory) -> None:
    many = tuple(f"class {number}" for number in range(20))
    settings = LightsSettings(brightness="confidence", pins={label: pin for pin, label in enumerate(many)})
    with GpioLights(settings, many) as lights:
        lights.show(prediction("class 3", many, probability=0.06))
        [lit] = [state for state in states(pins, tuple(range(20))) if state]
        assert lit > 0.02


@pytest.mark.parametrize("settings", [
    LightsSettings(hold_s=0.2),
    LightsSettings(hold_s=0.2, brightness="confidence"),
    LightsSettings(hold_s=0.2, rgb=RGB),
    LightsSettings(hold_s=0.2, rgb=RGB, brightness="confidence", colours={"positive": "#ff8000"}),
])  # fmt: skip
def test_every_kind_goes_out_flashes_and_is_off_at_the_end(pins: MockFactory, settings: LightsSettings) -> None:
    numbers = RGB_PINS if settings.rgb else (22, 27, 17)
    with GpioLights(settings, THREE) as lights:
        assert not dark(first_shown(pins, numbers, lambda: lights.show(prediction("positive")))), "on at once"
        wait_for(pins, numbers, dark)
        for trouble in Trouble:
            flash = partial(lights.trouble, trouble)
            assert first_shown(pins, numbers, flash) == (1, 1, 1), "all of them, fully"
            wait_for(pins, numbers, dark)
        lights.trouble(Trouble.LOST)
        for _ in range(2):  # again and again
            wait_for(pins, numbers, dark)
            wait_for(pins, numbers, all)
        lights.trouble(None)
        assert dark(states(pins, numbers))
        seen = [len(pins.pin(f"GPIO{number}").states) for number in numbers]
        time.sleep(1.2)  # longer than from one flash to the next
        assert [len(pins.pin(f"GPIO{number}").states) for number in numbers] == seen, "it goes on flashing"
        lights.trouble(Trouble.LOST)
        wait_for(pins, numbers, dark)
        answered = first_shown(pins, numbers, lambda: lights.show(prediction("negative")))
        assert [bool(state) for state in answered] == [True, False, False]
        wait_for(pins, numbers, dark)
        seen = [len(pins.pin(f"GPIO{number}").states) for number in numbers]
        time.sleep(1.2)
        assert [len(pins.pin(f"GPIO{number}").states) for number in numbers] == seen, "an answer ends it"
    assert dark(states(pins, numbers))


def test_an_answer_is_not_cut_short_by_the_one_before(pins: MockFactory) -> None:
    with GpioLights(LightsSettings(hold_s=0.4), THREE) as lights:
        lights.show(prediction("positive"))
        time.sleep(0.3)
        shown = time.monotonic()
        lights.show(prediction("positive"))
        wait_for(pins, (22, 27, 17), dark)
        assert time.monotonic() - shown >= 0.39


@pytest.mark.parametrize("settings", [LightsSettings(), LightsSettings(rgb=RGB)])
def test_an_unsure_answer_is_dark_or_neutral(pins: MockFactory, settings: LightsSettings) -> None:
    with GpioLights(settings, THREE) as lights:
        numbers = RGB_PINS if settings.rgb else (22, 27, 17)
        lights.show(prediction("positive"))
        lights.show(replace(prediction("positive"), confident=False))
        assert dark(states(pins, numbers)), "nor is the last answer shown on"
        lights.show(replace(prediction("positive"), confident=False, low_confidence_label="neutral"))
        assert states(pins, numbers) == ((1, 1, 1) if settings.rgb else (0, 1, 0))


def test_seven_leds(pins_without_pwm: MockFactory) -> None:
    numbers = (4, 5, 6, 12, 13, 16, 19)
    with GpioLights(LightsSettings(pins=dict(zip(SEVEN, numbers, strict=True))), SEVEN) as lights:
        for index, label in enumerate(SEVEN):
            lights.show(prediction(label, SEVEN))
            assert states(pins_without_pwm, numbers) == tuple(float(other == index) for other in range(7))


def test_a_pattern_stays_until_something_else_is_shown(pins: MockFactory) -> None:
    settings = LightsSettings(hold_s=0.1)
    with GpioLights(settings, THREE) as lights:
        lights.hold(patterns(settings, THREE)["neutral"])
        time.sleep(0.3)
        assert states(pins, (22, 27, 17)) == (0, 1, 0)
    assert dark(states(pins, (22, 27, 17)))


class LgpioError(Exception):
    """As lgpio's own `error`, which has no other base."""


class TakenPin(MockPin):  # type: ignore[misc]  # gpiozero has no types
    def _set_function(self, value: Any) -> None:
        if value == "output":
            raise LgpioError("'GPIO busy'")
        super()._set_function(value)


def test_pins_that_another_program_has() -> None:
    told = r"GPIO busy.*another program has the pins.*systemctl stop"
    with factory(TakenPin), pytest.raises(LightsError, match=told) as caught:
        GpioLights(LightsSettings(), THREE)
    assert "\n" not in str(caught.value)


def test_every_default_colour_is_a_colour() -> None:
    assert not list(colour_problems("", CLASS_COLOURS))
    assert not list(colour_problems("", {name: name for name in COLOURS}))
    assert rgb_levels("#ff8000") == pytest.approx((1, 128 / 255, 0))
    assert rgb_levels("white") == (1, 1, 1)
