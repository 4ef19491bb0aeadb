"""Changes one value in a settings file; comments, order, spaces and line ends of everything else stay as they are."""

import contextlib
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from device.errors import SettingsError
from device.settings.check import problems
from device.settings.toml import check_file
from device.settings.toml_values import toml_value
from device.system.atomic_write import atomic_write
from device.system.display import displayable
from device.system.paths import cannot_use, error_about, output_problem

_BY_HAND = "change it in an editor"
_MARK = b"\xef\xbb\xbf"
"""Byte order mark, which Windows editors write."""


def require_editable(path: Path) -> None:
    """Check that a settings file has no mistakes and can be written, before work is done whose result it gets.

    Raises:
        SettingsError: the file is missing, damaged or has a value that is not allowed, with its line; or it cannot be
            written.
    """
    for mistake in check_file(path):
        raise mistake
    if problem := output_problem(_target(path)):
        raise error_about(path, problem, SettingsError, fix=_BY_HAND)


def set_value(path: Path, section: str, key: str, value: Any) -> None:
    """Set a value in a settings file, which keeps its permissions, and its target if it is a symbolic link.

    A section that is missing is added at the end. A key that is commented out stays so; the new one is added to its
    section.

    Args:
        path: the file, which must exist.
        section: name of the section, such as `endpoint`.
        key: name of the setting.
        value: a text, a number, a truth value, or a list or table of these.

    Raises:
        SettingsError: the file is damaged, with the line; the value is not allowed there; or the file cannot be
            written. It is unchanged then.
    """
    require_editable(path)
    target = _target(path)
    try:
        content = target.read_bytes()
    except OSError as error:
        raise cannot_use(path, error, SettingsError) from None
    try:
        edited = _edited(content, section, key, value)
    except ValueError as error:
        raise _cannot_edit(path, section, key, value, str(error)) from None
    for problem in problems(tomllib.loads(edited.decode("utf-8-sig"))):
        raise SettingsError(f"{displayable(path)}: {problem.message}", fix=problem.fix)
    _write(path, target, edited)


def _edited(content: bytes, section: str, key: str, value: Any) -> bytes:
    """Return the content with the value.

    Raises:
        ValueError: it cannot be changed without changing something else.
    """
    mark = _MARK if content.startswith(_MARK) else b""
    text = content.removeprefix(_MARK).decode()
    expected = tomllib.loads(text)
    # As TOML reads it back, which has lists where we have tuples.
    expected[section] = {**expected.get(section, {}), key: tomllib.loads(f"value = {toml_value(value)}")["value"]}
    for edited in _candidates(text, section, key, toml_value(value)):
        if _parsed(edited) == expected:
            return mark + edited.encode()
    raise ValueError("another value would change with it")


def _candidates(text: str, section: str, key: str, value: str) -> Iterator[str]:
    """Yield the text with the value in every place where it may belong, the best one first."""
    line_end = "\r\n" if "\r\n" in text else "\n"
    line = f"{key} = {value}"
    table = tomllib.loads(text)
    if section not in table:
        before = text if not text or text.endswith("\n") else f"{text}{line_end}"
        yield f"{before}{line_end if text.strip() else ''}[{section}]{line_end}{line}{line_end}"
    elif key not in table[section]:
        # tomlkit would add it after the comments in front of the next section.
        header = re.search(rf"^[ \t]*\[[ \t]*{re.escape(section)}[ \t]*\][^\n]*(\n|\Z)", text, re.MULTILINE)
        if header is not None:
            end = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, header.end())
            disabled = re.compile(rf"^[ \t]*#[ \t]*{re.escape(key)}[ \t]*=[^\n]*(\n|\Z)", re.MULTILINE)
            found = disabled.search(text, header.end(), end.start() if end else len(text))
            for place in ([found.end()] if found else []) + [header.end()]:
                before = text[:place] if text[:place].endswith("\n") else f"{text[:place]}{line_end}"
                yield f"{before}{line}{line_end}{text[place:]}"
    yield from _with_tomlkit(text, section, key, value)


def _with_tomlkit(text: str, section: str, key: str, value: str) -> Iterator[str]:
    """Yield the text with the value where the key is now, or in an inline table; nothing if tomlkit cannot do it."""
    import tomlkit  # only where a file is changed: commands that change none should not wait for it
    from tomlkit.exceptions import TOMLKitError

    with contextlib.suppress(TOMLKitError, AttributeError, TypeError):
        document: Any = tomlkit.parse(text)
        document[section][key] = tomlkit.parse(f"value = {value}\n")["value"]
        yield tomlkit.dumps(document)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _write(path: Path, target: Path, content: bytes) -> None:
    try:
        before = target.stat()
        with atomic_write(target, mode=stat.S_IMODE(before.st_mode)) as stream:
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(stream.fileno(), before.st_uid, before.st_gid)
                os.fchmod(stream.fileno(), stat.S_IMODE(before.st_mode))  # a change of the owner may remove bits
            stream.write(content)
    except OSError as error:
        raise cannot_use(path, error, SettingsError, fix=_BY_HAND) from None


def _target(path: Path) -> Path:
    """Return the file that a symbolic link leads to: replacing the link itself would leave that file unchanged."""
    return Path(os.path.realpath(path))


def _cannot_edit(path: Path, section: str, key: str, value: Any, reason: str) -> SettingsError:
    return SettingsError(
        f"{displayable(path)}: {section}.{key} cannot be changed here ({reason})",
        fix=f"write {key} = {toml_value(value)} under [{section}] in an editor",
    )
