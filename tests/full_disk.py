"""A disk that is full, for tests: no file may grow beyond a few bytes, whoever writes it, as root or not."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def full_disk(largest: int = 0) -> Iterator[None]:
    """Let writing to a file beyond its first `largest` bytes fail with an `OSError` within the context."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def edge_mcnn_on_full_disk(
    *arguments: str | Path, largest: int = 0, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process whose files, and those of its children, cannot grow beyond `largest` bytes."""
    return subprocess.run(
        [sys.executable, "-c", _LIMITED, str(largest), *map(str, arguments)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
    )  # fmt: skip


_LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from edge_mcnn.main import main
main()
"""
