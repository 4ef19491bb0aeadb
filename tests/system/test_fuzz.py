"""A sample of what `make soak` does at length."""

from pathlib import Path

import pytest

from tests.system.fuzz import fuzz
from tests.system.fuzz_targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_the_documented_errors(target: str) -> None:
    outcome = fuzz(target, 300)
    if target != "status visitors":  # what they say does not matter
        assert outcome.refused.total() > 30, "the inputs are too tame"


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_inputs_are_made_from_is_read(target: str, tmp_path: Path) -> None:
    for number, seed in enumerate(TARGETS[target].seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        TARGETS[target].feed(seed, folder)
