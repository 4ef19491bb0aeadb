"""Checks nested tables of settings, as TOML gives them, against the schema, and turns them into `Settings`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from device.errors import SettingsError
from device.settings.broker import Mistake, contradictions
from device.settings.schema import Settings, sections

RENAMED: dict[tuple[str, ...], tuple[str, ...]] = {("classifier", "unsure"): ("classifier", "low_confidence")}
"""The present section and key of each setting that had another name in an earlier version, by its earlier ones."""


@dataclass(frozen=True)
class Problem:
    """Something in a table of settings that is not allowed."""

    key: tuple[str, ...]
    """Place of the problem: the names of the tables, and of the key in them."""
    message: str
    """What is wrong, with the key, the value and the allowed values; one line."""
    fix: str = ""
    """What the user can do about it in a file; empty if the message leaves no doubt."""
    instead: Mapping[str, Any] = field(default_factory=dict)
    """Values of keys in the same section that are probably meant; `fix` contains them as TOML."""


def settings_from_table(table: Mapping[str, Any]) -> Settings:
    """Build settings from nested tables, as TOML gives them.

    Raises:
        SettingsError: something is not allowed; the error describes the first problem.
    """
    for problem in problems(table):
        raise SettingsError(problem.message, fix=problem.fix)
    kinds = sections()
    return Settings(**{name: _section(kinds[name], content) for name, content in table.items()})


def problems(table: Mapping[str, Any]) -> Iterator[Problem]:
    """Everything that is not allowed in nested tables, as TOML gives them."""
    kinds = sections()
    yield from _unknown_keys((), table, list(kinds))
    for name, content in table.items():
        if name not in kinds:
            continue
        if not isinstance(content, Mapping):
            yield Problem((name,), f"{name} is {content!r}, expected a table [{name}]")
            continue
        known = {each.name: each for each in fields(kinds[name])}
        yield from _unknown_keys((name,), content, list(known))
        for key, value in content.items():
            if key in known:
                yield from _wrong_value((name, key), known[key], value)
        yield from _contradictions(name, content)


def allowed_values(setting: Field[Any]) -> str:
    """The values that a setting may have, in words; empty if any text is allowed."""
    if "range" in setting.metadata:
        lowest, highest = setting.metadata["range"]
        return f"{'a whole number' if setting.type is int else 'a number'} from {lowest:g} to {highest:g}"
    if "choices" in setting.metadata:
        return f"one of {', '.join(setting.metadata['choices'])}"
    if setting.type is bool:
        return "true or false"
    if isinstance(setting.default, tuple):
        return 'a list of texts, such as ["a", "b"]'
    return str(setting.metadata.get("allowed", ""))


def _section(kind: Any, table: Mapping[str, Any]) -> Any:
    defaults = {each.name: each.default for each in fields(kind)}

    def converted(key: str, value: Any) -> Any:
        # The types of the dataclass: TOML has 1 where we have 1.0, and lists where we have tuples.
        if isinstance(value, list):
            return tuple(value)
        return float(value) if isinstance(defaults[key], float) else value

    return kind(**{key: converted(key, value) for key, value in table.items()})


def _wrong_value(key: tuple[str, ...], setting: Field[Any], value: Any) -> Iterator[Problem]:
    name = ".".join(key)
    if "range" in setting.metadata:
        lowest, highest = setting.metadata["range"]
        right_type = isinstance(value, int if setting.type is int else int | float) and not isinstance(value, bool)
        if not right_type or not lowest <= value <= highest:
            yield Problem(key, f"{name} is {value!r}, expected {allowed_values(setting)}")
    elif "choices" in setting.metadata:
        if value not in setting.metadata["choices"]:
            yield Problem(key, f"{name} is {value!r}, expected {allowed_values(setting)}")
    elif "check" in setting.metadata:
        for inner, message in setting.metadata["check"](name, value):
            yield Problem((*key, *inner), message)
    elif setting.type is bool:
        if not isinstance(value, bool):
            yield Problem(key, f"{name} is {value!r}, expected {allowed_values(setting)}")
    elif isinstance(setting.default, tuple):
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            yield Problem(key, f"{name} is {value!r}, expected {allowed_values(setting)}")
    elif not isinstance(value, str):
        yield Problem(key, f"{name} is {value!r}, expected text in quotes")
    elif "\0" in value:
        yield Problem(key, f"{name} is {value!r}, which contains a NUL character", "remove it")
    elif value == "" and not setting.metadata.get("optional", True):
        yield Problem(key, f"{name} is empty, expected {allowed_values(setting)}")
    elif "mistakes" in setting.metadata and value != "":
        for mistake in setting.metadata["mistakes"](name, value):
            yield _problem(key, mistake)


def _contradictions(name: str, content: Mapping[str, Any]) -> Iterator[Problem]:
    if name == "mqtt":
        for mistake in contradictions(content):
            yield _problem((name, mistake.key), mistake)


def _problem(key: tuple[str, ...], mistake: Mistake) -> Problem:
    if not mistake.instead:
        return Problem(key, mistake.message, mistake.fix)
    # A text, a whole number or a truth value looks the same in JSON and in TOML.
    lines = [f"{each} = {json.dumps(value, ensure_ascii=False)}" for each, value in mistake.instead.items()]
    fix = f"write {', '.join(lines)} under [{key[0]}]"
    return Problem(key, mistake.message, fix, mistake.instead)


def _unknown_keys(prefix: tuple[str, ...], table: Mapping[str, Any], known: list[str]) -> Iterator[Problem]:
    for key in table:
        if key in known:
            continue
        name = ".".join((*prefix, key))
        if (*prefix, key) in RENAMED:
            new = ".".join(RENAMED[*prefix, key])
            yield Problem((*prefix, key), f"{name} is now called {new}", f"rename it to {new}")
            continue
        near = get_close_matches(key, known, n=1)
        fix = f"did you mean {'.'.join((*prefix, near[0]))}?" if near else f"use one of {', '.join(known)}"
        yield Problem((*prefix, key), f"{name}: no such setting", fix)
