"""Everything that README and docs invite users to type exists: commands with options, modules, make targets, files."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from edge_mcnn.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def code(page: Path) -> Iterator[str]:
    """Yield the lines of code blocks, and the code in the text between backquotes, joined over line ends."""
    text = page.read_text("utf-8")
    blocks = r"^```[a-z]*\n(.*?)^```"
    for block in re.findall(blocks, text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    for part in re.findall(r"`([^`]+)`", re.sub(blocks, "", text, flags=re.MULTILINE | re.DOTALL)):
        yield " ".join(part.split())


def typed(page: Path, start: str) -> list[list[str]]:
    """Return the words after `start` for each line of code that begins with it."""
    matches = (re.match(rf"(?:# |sudo )?(?:\.venv/bin/)?{start} (.+)", line.split(" #")[0]) for line in code(page))
    return [shlex.split(each[1].replace("\\|", "|")) for each in matches if each]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options(page: Path) -> None:
    for words in typed(page, "edge-mcnn"):
        command: Any = typer.main.get_command(app)
        options = options_of(command)
        for word in words:
            alternatives = word.split("|")
            if word.startswith("-") and word != "-":  # that one is a file
                assert set(alternatives) <= options, words
            elif commands := getattr(command, "commands", {}):  # of a command group
                assert set(alternatives) <= set(commands), words
                command = commands[alternatives[0]]
                options |= options_of(command)


def options_of(command: Any) -> set[str]:
    return {"--help", *(each for parameter in command.params for each in (*parameter.opts, *parameter.secondary_opts))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_targets_and_files(page: Path) -> None:
    for module, *_ in typed(page, "python -m"):
        assert importlib.util.find_spec(module), module
    for script, *_ in typed(page, "python"):
        assert script == "-m" or (ROOT / script).is_file(), script
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target, *_ in typed(page, "make"):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link
