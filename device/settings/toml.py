"""Settings in a TOML file and in the environment: read, with the line of each mistake, and written with what they mean.

What settings there are and what they may be, `device.settings.schema` knows.
"""

import contextlib
import json
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from device.errors import SettingsError
from device.settings.check import allowed_values, problems, settings_from_table
from device.settings.schema import Settings, sections

PREFIX = "EDGE_MCNN_"
"""`EDGE_MCNN_ENDPOINT_GATE_DBFS=-50` in the environment wins over `gate_dbfs` in `[endpoint]` of the file."""
_WIDTH = 100
_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def read_settings(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a TOML file, then the environment; what neither names keeps its default.

    Args:
        path: the file; None for none.
        environment: variables by name, those that begin with `EDGE_MCNN_` are settings.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or has an unknown key or a value that is not allowed; a
            variable likewise. It is the first mistake, and says how many there are.
    """
    table: dict[str, Any] = {}
    mistakes: list[str] = []
    if path is not None:
        table, mistakes = _read(path)
    if mistakes:
        more = f" (and {len(mistakes) - 1} more: edge-mcnn settings --check {path})" if len(mistakes) > 1 else ""
        raise SettingsError(f"{mistakes[0]}{more}")
    for (stage, key), value in _from_environment(environment or {}).items():
        table.setdefault(stage, {})[key] = value
    return settings_from_table(table)


def check_file(path: Path) -> list[str]:
    """What is wrong in a file, a line of text each: file, line, key, value, and what would be right.

    Raises:
        SettingsError: it cannot be read.
    """
    return _read(path)[1]


def as_toml(settings: Settings, *, only: Mapping[str, Any] | None = None) -> str:
    """A TOML file with every setting, its meaning, what it may be, and its default.

    Args:
        settings: whose values are written.
        only: stage by stage, the keys to write; the others are there as comments. All if not given.
    """
    parts = [
        "# Settings of edge-mcnn. What is left out or commented out has its default.",
        f"# Each can be set in the environment, too: {PREFIX}ENDPOINT_HANG_OVER_S=0.8",
        "",
    ]
    for name, kind in sections().items():
        stage = getattr(settings, name)
        parts += [f"# {_sentence((kind.__doc__ or '').partition(': ')[2])}", f"[{name}]"]
        for setting in fields(kind):
            default = getattr(kind(), setting.name)
            limits = f"{allowed_values(setting)} {setting.metadata.get('unit', '')}".strip()
            about = f"{setting.metadata['about']} {_sentence(f'{limits}; ' if limits else '')}"
            about += f"{'d' if limits else 'D'}efault {toml_value(default)}."
            wrapped = textwrap.wrap(about, _WIDTH - 2, break_on_hyphens=False)
            parts += [f"# {line}" for line in wrapped]
            written = only is None or setting.name in only.get(name, ())
            parts.append(f"{'' if written else '#'}{setting.name} = {toml_value(getattr(stage, setting.name))}")
        parts.append("")
    return "\n".join(parts)


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n")
        return {}, [f"{path}:{before + 1}: not valid TOML: a byte that is not UTF-8; save the file as UTF-8"]
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r" \(at line (\d+), (column \d+)\)", str(error))
        where, column = (f":{found[1]}", f" ({found[2]})") if found else ("", "")
        reason = str(error).replace(found[0] if found else "", "") or "nested too deeply"
        return {}, [f"{path}{where}: not valid TOML: {reason}{column}"]
    lines = dict(_lines(text))
    told = []
    for problem in problems(table):
        # What stands in an inline table has the line of that table.
        keys = (problem.key[:length] for length in range(len(problem.key), 0, -1))
        line = next((lines[key] for key in keys if key in lines), 0)
        told.append((line, f"{path}{f':{line}' if line else ''}: {problem.message}"))
    return table, [message for _, message in sorted(told, key=lambda each: each[0])]


def _lines(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Where the tables and keys of a TOML file stand, from 1 on; `tomllib` does not tell."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _names(header[1])
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_names(key[1])), number


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", dotted))


def _from_environment(environment: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    known = {
        f"{PREFIX}{stage}_{setting.name}".upper(): (stage, setting)
        for stage, kind in sections().items()
        for setting in fields(kind)
    }
    values = {}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            # What all begin with is no likeness.
            near = get_close_matches(variable.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in known], n=1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "see `edge-mcnn settings --show`"
            raise SettingsError(f"{variable} in the environment: no such setting; {hint}")
        stage, setting = known[variable]
        value: Any = environment[variable]
        if not isinstance(getattr(sections()[stage](), setting.name), str):
            with contextlib.suppress(tomllib.TOMLDecodeError):  # a text, then, and refused as one below
                parsed = tomllib.loads(f"value = {value}")
                value = parsed["value"] if len(parsed) == 1 else value
        for problem in problems({stage: {setting.name: value}}):
            raise SettingsError(f"{variable} in the environment: {problem.message}")
        values[stage, setting.name] = value
    return values


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def toml_value(value: Any) -> str:
    """A value as TOML writes it: a text, a number, a switch, or a table or list of these."""
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
    # JSON's escapes are TOML's, which wants one more character escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
