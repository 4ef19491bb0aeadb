"""Each row of docs/tutorial.md names code and tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADER = ("the tutorial", "here", "code", "test")


def rows() -> list[tuple[str, ...]]:
    """Return the cells of all rows of all tables."""
    lines = (ROOT / "docs/tutorial.md").read_text("utf-8").splitlines()
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    return [row for row in cells if row != HEADER and set("".join(row)) != {"-"}]


def names_in(file: Path) -> set[str]:
    """Return the names that a module defines at its top level, and the methods of its classes as `Class.method`."""
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def assert_exist(cell: str) -> None:
    assert re.fullmatch(r"(`[^`]+` ?)+", cell), cell
    for reference in re.findall(r"`([^`]+)`", cell):
        file, _, name = reference.partition("::")
        assert (ROOT / file).is_file(), reference
        assert name in names_in(ROOT / file), reference


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_code_and_tests_exist(row: tuple[str, ...]) -> None:
    statement, here, code, tests = row
    assert statement.endswith(".")
    assert re.search(r"\w", here)
    assert_exist(code)
    assert_exist(tests)
    assert all(name.startswith("tests/") and "::test_" in name for name in re.findall(r"`([^`]+)`", tests))


def test_every_part_of_the_text_has_rows() -> None:
    """From the classes to the live use; a sign that no table was lost while editing."""
    text = " ".join(row[0] for row in rows())
    for word in (
        "microphone", "mel spectrogram", "split into training, validation and test", "loop", "librosa", "label of each",
        "ID column", "vector of numbers", "generator", "64 x 64", "VGG19", "Dense 32", "SpatialDropout1D",
        "Common layers", "Adam", "13 epochs", "Steps per epoch", "fit", "evaluated on the validation set", "Model.h5",
        "labels are saved", "live use",
    ):  # fmt: skip
        assert word in text, word
