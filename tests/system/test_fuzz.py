"""A short run of the fuzz tests of `make soak`."""

from pathlib import Path

import pytest

from tests.system.fuzz import fuzz
from tests.system.fuzz_targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_only_the_documented_errors(target: str) -> None:
    outcome = fuzz(target, 300)
    if target != "status clients":  # the server ignores what they send
        assert outcome.refused.total() > 30, "the inputs are not damaged enough"


@pytest.mark.parametrize("target", TARGETS)
def test_the_valid_inputs_are_read(target: str, tmp_path: Path) -> None:
    for number, seed in enumerate(TARGETS[target].seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        TARGETS[target].feed(seed, folder)
