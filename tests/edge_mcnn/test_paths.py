"""Every option and argument that takes a path, with every kind of path that cannot be used.

Each is refused with one message and a fix, at once: no traceback, no wait, no work that is lost.
"""

import inspect
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from device.bundle import DEFAULT_BUNDLE
from device.errors import EdgeMcnnError
from edge_mcnn.main import COMMANDS, app, imported_command
from edge_mcnn.paths import Parser, model_file, reported_model
from tests.ordinary_user import ordinary_user as ordinary_user
from tests.ordinary_user import tmp_path as tmp_path

_READS_FILE, _READS_FOLDER, _READS_EITHER = "reads a file", "reads a folder", "reads a file or a folder"
_WRITES_FILE, _WRITES_FOLDER, _WRITES_EITHER = "writes a file", "writes a folder", "writes a file or a folder"
_READS_OR_MAKES = "reads a folder, or makes it"
_OPENS_SOCKET = "opens a socket"
_EACH_ALONE = "reports each file by itself, because the others, or the other checks, are of interest"

_KINDS = {
    "config": _READS_FILE, "check": _READS_FILE, "vgg19_weights": _READS_FILE, "card": _READS_FILE,
    "vocabulary": _READS_FILE, "prompts": _READS_FILE, "model": _READS_FILE, "base": _READS_FILE,
    "profile": _READS_FILE,
    "convert model": _READS_EITHER, "corpus": _READS_EITHER, "calibrate": _READS_EITHER, "source": _READS_EITHER,
    "meld": _READS_FOLDER, "audio_root": _READS_FOLDER,
    "folder": _WRITES_FOLDER, "pictures": _READS_OR_MAKES, "pictures output": _WRITES_FOLDER,
    "tensorboard": _WRITES_FOLDER,
    "evaluate output": _WRITES_FOLDER, "output": _WRITES_FILE, "svg": _WRITES_FILE, "convert output": _WRITES_EITHER,
    "export": _WRITES_FILE, "path": _READS_FILE, "import_": _READS_FILE, "learn recordings": _READS_EITHER,
    "socket": _OPENS_SOCKET, "recordings": _EACH_ALONE, "doctor model": _EACH_ALONE, "doctor config": _EACH_ALONE,
}  # fmt: skip
"""What a parameter does with its path, by its name, or by its command and its name."""
_TEXT_FILES = ("config", "check", "card", "prompts", "vocabulary", "corpus", "calibrate")
"""Files that are read once from the beginning to the end, so that a pipe will do."""


@dataclass(frozen=True)
class PathParameter:
    """An option or argument that takes a path."""

    command: tuple[str, ...]
    name: str
    option: str
    """As it is typed; empty for an argument."""
    kind: str

    def __str__(self) -> str:
        return f"{' '.join(self.command)} {self.option or self.name}"


def _path_parameters(commands: typer.Typer, above: tuple[str, ...] = ()) -> Iterator[PathParameter]:
    """Find the parameters in the functions of the commands, so that a new one cannot be forgotten here."""
    for each in commands.registered_commands:
        assert each.callback is not None
        command = (*above, each.name or each.callback.__name__)
        hints = get_type_hints(each.callback, include_extras=True)
        for name in inspect.signature(each.callback).parameters:
            if name != "front_end" and "pathlib.Path" in str(getattr(hints[name], "__origin__", hints[name])):
                info = hints[name].__metadata__[0]
                option = "" if isinstance(info, typer.models.ArgumentInfo) else f"--{name.replace('_', '-')}"
                declared = [info.default, *(info.param_decls or ())]
                option = next((str(text) for text in declared if str(text).startswith("--")), option)
                kind = _KINDS.get(f"{command[-1]} {name}") or _KINDS[name]
                yield PathParameter(command, name, option, kind)
    for group in commands.registered_groups:
        assert group.typer_instance is not None
        yield from _path_parameters(group.typer_instance, (*above, str(group.name)))


def _all_commands() -> typer.Typer:
    commands = typer.Typer()
    for name in COMMANDS:
        command = imported_command(name)
        if isinstance(command, typer.Typer):
            commands.add_typer(command, name=name)
        else:
            commands.command(name)(command)
    return commands


_PARAMETERS = list(_path_parameters(_all_commands()))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with every kind of path in it."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "unreadable").touch(mode=0)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "file").write_text("x")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "read-only").mkdir(mode=0o555)
    (tmp_path / "table.csv").write_text(
        "audio,text,label,split\n,one two,a,train\n,two three,b,train\n,one,a,validation\n,three,b,validation\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield tmp_path
    (tmp_path / "closed").chmod(0o700)


_NEVER = {
    "": "empty", "closed/file": "may not enter the folder", "closed/deep/file": "may not enter the folder",
    "a" * 300: "too long", "a/" * 3000: "too long", "loop": "leads back to itself", "file/below": "is a file",
    "nul\0": "NUL", "\x1b[31m" + "a" * 300: "too long", "caf\udce9" + "a" * 300: "too long",
}  # fmt: skip
"""Paths that nothing can be done with, and words of the message."""
_NOT_READABLE = {
    **_NEVER, "none": "no such file", "none/file": "no such file", "dangling": "does not exist",
    "caf\udce9": "no such file", "[/red]": "no such file",
}  # fmt: skip
_NOT_WRITABLE = {
    **_NEVER, "read-only/file": "may not write to the folder", "read-only/new/file": "may not write to the folder",
    "dangling/new": "does not exist",
}  # fmt: skip
_UNUSABLE = {
    _READS_FILE: {**_NOT_READABLE, "folder": "is a folder", "unreadable": "may not read", ".": "is a folder"},
    _READS_FOLDER: {**_NOT_READABLE, "file": "is a file", "pipe": "is a file"},
    _READS_EITHER: {**_NOT_READABLE, "unreadable": "may not read"},
    _WRITES_FILE: {**_NOT_WRITABLE, "folder": "is a folder", "pipe": "not a regular file"},
    _WRITES_FOLDER: {**_NOT_WRITABLE, "file": "is a file", "read-only": "may not write to the folder"},
    _READS_OR_MAKES: {**_NOT_WRITABLE, "file": "is a file", "closed": "may not enter the folder"},
    _WRITES_EITHER: {**_NOT_WRITABLE, "pipe": "not a regular file"},
    _OPENS_SOCKET: {**_NEVER, "none": "no daemon", "file": ""},
    _EACH_ALONE: {},
}  # fmt: skip
_CASES = [
    pytest.param(parameter, path, words, id=f"{parameter}: {path[:20]!a}")
    for parameter in _PARAMETERS
    for path, words in {
        **_UNUSABLE[parameter.kind],
        **({} if parameter.name in _TEXT_FILES or "reads a file" not in parameter.kind else {"pipe": "is a pipe"}),
    }.items()
]


@pytest.mark.parametrize("parser", [model_file(), reported_model()])
def test_the_name_of_a_model_that_ships_is_a_name_unless_it_is_written_as_a_path(parser: Parser, here: Path) -> None:
    (here / "emotions").write_text("another model")
    assert parser("emotions") == Path("emotions")
    assert parser("./emotions") == here / "emotions"
    assert parser(str(here / "emotions")) == here / "emotions"
    assert parser("file") == Path("file")


def test_every_kind_is_used() -> None:
    assert {parameter.kind for parameter in _PARAMETERS} == set(_UNUSABLE)
    assert len(_PARAMETERS) > 45


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if a command loads what takes seconds, before it has refused the path."""

    class _Guard(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{self.__name__} was used before the path was refused")

    for name in ("tensorflow", "tf_keras", "vosk", "sounddevice"):
        if name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, _Guard(name))


def _command_line(parameter: PathParameter, path: str) -> list[str]:
    """The command with this path, and good values for all else that it requires."""
    given = [parameter.option, path] if parameter.option else [path]
    required = {
        "train": ["table.csv"], "evaluate": [str(DEFAULT_BUNDLE), "table.csv"], "convert": ["file"],
        "transcribe": ["table.csv"], "pictures": ["table.csv"], "record": ["clips", "--classes", "a,b"],
        "classify": ["file"], "set": ["positive"],
    }.get(parameter.command[-1], [])  # fmt: skip
    outputs = {"transcribe": ["--output", "new.csv"], "pictures": ["--output", "new"], "settings": []}
    if parameter.option:
        given = [*required, *given]
    elif parameter.command[-1] == "evaluate" and parameter.name == "corpus":
        given = [str(DEFAULT_BUNDLE), path]
    elif parameter.command[-1] == "evaluate":
        given = [path, "table.csv"]
    if parameter.name == "meld" and "table.csv" in given:
        given.remove("table.csv")
    if parameter.name != "output":
        given += outputs.get(parameter.command[-1], [])
    if parameter.name == "config" and parameter.command == ("settings",):
        given += ["--show"]
    if parameter.name == "audio_root" and parameter.command == ("convert",):
        given += ["--calibrate", "table.csv"]
    return [*parameter.command, *given]


@pytest.mark.usefixtures("here", "no_work", "ordinary_user")
@pytest.mark.parametrize(("parameter", "path", "words"), _CASES)
def test_the_path_is_refused_at_once(parameter: PathParameter, path: str, words: str) -> None:
    result = CliRunner().invoke(app, _command_line(parameter, path), env={"COLUMNS": "300"})
    assert isinstance(result.exception, EdgeMcnnError), (result.output, result.exception)
    assert words in result.exception.message
    assert result.exception.fix
    assert "Traceback" not in result.output
