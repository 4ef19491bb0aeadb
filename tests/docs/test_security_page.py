"""Each row of docs/security.md names code and tests that exist."""

import re
from pathlib import Path

import pytest

from tests.docs.test_tutorial_page import assert_exist

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text("utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| attack |", "| ---"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_code_and_tests_exist(row: tuple[str, ...]) -> None:
    attack, answer, code, tests = row
    assert attack.endswith(".")
    assert answer.endswith(".")
    assert_exist(code)
    assert_exist(tests)
    assert all(name.startswith("tests/") and "::test_" in name for name in re.findall(r"`([^`]+)`", tests))


def test_every_kind_of_attack_has_a_row() -> None:
    text = " ".join(row[0] for row in ROWS)
    for word in ("password", "session", "form", "DNS rebinding", "frame", "HTML", "path", "connections", "error"):
        assert word in text, word
