import json
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from device.errors import LightsError
from device.events import Prediction, Utterance
from device.outputs import lights as lights_module
from device.outputs.base import Trouble
from device.outputs.gpio.leds import GpioLights
from device.outputs.json_lines import NO_WORDS, as_line, as_plain_line, as_table
from device.outputs.lights import NoLights, kind_of, open_lights
from device.settings.leds import pin_problems
from device.settings.schema import LightsSettings

LABELS = ("negative", "neutral", "positive")
UTTERANCE = Utterance(start_s=1.0, speech_end_s=2.4, end_s=3.0, arrived_at=100.0, ending="silence")


def prediction(label: str, text: str = "i love it") -> Prediction:
    rest = {name: 0.15 for name in LABELS if name != label}
    probabilities = {name: rest.get(name, 0.7) for name in LABELS}
    return Prediction(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), label, probabilities, text, UTTERANCE)


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    before = Device.pin_factory
    Device.pin_factory = MockFactory()
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = before


def on(pins: MockFactory) -> list[int]:
    return sorted(number for number in (17, 22, 27) if pins.pin(f"GPIO{number}").state)


def wait_for(pins: MockFactory, expected: list[int], limit_s: float = 5) -> None:
    end = time.monotonic() + limit_s
    while on(pins) != expected:
        assert time.monotonic() < end, f"{on(pins)} are on, expected {expected}"
        time.sleep(0.01)


def test_one_led_at_a_time_and_off_at_the_end(pins: MockFactory) -> None:
    with GpioLights(LightsSettings(), LABELS) as lights:
        assert on(pins) == []
        lights.show(prediction("positive"))
        wait_for(pins, [17])
        lights.show(prediction("negative"))
        wait_for(pins, [22])
        lights.show(prediction("negative"))
        wait_for(pins, [22])
    assert on(pins) == []


def test_a_light_goes_out_after_the_hold_time(pins: MockFactory) -> None:
    with GpioLights(LightsSettings(hold_s=0.3), LABELS) as lights:
        lights.show(prediction("neutral"))
        wait_for(pins, [27])
        wait_for(pins, [])
        states = pins.pin("GPIO27").states
        [lit] = [after.timestamp - state.timestamp for state, after in pairwise(states) if state.state]
        assert lit == pytest.approx(0.3, abs=0.25)


def test_lights_are_off_after_an_error(pins: MockFactory) -> None:
    def fails_while_lit() -> None:
        with GpioLights(LightsSettings(), LABELS) as lights:
            lights.show(prediction("positive"))
            wait_for(pins, [17])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_while_lit()
    assert on(pins) == []


def test_trouble_is_all_leds_at_once_until_it_is_over(pins: MockFactory) -> None:
    with GpioLights(LightsSettings(), LABELS) as lights:
        lights.show(prediction("positive"))
        for trouble in Trouble:
            lights.trouble(trouble)
            wait_for(pins, [17, 22, 27])
            wait_for(pins, [])
        lights.trouble(None)
        seen = [len(pins.pin(f"GPIO{number}").states) for number in (17, 22, 27)]
        time.sleep(1.2)
        assert [len(pins.pin(f"GPIO{number}").states) for number in (17, 22, 27)] == seen, "it goes on flashing"
        lights.trouble(Trouble.LOST)
        lights.show(prediction("negative"))
        wait_for(pins, [22])
        time.sleep(1.2)
        assert on(pins) == [22], "an answer ends it"
    assert on(pins) == []


def test_what_a_killed_process_left_on_goes_off(pins: MockFactory) -> None:
    pin = pins.pin("GPIO17")
    pin.function = "output"
    pin.state = True
    with GpioLights(LightsSettings(), LABELS):
        assert on(pins) == []


def test_a_class_without_a_pin(pins: MockFactory) -> None:
    with pytest.raises(LightsError, match="no pin for b d, e; write pins = ") as caught:
        GpioLights(LightsSettings(pins={"a": 27, "c": 22, "another model's": 23}), ("a", "b d", "c", "e"))
    assert proposed(caught.value) == {"pins": {"a": 27, "b d": 17, "c": 22, "e": 23}}


def proposed(error: LightsError) -> dict[str, Any]:
    """What the message says to write, as TOML."""
    line = str(error).partition("; write ")[2].removesuffix(" under [lights] in a file for --config")
    return tomllib.loads(line)


def test_what_is_proposed_lights_every_class(pins: MockFactory) -> None:
    for count in (2, 7, 24):
        labels = [f"class {number}" for number in range(count)]
        with pytest.raises(LightsError) as caught:
            GpioLights(LightsSettings(), labels)
        found = proposed(caught.value)["pins"]
        assert list(pin_problems("pins", found)) == []
        assert min(found.values()) >= 4, "the others are wanted by boards that are plugged on"
        GpioLights(LightsSettings(pins=found), labels).__exit__(None, None, None)
    with pytest.raises(LightsError, match="25 classes are more than there are pins: one RGB LED shows them all"):
        GpioLights(LightsSettings(), [*labels, "one more"])


def test_a_pin_that_another_device_holds(pins: MockFactory) -> None:
    with GpioLights(LightsSettings(), LABELS), pytest.raises(LightsError, match="cannot be driven"):
        GpioLights(LightsSettings(), LABELS)
    with GpioLights(LightsSettings(), LABELS):
        pass


def test_a_machine_without_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    with pytest.raises(LightsError, match="is this a Raspberry Pi") as caught:
        GpioLights(LightsSettings(), LABELS)
    assert "\n" not in str(caught.value)


def test_auto_takes_pins_on_a_pi_only(pins: MockFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")
    for kind in ("auto", "terminal", "none"):
        assert isinstance(open_lights(LightsSettings(kind=kind), LABELS), NoLights)
    assert kind_of(LightsSettings()) == "terminal"
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    with open_lights(LightsSettings(), LABELS) as lights:
        assert isinstance(lights, GpioLights)
    assert kind_of(LightsSettings()) == "gpio"


def test_that_there_were_no_words_is_always_told() -> None:
    for asked in (False, True):
        table = as_table(prediction("positive", text=""), lit_at=100.0)
        assert as_plain_line(table, words=asked) == f"03:04:05  positive   70%  {NO_WORDS}"
        assert table["text"] == ""


def test_what_was_said_is_in_a_plain_line_only_when_asked_for() -> None:
    table = as_table(prediction("positive"), lit_at=100.0)
    assert as_plain_line(table, words=False) == "03:04:05  positive   70%"
    assert as_plain_line(table, words=True) == "03:04:05  positive   70%  \u201ci love it\u201d"


@pytest.mark.parametrize("instead", [None, "neutral"])
def test_an_unsure_answer_is_told_as_such(instead: str | None) -> None:
    unsure = replace(prediction("positive"), confident=False, low_confidence_label=instead)
    table = as_table(unsure, lit_at=100.0)
    assert (table["label"], table["confident"], table["light"]) == ("positive", False, instead)
    assert table["probabilities"]["positive"] == 0.7
    assert as_plain_line(table, words=False) == "03:04:05  positive   70%  unsure"


def test_json_line() -> None:
    line = as_line(as_table(prediction("positive", "\u201c\u00e9\n"), lit_at=100.025))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-02T03:04:05.000+00:00",
        "label": "positive",
        "probabilities": {"negative": 0.15, "neutral": 0.15, "positive": 0.7},
        "confident": True,
        "light": "positive",
        "text": "\u201c\u00e9\n",
        "start_s": 1.0,
        "seconds": 2.0,
        "ending": "silence",
        "ms_speech_to_light": 625.0,
        "ms_endpoint_to_light": 25.0,
    }
