"""Checks nested tables of settings, as TOML gives them, against the schema, and turns them into `Settings`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from device.bundle import bundle_path, read_bundle
from device.errors import EdgeMcnnError, SettingsError
from device.settings.broker import Mistake, contradictions
from device.settings.schema import ClassifierSettings, Settings, sections
from device.settings.toml_values import toml_value

_CONFIDENCES = ("classifier", "confidences")
"""An earlier setting: the confidence of single classes, in which they differed from `confidence`."""
RENAMED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("classifier", "unsure"): ("classifier", "low_confidence"),
    _CONFIDENCES: ("classifier", "confidence"),
}
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
    return kind(**{key: _converted(value, type(defaults[key])) for key, value in table.items()})


def _converted(value: Any, kind: type) -> Any:
    """The value in the type of the dataclass: TOML has 1 where we have 1.0, and lists where we have tuples."""
    if isinstance(value, Mapping):
        return value
    return kind(value) if kind in (float, tuple) else value


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
    lines = [f"{each} = {toml_value(value)}" for each, value in mistake.instead.items()]
    fix = f"write {', '.join(lines)} under [{key[0]}]"
    return Problem(key, mistake.message, fix, mistake.instead)


def _unknown_keys(prefix: tuple[str, ...], table: Mapping[str, Any], known: list[str]) -> Iterator[Problem]:
    for key in table:
        if key in known:
            continue
        name = ".".join((*prefix, key))
        if (*prefix, key) == _CONFIDENCES and (problem := _confidences_problem(table)) is not None:
            yield problem
            continue
        if (*prefix, key) in RENAMED:
            new = ".".join(RENAMED[*prefix, key])
            yield Problem((*prefix, key), f"{name} is now called {new}", f"rename it to {new}")
            continue
        near = get_close_matches(key, known, n=1)
        fix = f"did you mean {'.'.join((*prefix, near[0]))}?" if near else f"use one of {', '.join(known)}"
        yield Problem((*prefix, key), f"{name}: no such setting", fix)


def _confidences_problem(classifier: Mapping[str, Any]) -> Problem | None:
    """What replaces the earlier `confidences`, with which `confidence` was for the other classes alone.

    Args:
        classifier: a section with `confidences`.

    Returns:
        The problem; None if one of the two values was not allowed before either.
    """
    setting = next(each for each in fields(ClassifierSettings) if each.name == "confidence")
    by_class, common = classifier["confidences"], classifier.get("confidence", setting.default)
    if not isinstance(by_class, Mapping) or any(
        problem for value in (by_class, common) for problem in _wrong_value(("", ""), setting, value)
    ):
        return None
    others = ""
    merged: Any = common
    if by_class and isinstance(common, Mapping):
        merged = {**common, **by_class}
    elif by_class:
        # A class that the table does not name has 0.
        labels = _labels(classifier.get("model")) if common else ()
        merged = {**dict.fromkeys(labels, common), **by_class}
        if common and not labels:
            others = f", add the other classes of the model with {toml_value(common)}"
    return Problem(
        _CONFIDENCES,
        "classifier.confidences is now part of classifier.confidence, which is a number or a table",
        f"write confidence = {toml_value(merged)} under [classifier]{others}, and remove confidences",
        {"confidence": merged},
    )


def _labels(model: Any) -> Sequence[str]:
    """The classes of a model as settings name it; none if it cannot be read."""
    try:
        return read_bundle(bundle_path(model if isinstance(model, str) else "")).companions.labels
    except EdgeMcnnError:
        return ()
