"""Runs `edge-mcnn` as a process, and checks how it refuses."""

import os
import subprocess
import sys
from pathlib import Path

_WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root without the capabilities by which it may read any file."""


def edge_mcnn(
    *arguments: str | Path, environment: dict[str, str] | None = None, without_privileges: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with lines of up to 100 characters.

    Args:
        arguments: arguments of the command line.
        environment: environment variables beside those of this process.
        without_privileges: whether permissions of files hold, even for root.
    """
    prefix = _WITHOUT_PRIVILEGES if without_privileges and os.geteuid() == 0 else ()
    return subprocess.run(
        [*prefix, sys.executable, "-m", "edge_mcnn", *arguments], capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "COLUMNS": "100", **(environment or {})},
    )  # fmt: skip


def assert_refused(done: subprocess.CompletedProcess[str], *expected: str, status: int = 1) -> None:
    """Check that the process printed one message, and nothing below it but the fix, and that both contain all texts.

    Args:
        done: the finished process.
        expected: parts of the message or the fix.
        status: exit status of the process.
    """
    assert done.returncode == status, done
    message, *fix = done.stderr.splitlines()
    assert message.startswith("edge-mcnn: "), done.stderr
    assert len(fix) <= 1, done.stderr
    assert all(line.startswith("  fix: ") for line in fix), done.stderr
    for text in expected:
        assert text in done.stderr
