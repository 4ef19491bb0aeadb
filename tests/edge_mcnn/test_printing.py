"""Only a few modules may print, because foreign text must become displayable before it reaches a terminal."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent.parent
_PACKAGES = ("edge_mcnn", "device", "convert", "training")
_MAY_PRINT = {
    "edge_mcnn/output.py": "prints the results of commands, made displayable",
    "device/system/streams/stderr.py": "prints notes to standard error, made displayable, and redirects the stream",
    "convert/subprocess_job.py": "reports to the parent process, which never shows the lines themselves",
    "device/benchmark/cold_start.py": "reports to the parent process in JSON",
}
_MAY_CONSTRUCT_CONSOLES = {"device/system/streams/console.py": "defines the console that interprets no markup"}
_COMMAND = re.compile(r"(chmod|chown|edge-mcnn (convert|evaluate|inspect|pictures|train|transcribe)) (-\S+ |\S+ )?$")
"""Text that ends where a command in a message names its file."""
_STREAMS = ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__")


def _modules() -> list[Path]:
    return sorted(path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py"))


def _faults(path: Path) -> Iterator[str]:
    """What a module does that only `device.system.display` and its users may do, with the line."""
    name = path.relative_to(_ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        place = f"{name}:{getattr(node, 'lineno', 0)}"
        if name not in _MAY_PRINT:
            if isinstance(node, ast.Name) and node.id == "print":
                yield f"{place} uses print"
            if isinstance(node, ast.Attribute) and node.attr == "write" and ast.unparse(node.value) in _STREAMS:
                yield f"{place} writes to a standard stream"
        if isinstance(node, ast.Call) and name not in _MAY_CONSTRUCT_CONSOLES:
            called = ast.unparse(node.func).rpartition(".")[2]
            keywords = {each.arg: ast.unparse(each.value) for each in node.keywords}
            if called == "Console":
                yield f"{place} makes a rich console that interprets markup"
            if keywords.get("markup") == "True" or called in ("from_markup", "Panel", "Spinner"):
                yield f"{place} interprets markup"
            if called == "TextColumn" and keywords.get("markup") != "False":
                yield f"{place} interprets markup in a progress bar"
            if called == "echo":
                yield f"{place} uses echo"
        if isinstance(node, ast.JoinedStr):
            yield from (f"{place} names {file} in a command without quoting it" for file in _unquoted(node))


def _unquoted(text: ast.JoinedStr) -> Iterator[str]:
    """The values in an f-string that stand where a shell command names a file, and are not quoted for a shell."""
    before = ""
    for part in text.values:
        if isinstance(part, ast.Constant):
            before = str(part.value)
        elif isinstance(part, ast.FormattedValue):
            value = ast.unparse(part.value)
            if _COMMAND.search(before) and not value.startswith("shell_quoted("):
                yield value
            before = ""


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(_ROOT).as_posix())
def test_nothing_else_prints_and_commands_quote_their_files(path: Path) -> None:
    assert list(_faults(path)) == []


def test_the_exceptions_exist() -> None:
    for name in (*_MAY_PRINT, *_MAY_CONSTRUCT_CONSOLES):
        assert (_ROOT / name).is_file()


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "call(announce=print)",
        "import sys; sys.stderr.write('x')",
        "from rich.console import Console; Console()",
        "import rich.console; rich.console.Console(markup=False)",
        "console.print('x', markup=True)",
        "Text.from_markup('x')",
        "TextColumn('{task.description}')",
        "typer.echo('x')",
        "f'run: sudo chmod a+r {path}'",
        "f'next: edge-mcnn train {displayable(output)} --text vosk'",
    ],
)
def test_the_check_finds_faults(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}._ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_text(source)
    assert list(_faults(module))
