from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import SettingsError
from device.settings import Settings, read_settings, settings_from_table


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return path


def test_names_only_what_differs(tmp_path: Path) -> None:
    settings = read_settings(
        write(tmp_path, '[microphone]\nname = "USB"\n[endpoint]\nhang_over_s = 1\n[lights.pins]\nhappy = 5\nsad = 6\n')
    )
    assert settings.microphone.name == "USB"
    assert settings.endpoint.hang_over_s == 1.0
    assert isinstance(settings.endpoint.hang_over_s, float)
    assert settings.endpoint.longest_s == Settings().endpoint.longest_s
    assert settings.lights.pins == {"happy": 5, "sad": 6}


def test_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert read_settings(write(tmp_path, "")) == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[microfone]", "microfone: no such setting; did you mean microphone?"),
        ("[endpoint]\nhangover_s = 1", "did you mean endpoint.hang_over_s?"),
        ("[endpoint]\nzzz = 1", "known are gate_dbfs"),
        ("[endpoint]\nhang_over_s = 99", "endpoint.hang_over_s is 99, expected a number from 0.1 to 5"),
        ('[endpoint]\nhang_over_s = "1"', "expected a number"),
        ("[endpoint]\nhang_over_s = nan", "expected a number"),
        ("[endpoint]\nhang_over_s = true", "expected a number"),
        ("[classifier]\nthreads = 1.5", "expected a whole number"),
        ('[classifier]\nruntime = "onnx"', "expected one of auto, ai-edge-litert, tflite-runtime"),
        ("[microphone]\nname = 3", "microphone.name is 3, expected text"),
        ("endpoint = 3", r"expected a table \[endpoint\]"),
        ("[lights.pins]\npositive = 99", "lights.pins.positive is 99"),
        ("[lights.pins]\na = 5\nb = 5", "pin 5 is given to more than one class"),
        ("[lights]\npins = 3", "expected a table such as"),
        ("[lights", "not valid TOML"),
    ],
)
def test_bad_settings_get_a_clear_line(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError, match=told) as caught:
        read_settings(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(tmp_path / "none.toml")


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'[microphone]\nname = "\xff"')
    with pytest.raises(SettingsError, match="not valid TOML"):
        read_settings(path)


value = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
key = st.text() | st.sampled_from(
    ["microphone", "endpoint", "lights", "pins", "name", "hold_s", "hang_over_s", "threads"]
)
table = st.recursive(value, lambda inner: st.dictionaries(key, inner, max_size=4), max_leaves=8)


@given(st.dictionaries(key, table, max_size=4))
def test_any_table_is_settings_or_a_settings_error(content: dict[str, Any]) -> None:
    try:
        settings = settings_from_table(content)
    except SettingsError:
        return
    assert isinstance(settings, Settings)
