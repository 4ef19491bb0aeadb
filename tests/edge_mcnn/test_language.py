"""Texts that people read use plain technical English: a word of the list below has a plainer or more exact one.

The list is the left column of the project's style guide. Help texts are always scanned; `SCANNED` names the rest.
"""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from edge_mcnn.main import app

ROOT = Path(__file__).parents[2]
SCANNED = [
    "edge_mcnn",
    "device",
    "convert",
    "training",
    "benchmarks",
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "docs",
]
"""Packages, whose strings, docstrings, comments and identifiers are scanned, and pages such as `docs/*.md`."""

_UNWANTED = {
    r"mend(s|ed|ing)?": "fix",
    r"tells|telling|told": "print, report, log, message",
    r"says|saying|said": "print, report, message",
    r"hears?|hearing|heard": "detect, transcribe, receive, listen",
    r"ears?": "microphone",
    r"ask(s|ed|ing)": "evaluate, query, request, prompt",
    r"prov(e|es|ed|en|ing)|proofs?": "verify, check",
    r"pictures?": "spectrogram image",
    r"unsure": "low confidence",
    r"made-up": "synthetic",
    r"garbl(e|es|ed|ing)": "corrupted",
    r"anew": "again",
    r"kept": "cached, stored, saved",
    r"wants": "needs, requires, accepts",
    r"bears?": "tolerates",
    r"whole (file|path|folder|table|model|process|tree|corpus)": "complete, absolute",
    r"for ever": "without end, until ...",
    r"in haste|at leisure": "urgent, relaxed",
    r"lets? go of": "release",
    r"whoever": "the user",
    r"does not know of": "is independent of",
    r"see to it": "make sure",
}
_PUBLIC_NAMES = {"picture", "pictures", "pictures_command", "picture_height", "picture_width", "unsure", ".heard.jsonl"}
"""The command and the option `pictures`, keys of existing `front_end.json` files and image caches, the former name of a
setting, which is refused with its present name, and that of a transcription's journal, which is still read."""

Finding = tuple[str, str]


def unwanted(text: str) -> list[str]:
    """Return the unwanted words of a text with what to write instead, without those in names of commands and keys."""
    if text in _PUBLIC_NAMES:
        return []
    text = re.sub(rf"(--|edge-mcnn |`)({'|'.join(_PUBLIC_NAMES)})\b", "", " ".join(text.split()))
    return [
        f"{found[0]!r} (write {better})"
        for pattern, better in _UNWANTED.items()
        for found in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
    ]


def help_texts(command: Any, path: str) -> Iterator[Finding]:
    """Yield the help of a command, of its options, and of its subcommands, each with where it stands."""
    yield path, command.help or ""
    for parameter in command.params:
        yield f"{path} {parameter.opts[0]}", f"{getattr(parameter, 'help', '') or ''} {parameter.metavar or ''}"
    for name, each in getattr(command, "commands", {}).items():
        yield from help_texts(each, f"{path} {name}")


def source_texts(path: Path) -> Iterator[Finding]:
    """Yield strings, docstrings, comments and identifiers of a module, each with its line."""
    where = path.relative_to(ROOT)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield f"{where}:{node.lineno}", node.value
    with tokenize.open(path) as stream:
        for token in tokenize.generate_tokens(stream.readline):
            if token.type == tokenize.COMMENT:
                yield f"{where}:{token.start[0]}", token.string
            elif token.type == tokenize.NAME and token.string not in _PUBLIC_NAMES:
                yield f"{where}:{token.start[0]}", re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", token.string)


def texts_of(scanned: str) -> Iterator[Finding]:
    """Yield the texts of a package or of pages; code between backquotes in a page consists of names, not of words."""
    for path in sorted(ROOT.glob(scanned)):
        if path.is_dir():
            for module in sorted(path.rglob("*.py")):
                yield from source_texts(module)
        else:
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                yield f"{path.relative_to(ROOT)}:{number}", re.sub(r"`[^`]*`", "", line)


def problems(texts: Iterator[Finding]) -> list[str]:
    return [f"{where}: {word}" for where, text in texts for word in unwanted(text)]


def test_help_texts() -> None:
    assert problems(help_texts(typer.main.get_command(app), "edge-mcnn")) == []


@pytest.mark.parametrize("scanned", SCANNED)
def test_packages_and_pages(scanned: str) -> None:
    assert problems(texts_of(scanned)) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("what the device Heard", ["'Heard'"]),
        ("run `edge-mcnn pictures`, then --pictures FOLDER", []),
        ("a picture\nof made-up sound", ["'picture'", "'made-up'"]),
        ("heather asked", ["'asked'"]),
    ],
)
def test_unwanted_words_are_found(text: str, words: list[str]) -> None:
    assert [each.partition(" (")[0] for each in unwanted(text)] == words


def test_every_text_of_a_module_is_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.edge_mcnn.test_language.ROOT", tmp_path)
    (tmp_path / "a.py").write_text('"""Doc it heard."""\n# whoever\nwhat_was_told = f"{1} said"\nclass SomeEars: ...\n')
    assert sorted(line.partition(" (")[0] for line in problems(source_texts(tmp_path / "a.py"))) == [
        "a.py:1: 'heard'", "a.py:2: 'whoever'", "a.py:3: 'said'", "a.py:3: 'told'", "a.py:4: 'Ears'",
    ]  # fmt: skip
