import tomllib
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import SettingsError
from device.settings.check import RENAMED, problems, settings_from_table
from device.settings.schema import Settings, sections


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"microfone": {}}, "microfone: no such setting; did you mean microphone?"),
        ({"endpoint": {"hangover_s": 1}}, "did you mean endpoint.hang_over_s?"),
        ({"endpoint": {"zzz": 1}}, "endpoint.zzz: no such setting; use one of gate_dbfs"),
        ({"classifier": {"unsure": "dark"}}, "classifier.unsure is now called classifier.low_confidence; rename it to"),
        ({"endpoint": {"hang_over_s": 99}}, "endpoint.hang_over_s is 99, expected a number from 0.1 to 5"),
        ({"endpoint": {"hang_over_s": "1"}}, "expected a number"),
        ({"endpoint": {"hang_over_s": float("nan")}}, "expected a number"),
        ({"endpoint": {"hang_over_s": True}}, "expected a number"),
        ({"classifier": {"threads": 1.5}}, "expected a whole number"),
        ({"classifier": {"runtime": "onnx"}}, "expected one of auto, ai-edge-litert, tflite-runtime"),
        ({"microphone": {"name": 3}}, "microphone.name is 3, expected text"),
        (
            {"microphone": {"channels": "all"}},
            "microphone.channels is 'all', expected one of auto, loudest, mean",
        ),
        ({"microphone": {"channels": 0}}, "microphone.channels is 0, expected one of auto"),
        ({"microphone": {"channels": []}}, r"microphone.channels is \[\], expected one of auto"),
        ({"microphone": {"channels": [1, "2"]}}, "or a list of channel numbers from 0 on, such as"),
        ({"microphone": {"channels": [-1]}}, "or a list of channel numbers from 0 on, such as"),
        ({"microphone": {"channels": [128]}}, "or a list of channel numbers from 0 on, such as"),
        ({"microphone": {"channels": [True]}}, "or a list of channel numbers from 0 on, such as"),
        ({"microphone": {"channels": [1, 1]}}, r"microphone.channels is \[1, 1\], which names a channel twice"),
        ({"endpoint": 3}, r"expected a table \[endpoint\]"),
        ({"lights": {"pins": {"positive": 99}}}, "lights.pins.positive is 99"),
        ({"lights": {"pins": {"a": 5, "b": 5}}}, "lights.pins.b is 5, which a uses as well"),
        ({"lights": {"pins": 3}}, "expected a table such as"),
        ({"lights": {"rgb": 3}}, "lights.rgb is 3, expected a table such as"),
        ({"lights": {"rgb": {"red": 1, "blue": 2}}}, "lights.rgb has no green, expected a table"),
        ({"lights": {"rgb": {"red": 1, "green": 2, "blue": 2}}}, "lights.rgb.blue is 2, which green uses as well"),
        ({"lights": {"rgb": {"red": 1, "green": 2, "blue": 28}}}, "lights.rgb.blue is 28, expected a BCM pin"),
        (
            {"lights": {"rgb": {"red": 1, "green": 2, "blue": 3, "white": 4}}},
            "lights.rgb.white: an RGB LED has no such leg",
        ),
        ({"lights": {"colours": "green"}}, "lights.colours is 'green', expected a table such as"),
        ({"lights": {"colours": {"a": "gren"}}}, "lights.colours.a is 'gren', expected one of red, orange, yellow"),
        ({"lights": {"colours": {"a": "#12345"}}}, "lights.colours.a is '#12345', expected"),
        ({"lights": {"colours": {"a": "#12345g"}}}, "lights.colours.a is '#12345g', expected"),
        ({"lights": {"colours": {"a": "#1234567"}}}, "lights.colours.a is '#1234567', expected"),
        ({"lights": {"colours": {"a": 7}}}, "lights.colours.a is 7, expected"),
        ({"lights": {"colours": {"a": "#000000"}}}, "which is dark, expected one of red"),
        ({"lights": {"brightness": "dim"}}, "expected one of full, confidence"),
        ({"lights": {"common": "ground"}}, "expected one of cathode, anode"),
        ({"mute": {"button": 28}}, "mute.button is 28, expected a whole number from -1 to 27"),
        ({"mute": {"led": 3}}, "mute.led is 3, expected text"),
        ({"learn": {"active": "down"}}, "learn.active is 'down', expected one of low, high"),
        (
            {"learn": {"button": 5}, "mute": {"button": 5}},
            "learn.button is 5, which mute.button uses as well, expected",
        ),
        (
            {"mute": {"button": 5}, "lights": {"rgb": {"red": 4, "green": 5, "blue": 6}}},
            "mute.button is 5, which lights.rgb.green uses as well, expected a different pin",
        ),
        (
            {"mute": {"button": 3, "active": "high"}},
            "mute.active is 'high', expected low, because GPIO3 has a resistor to 3V3, or a different pin",
        ),
        (
            {"classifier": {"confidence": 1.1}},
            "classifier.confidence is 1.1, expected a number from 0 to 1, or a table such as { negative = 0.6, ",
        ),
        ({"classifier": {"confidence": True}}, "classifier.confidence is True, expected a number"),
        ({"classifier": {"confidence": "0.5"}}, "classifier.confidence is '0.5', expected a number"),
        ({"classifier": {"confidence": [0.5]}}, r"classifier.confidence is \[0.5\], expected a number"),
        (
            {"classifier": {"confidence": {"a": 0.5, "b": 50}}},
            "classifier.confidence.b is 50, expected a number from 0 to 1",
        ),
        ({"classifier": {"confidence": {"a": True}}}, "classifier.confidence.a is True, expected a number"),
        ({"classifier": {"confidence": {"a": "0.5"}}}, "classifier.confidence.a is '0.5', expected a number"),
        ({"classifier": {"confidence": {"a": float("nan")}}}, "classifier.confidence.a is nan, expected a number"),
        (
            {"classifier": {"confidences": {"a": 50}}},
            "classifier.confidences is now called classifier.confidence; rename it to classifier.confidence",
        ),
        ({"classifier": {"confidences": 0.5}}, "classifier.confidences is now called classifier.confidence; rename"),
        ({"classifier": {"confidences": {}, "confidence": 2}}, "classifier.confidences is now called"),
        ({"classifier": {"low_confidence": "off"}}, "expected one of dark, neutral"),
        ({"publish": {"command": "ls -l"}}, "publish.command is 'ls -l', expected a list of texts"),
        ({"publish": {"command": ["ls", 1]}}, "expected a list of texts"),
        ({"publish": {"words": 1}}, "publish.words is 1, expected true or false"),
        ({"mqtt": {"tls": "yes"}}, "mqtt.tls is 'yes', expected true or false"),
        ({"mqtt": {"host": "mqtt://pi"}}, "mqtt.host is 'mqtt://pi', which is a URL"),
        ({"mqtt": {"topic_prefix": "a/#"}}, "mqtt.topic_prefix is 'a/#', and . and # are only for"),
        ({"mqtt": {"topic_prefix": ""}}, "mqtt.topic_prefix is empty, expected an MQTT topic"),
        ({"mqtt": {"discovery_prefix": "/a"}}, "discovery_prefix is '/a', which begins with /"),
    ],
)
def test_wrong_settings_are_described_in_one_line(table: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        settings_from_table(table)
    assert "\n" not in str(error.value)


def test_every_problem_is_found() -> None:
    found = list(
        problems({"endpoint": {"hang_over_s": 99, "zzz": 1}, "x": {}, "lights": {"pins": {"a": 99, "b": "c"}}})
    )
    assert sorted(each.key for each in found) == [
        ("endpoint", "hang_over_s"), ("endpoint", "zzz"), ("lights", "pins", "a"), ("lights", "pins", "b"), ("x",),
    ]  # fmt: skip


def test_renamed_settings_are_current_settings() -> None:
    """Both sides of the table of renamed settings: the earlier name is gone, and the present one exists."""
    keys = {(name, setting.name) for name, kind in sections().items() for setting in fields(kind)}
    assert set(RENAMED.values()) <= keys
    assert not set(RENAMED) & keys


@pytest.mark.parametrize(
    ("old", "write"),
    [
        ({"confidences": {"b": 0.5}}, "confidence = { b = 0.5 } under [classifier]"),
        ({"confidences": {"b": 0.5}, "confidence": 0}, "confidence = { b = 0.5 } under [classifier]"),
        ({"confidences": {}}, "confidence = 0.0 under [classifier]"),
        ({"confidences": {}, "confidence": 0.4}, "confidence = 0.4 under [classifier]"),
        (
            {"confidences": {"negative": 0}, "confidence": 0.4},
            "confidence = { negative = 0, neutral = 0.4, positive = 0.4 } under [classifier]",
        ),
        (
            {"confidences": {"joy": 0.6}, "confidence": 0.4, "model": "emotions"},
            "confidence = { neutral = 0.4, joy = 0.6, sadness = 0.4, anger = 0.4, surprise = 0.4, fear = 0.4, "
            "disgust = 0.4 } under [classifier]",
        ),
        (
            {"confidences": {"sehr müde": 0.6}, "confidence": 0.4, "model": "/missing/Model.tflite"},
            'confidence = { "sehr müde" = 0.6 } under [classifier], add the other classes of the model with 0.4',
        ),
        (
            {"confidences": {"b": 0.5}, "confidence": {"a": 0.1, "b": 0.2}},
            "confidence = { a = 0.1, b = 0.5 } under [classifier]",
        ),
    ],
)
def test_the_earlier_confidences_are_merged_into_confidence(old: dict[str, Any], write: str) -> None:
    """The fix is the line to write, with which each class requires what it required before."""
    [problem] = problems({"classifier": old})
    assert problem.key == ("classifier", "confidences")
    assert problem.message.startswith("classifier.confidences is now part of classifier.confidence, which is a number ")
    assert problem.fix == f"write {write}, and remove confidences"
    merged = tomllib.loads(problem.fix.removeprefix("write ").partition(" under [classifier]")[0])
    settings_from_table({"classifier": merged})


def test_values_are_converted_to_the_types_of_the_schema() -> None:
    settings = settings_from_table(
        {"endpoint": {"hang_over_s": 1}, "classifier": {"threads": 4}, "publish": {"command": ["a", "b"]}}
    )
    assert isinstance(settings.endpoint.hang_over_s, float)
    assert isinstance(settings.classifier.threads, int)
    assert settings.publish.command == ("a", "b")
    assert isinstance(settings_from_table({"classifier": {"confidence": 1}}).classifier.confidence, float)
    assert settings_from_table({"classifier": {"confidence": {"a": 1}}}).classifier.confidence == {"a": 1}
    assert settings_from_table({"microphone": {"channels": [5]}}).microphone.channels == (5,)


def test_every_setting_is_explained_and_its_default_is_allowed() -> None:
    for name, kind in sections().items():
        for setting in fields(kind):
            assert setting.metadata["about"].endswith(".")
            assert not list(problems({name: {setting.name: getattr(kind(), setting.name)}}))


value = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
key = st.text() | st.sampled_from(
    [
        "microphone",
        "endpoint",
        "classifier",
        "confidence",
        "confidences",
        "lights",
        "pins",
        "rgb",
        "red",
        "green",
        "blue",
        "colours",
        "name",
        "hold_s",
        "hang_over_s",
        "threads",
        "publish",
        "command",
        "mqtt",
        "tls",
        "host",
    ]
)
table = st.recursive(value, lambda inner: st.dictionaries(key, inner, max_size=4), max_leaves=8)


@given(st.dictionaries(key, table, max_size=4))
def test_any_table_is_settings_or_a_settings_error(content: dict[str, Any]) -> None:
    try:
        settings = settings_from_table(content)
    except SettingsError:
        return
    assert isinstance(settings, Settings)


@pytest.mark.parametrize(
    "table",
    [
        {"mute": {"button": -1}, "learn": {"button": -1}},
        {"mute": {"button": 3}, "learn": {"button": 2, "active": "low"}},
        {"mute": {"button": 17}},  # whether an LED of the model has it is checked when the model is known
        {"mute": {"button": 5, "active": "high"}, "lights": {"rgb": {"red": 1, "green": 2, "blue": 4}}},
    ],
)
def test_buttons_that_share_no_pin(table: dict[str, Any]) -> None:
    assert list(problems(table)) == []
    settings_from_table(table)


def test_buttons_of_a_wrong_type_are_reported_once() -> None:
    wrong: list[Any] = [True, "5", 1.0, [], None]
    for value in wrong:
        tables = {"mute": {"button": value}, "learn": {"button": value}, "lights": {"rgb": {"red": value}}}
        assert sum(each.key == ("mute", "button") for each in problems(tables)) == 1, value
