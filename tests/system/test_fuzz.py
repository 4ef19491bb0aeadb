"""A sample of what `make soak` does at length."""

import pytest

from tests.system.fuzz import TARGETS, fuzz


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_the_documented_errors(target: str) -> None:
    outcome = fuzz(target, 300)
    if target != "status visitors":  # what they say does not matter
        assert outcome.refused.total() > 30, "the inputs are too tame"
