import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import SettingsError
from device.settings.check import settings_from_table
from device.settings.schema import LightsSettings, MqttSettings, PublishSettings, Settings
from device.settings.toml import as_toml, check_file, read_settings


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return path


def test_only_named_settings_differ_from_the_defaults(tmp_path: Path) -> None:
    text = '[microphone]\nname = "USB"\n[endpoint]\nhang_over_s = 1\n[lights.pins]\nhappy = 5\nsad = 6\n'
    read = read_settings(write(tmp_path, text))
    assert read.microphone.name == "USB"
    assert read.endpoint.hang_over_s == 1.0
    assert read.endpoint.longest_s == Settings().endpoint.longest_s
    assert read.lights.pins == {"happy": 5, "sad": 6}


@pytest.mark.parametrize(
    "text",
    [
        '[classifier]\nconfidence = { "sehr müde" = 0.6, b = 1 }',
        '[classifier.confidence]\n"sehr müde" = 0.6\nb = 1\n',
    ],
)
def test_confidences_of_classes(tmp_path: Path, text: str) -> None:
    read = read_settings(write(tmp_path, text))
    assert read.classifier.confidence == {"sehr müde": 0.6, "b": 1}
    assert read_settings(write(tmp_path, as_toml(read))) == read


@pytest.mark.parametrize("text", ["", "[classifier]\nconfidence = 0.2\n", "[classifier.confidence]\nb = 1\n"])
@pytest.mark.parametrize(("value", "expected"), [("0.5", 0.5), ("1", 1.0), ("{ a = 0.5 }", {"a": 0.5}), ("{}", {})])
def test_a_variable_with_confidences_wins_over_the_file(
    text: str, value: str, expected: float | dict[str, float], tmp_path: Path
) -> None:
    read = read_settings(write(tmp_path, text), {"EDGE_MCNN_CLASSIFIER_CONFIDENCE": value})
    assert read.classifier.confidence == expected


def test_the_line_of_the_earlier_confidences(tmp_path: Path) -> None:
    path = write(tmp_path, "[classifier]\nconfidence = 0.4\nconfidences = { negative = 0.6 }\n")
    [error] = check_file(path)
    assert error.message.startswith(f"{path}:3: classifier.confidences is now part of classifier.confidence")
    assert "confidence = { negative = 0.6, neutral = 0.4, positive = 0.4 }" in error.fix


def test_an_empty_file_and_no_file_have_the_defaults(tmp_path: Path) -> None:
    assert read_settings(write(tmp_path, "")) == read_settings(None) == Settings()


def test_each_problem_has_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """# a comment
[microfone]
[endpoint]
hang_over_s = "x"  # seconds
  "gate" = -50
[ lights ]
pins = { a = 3, b = 3 }
[classifier]
threads = 2
runtime = 'onnx'
unsure = "dark"
[liveness.retry_s]
x = 1
""",
    )
    errors = check_file(path)
    lines = [error.message.removeprefix(f"{path}:").partition(":")[0] for error in errors]
    assert lines == ["2", "4", "5", "7", "10", "11", "12"]
    assert errors[0].fix == "did you mean microphone?"
    assert str(errors[1]) == f"{path}:4: endpoint.hang_over_s is 'x', expected a number from 0.1 to 5"
    assert errors[5].message == f"{path}:11: classifier.unsure is now called classifier.low_confidence"
    assert errors[5].fix == "rename it to classifier.low_confidence"
    with pytest.raises(
        SettingsError, match=r"config.toml:2: microfone: no such.* \(and 6 more: edge-mcnn settings"
    ) as error:
        read_settings(path)
    assert error.value.fix == "did you mean microphone?"


def test_dotted_keys_have_lines_too(tmp_path: Path) -> None:
    path = write(tmp_path, "\nendpoint.onset_s = 9\nlights.pins.happy = 99\n")
    assert [error.message.removeprefix(f"{path}:")[:2] for error in check_file(path)] == ["2:", "3:"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[lights", "not valid TOML: Expected ']' at the end of a table declaration"),
        (b"a = 1\n\nb = \n", ":3: not valid TOML: Invalid value (column 5)"),
        (b"x = " + b"[" * 9000, "not valid TOML"),
        (b'[microphone]\nname = "\xff"', ", line 2: the byte 0xff is not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_invalid_toml(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        read_settings(path)
    assert error.value.message.startswith(str(path))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_byte_order_mark_and_any_line_ends_are_read(start: bytes, end: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(start + end.join([b"[endpoint]", b"hang_over_s = 0.7", b"onset_s = 9", b""]))
    [error] = check_file(path)
    assert error.message.startswith(f"{path}:3: endpoint.onset_s is 9")
    path.write_bytes(path.read_bytes().replace(b"= 9", b"= 0.2"))
    assert read_settings(path).endpoint.hang_over_s == 0.7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[endpoint]\n".encode("utf-16"), "line 1: UTF-16"),
        ("[endpoint]\n".encode("utf-16-le"), "line 1: a NUL byte"),
        (b"# gr\xfc\xdfe\n", "line 1: the byte 0xfc is not UTF-8"),
        (b"[endpoint]\n\0", "line 2: a NUL byte"),
        (b"#" * (1 << 21), "larger than 1 MB"),
        (b'[microphone]\nname = "a\\u0000b"\n', ":2: microphone.name is 'a\\x00b', which contains a NUL character"),
    ],
)
def test_other_encodings_and_sizes_are_one_line_with_the_place(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        read_settings(path)
    assert message in error.value.message
    assert len(str(error.value).splitlines()) == 1


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        read_settings(tmp_path / "none.toml")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[endpoint]\nhang_over_s = 1\nonset_s = 0.2\n[microphone]\nname = "a"\n')
    read = read_settings(
        path,
        {
            "EDGE_MCNN_ENDPOINT_HANG_OVER_S": "2",
            "EDGE_MCNN_MICROPHONE_NAME": "3",
            "EDGE_MCNN_LIGHTS_PINS": "{ happy = 4 }",
            "EDGE_MCNN_PUBLISH_COMMAND": '["/usr/bin/logger", "--tag", "a \\"lamp\\""]',
            "EDGE_MCNN_MQTT_TLS": "true",
            "HOME": "/",
        },
    )
    assert read.publish.command == ("/usr/bin/logger", "--tag", 'a "lamp"')
    assert read.mqtt.tls is True
    assert (read.endpoint.hang_over_s, read.endpoint.onset_s) == (2.0, 0.2)
    assert read.microphone.name == "3"
    assert read.lights.pins == {"happy": 4}


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("EDGE_MCNN_ENDPOINT_GATE", "1", "no such setting; did you mean EDGE_MCNN_ENDPOINT_GATE_DBFS?"),
        ("EDGE_MCNN_ZZZ", "1", "no such setting; see: edge-mcnn settings --show"),
        (
            "EDGE_MCNN_CLASSIFIER_UNSURE",
            "dark",
            "it is now called EDGE_MCNN_CLASSIFIER_LOW_CONFIDENCE; rename it to EDGE_MCNN_CLASSIFIER_LOW_CONFIDENCE",
        ),
        (
            "EDGE_MCNN_CLASSIFIER_CONFIDENCES",
            "{ a = 0.5 }",
            "it is now called EDGE_MCNN_CLASSIFIER_CONFIDENCE; rename it to EDGE_MCNN_CLASSIFIER_CONFIDENCE",
        ),
        ("EDGE_MCNN_CLASSIFIER_CONFIDENCE", "50%", "classifier.confidence is '50%', expected a number from 0 to 1, or"),
        ("EDGE_MCNN_CLASSIFIER_CONFIDENCE", "{ a = 5 }", "classifier.confidence.a is 5, expected a number from 0 to 1"),
        ("EDGE_MCNN_ENDPOINT_GATE_DBFS", "loud", "endpoint.gate_dbfs is 'loud', expected a number from -96 to 0"),
        ("EDGE_MCNN_ENDPOINT_GATE_DBFS", "-50\nx = 1", "expected a number"),
        ("EDGE_MCNN_LIGHTS_PINS", "17", "expected a table such as"),
        ("EDGE_MCNN_PUBLISH_COMMAND", "ls -l", "publish.command is 'ls -l', expected a list of texts, such as"),
        (
            "EDGE_MCNN_MQTT_HOST",
            "ssl://192.168.1.2:8883",
            "which is a URL; set EDGE_MCNN_MQTT_HOST=192.168.1.2, EDGE_MCNN_MQTT_PORT=8883, EDGE_MCNN_MQTT_TLS=true",
        ),
        ("EDGE_MCNN_MQTT_USER", "caf\udce9", "mqtt.user is 'caf\\udce9', which is not text in UTF-8"),
        ("EDGE_MCNN_CLASSIFIER_MODEL", "caf\udce9.tflite", r"'caf\xe9.tflite' is not UTF-8; use a name in UTF-8"),
        ("EDGE_MCNN_MQTT_TLS", "yes", "mqtt.tls is 'yes', expected true or false"),
    ],
)
def test_wrong_variables_are_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(None, {variable: value})
    assert error.value.message.startswith(f"{variable} in the environment: ")
    assert message in str(error.value)


def test_a_renamed_variable_beside_the_present_one_is_merged() -> None:
    old, new = "EDGE_MCNN_CLASSIFIER_CONFIDENCES", "EDGE_MCNN_CLASSIFIER_CONFIDENCE"
    with pytest.raises(SettingsError, match=f"{old} in the environment: it is now called {new}") as error:
        read_settings(None, {new: "0.4", old: "{ a = 0.5 }"})
    assert error.value.fix == f"merge it into {new}, which is set as well"


def test_written_settings_are_read_back(tmp_path: Path) -> None:
    changed = Settings(
        lights=LightsSettings(kind="gpio", pins={"froh": 4, "sehr müde": 5, "a.b": 6}),
        publish=PublishSettings(command=("/a b", 'say "hi"', "\\", "")),
        mqtt=MqttSettings("broker.local", tls=True),
    )
    # Beside the default pins, which it replaces.
    rgb = LightsSettings(rgb={"red": 17, "green": 27, "blue": 22}, colours={"froh": "#ff8000"}, brightness="confidence")
    for each in (Settings(), changed, Settings(lights=rgb)):
        assert read_settings(write(tmp_path, as_toml(each))) == each
    text = as_toml(Settings())
    assert "# An utterance ends after a pause of this length." in text
    assert "\nrgb = {}\n" in text
    assert "A number from 0.1 to 5 s; default 0.6." in text.replace("\n#", "")
    assert max(len(line) for line in text.splitlines() if not line.startswith("pins = ")) <= 100


def test_settings_that_are_not_written_are_comments() -> None:
    written = tomllib.loads(as_toml(Settings(), only={"classifier": ["model"]}))
    assert written.pop("classifier") == {"model": ""}
    assert not any(written.values())


def test_a_text_instead_of_a_list_has_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, as_toml(Settings()).replace("command = []", 'command = "x"'))
    line = path.read_text().splitlines().index('command = "x"') + 1
    [error] = check_file(path)
    assert error.message.startswith(f"{path}:{line}: publish.command is 'x', expected a list")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")) | st.builds(
    lambda a, b: f"[{a}]\n{b}".encode("utf-8", "replace"),
    st.sampled_from(["lights", "lights.pins", "endpoint", "classifier"]), st.text(),
))  # fmt: skip
def test_any_file_is_settings_or_a_settings_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    try:
        read = read_settings(path)
    except SettingsError:
        return
    assert isinstance(read, Settings)


@given(
    st.dictionaries(st.text(), st.integers(0, 27), max_size=3),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
)
def test_any_text_is_written_and_read_back(pins: dict[str, int], name: str) -> None:
    pins = {key: number for number, key in enumerate(pins)}
    original = settings_from_table({"lights": {"pins": pins}, "microphone": {"name": name}})
    assert settings_from_table(tomllib.loads(as_toml(original))) == original
