"""Writes values in TOML's notation, for settings files and for fixes that name what to write in one."""

import json
import re
from collections.abc import Mapping
from typing import Any

from device.system.display import displayable


def toml_value(value: Any) -> str:
    """A value in TOML's notation: a text, a number, true or false, or a table or list of these."""
    if isinstance(value, Mapping):
        entries = ", ".join(f"{_toml_key(key)} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, tuple):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else repr(value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _quoted(text: str) -> str:
    # JSON's escapes are valid in TOML; of what JSON does not escape, some cannot be displayed.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(letter if displayable(letter) == letter else f"\\U{ord(letter):08x}" for letter in quoted)
