"""Reads settings from a TOML file and the environment, with the line of each problem, and writes them as TOML.

A written file explains every setting; which settings there are is defined in `device.settings.schema`.
"""

import contextlib
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from device.errors import SettingsError
from device.settings.check import RENAMED, allowed_values, problems, settings_from_table
from device.settings.schema import Settings, sections
from device.settings.toml_values import toml_value
from device.system.display import shortened
from device.system.text_files import read_text

PREFIX = "EDGE_MCNN_"
"""`EDGE_MCNN_ENDPOINT_GATE_DBFS=-50` in the environment wins over `gate_dbfs` in `[endpoint]` of the file."""
_WIDTH = 100
_LARGEST = 1 << 20
"""Bytes. All settings with their comments are a hundredth of it."""
_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def read_settings(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read settings from a TOML file and the environment, which wins; all others keep their defaults.

    Args:
        path: the file; None for no file.
        environment: variables by name; those that begin with `EDGE_MCNN_` are settings.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or has an unknown key or a value that is not allowed; or
            a variable has. It describes the first problem and counts the others in the file.
    """
    table: dict[str, Any] = {}
    errors: list[SettingsError] = []
    if path is not None:
        table, errors = _read(path)
    if errors:
        more = f" (and {len(errors) - 1} more: edge-mcnn settings --check {path})" if len(errors) > 1 else ""
        raise SettingsError(f"{errors[0].message}{more}", fix=errors[0].fix)
    for (section, key), value in _from_environment(environment or {}).items():
        table.setdefault(section, {})[key] = value
    return settings_from_table(table)


def check_file(path: Path) -> list[SettingsError]:
    """Find every problem in a file, in the order of its lines; each message begins with the file and the line.

    Raises:
        SettingsError: the file cannot be read.
    """
    return _read(path)[1]


def names_setting(path: Path, section: str, key: str) -> bool:
    """Whether a file has a value for a setting, be it the default.

    Raises:
        SettingsError: the file cannot be read.
    """
    table = _read(path)[0].get(section)
    return isinstance(table, dict) and key in table


def as_toml(settings: Settings, *, only: Mapping[str, Any] | None = None) -> str:
    """A TOML file with every setting, its meaning, its allowed values and its default.

    Args:
        settings: settings whose values are written.
        only: keys to write, by section; all others are written as comments. None to write all.
    """
    parts = [
        "# Settings of edge-mcnn. A setting that is missing or commented out has its default value.",
        f"# Each setting can also be set in the environment: {PREFIX}ENDPOINT_HANG_OVER_S=0.8",
        "",
    ]
    for name, kind in sections().items():
        section = getattr(settings, name)
        parts += [f"# {_sentence((kind.__doc__ or '').partition(': ')[2])}", f"[{name}]"]
        for setting in fields(kind):
            default = getattr(kind(), setting.name)
            limits = f"{allowed_values(setting)} {setting.metadata.get('unit', '')}".strip()
            about = f"{setting.metadata['about']} {_sentence(f'{limits}; ' if limits else '')}"
            about += f"{'d' if limits else 'D'}efault {toml_value(default)}."
            wrapped = textwrap.wrap(about, _WIDTH - 2, break_on_hyphens=False)
            parts += [f"# {line}" for line in wrapped]
            written = only is None or setting.name in only.get(name, ())
            parts.append(f"{'' if written else '#'}{setting.name} = {toml_value(getattr(section, setting.name))}")
        parts.append("")
    return "\n".join(parts)


def _read(path: Path) -> tuple[dict[str, Any], list[SettingsError]]:
    """The tables of a file and their problems; no tables if it is not TOML."""
    text = read_text(path, SettingsError, fix="name a settings file", largest=_LARGEST)
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        position = re.search(r" \(at line (\d+), (column \d+)\)", str(error))
        where, column = (f":{position[1]}", f" ({position[2]})") if position else ("", "")
        reason = str(error).replace(position[0] if position else "", "") or "nested too deeply"
        return {}, [SettingsError(f"{path}{where}: not valid TOML: {reason}{column}")]
    lines = dict(_line_numbers(text))
    errors = []
    for problem in problems(table):
        # A key in an inline table is on the line of that table.
        keys = (problem.key[:length] for length in range(len(problem.key), 0, -1))
        line = next((lines[key] for key in keys if key in lines), 0)
        message = f"{path}{f':{line}' if line else ''}: {problem.message}"
        errors.append((line, SettingsError(message, fix=problem.fix)))
    return table, [error for _, error in sorted(errors, key=lambda each: each[0])]


def _line_numbers(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The tables and keys of a TOML file, each with its line from 1 on, which `tomllib` does not report."""
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
    """The values of the variables that are settings, by section and key."""
    known = {
        _variable(section, setting.name): (section, setting)
        for section, kind in sections().items()
        for setting in fields(kind)
    }
    renamed = {_variable(*old): _variable(*new) for old, new in RENAMED.items()}
    values = {}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX):
            continue
        if variable in renamed:
            new = renamed[variable]
            fix = f"merge it into {new}, which is set as well" if new in environment else f"rename it to {new}"
            raise SettingsError(f"{variable} in the environment: it is now called {new}", fix=fix)
        if variable not in known:
            # Compared without the prefix, in which all of them are alike.
            near = get_close_matches(variable.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in known], n=1)
            fix = f"did you mean {PREFIX}{near[0]}?" if near else "see: edge-mcnn settings --show"
            raise SettingsError(f"{variable} in the environment: no such setting", fix=fix)
        section, setting = known[variable]
        value: Any = environment[variable]
        if "check" in setting.metadata or not isinstance(getattr(sections()[section](), setting.name), str):
            with contextlib.suppress(tomllib.TOMLDecodeError):  # it stays a text, which is refused below
                parsed = tomllib.loads(f"value = {value}")
                value = parsed["value"] if len(parsed) == 1 else value
        for problem in problems({section: {setting.name: value}}):
            instead = [f"{_variable(section, key)}={_in_environment(each)}" for key, each in problem.instead.items()]
            fix = f"set {', '.join(instead)}" if instead else problem.fix
            raise SettingsError(f"{variable} in the environment: {problem.message}", fix=fix)
        if any("\ud800" <= letter <= "\udfff" for letter in environment[variable]):
            raise SettingsError(
                f"{variable} in the environment: {shortened(environment[variable])} is not UTF-8",
                fix="use a name in UTF-8, or the option of the command line",
            )
        values[section, setting.name] = value
    return values


def _variable(*key: str) -> str:
    return f"{PREFIX}{'_'.join(key)}".upper()


def _in_environment(value: Any) -> str:
    return value if isinstance(value, str) else toml_value(value)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
