"""Processes that are killed while they write; `python -m tests.device.history.kills` kills more of them."""

from pathlib import Path

import pytest

from tests.device.history.kills import kill_repeatedly

pytestmark = pytest.mark.slow


def test_nothing_that_was_confirmed_is_lost(tmp_path: Path) -> None:
    outcome = kill_repeatedly(10, tmp_path)
    assert outcome.kills == 10
    assert outcome.added > 50
    assert outcome.corrected > 10
