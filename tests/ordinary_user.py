"""A user who is not root, because root may enter, read and write everything. Import both fixtures."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_NOBODY = 65534


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """An empty folder outside pytest's own, which every start of pytest closes to other users."""
    with tempfile.TemporaryDirectory(prefix="ordinary-user-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[None]:
    """Continue a test that root runs as a user who owns `tmp_path` and nothing else.

    The user may not be able to read Python's own modules: import what the test needs before.
    """
    if os.geteuid() != 0:
        yield
        return
    os.chown(tmp_path, _NOBODY, _NOBODY)
    os.setegid(_NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
