"""The benchmark of the conversion measures a process together with those that it starts."""

import sys

import pytest

from benchmarks.convert_cost import cost

_PARENT_MB, _CHILD_MB = 60, 120
_CODE = f"""
import subprocess, sys, time
own = bytearray({_PARENT_MB} * 10**6)
own[::4096] = b"1" * len(own[::4096])
child = "own = bytearray({_CHILD_MB} * 10**6); own[::4096] = b'1' * len(own[::4096]); sum(range(10**7)); input()"
child = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE)
time.sleep(1)  # longer than the time between two samples
child.communicate(b"end")
"""


def test_a_process_and_its_child() -> None:
    found = cost([sys.executable, "-c", _CODE])
    assert found.wall_s > 1
    assert 0.05 < found.cpu_s < found.wall_s + 1
    assert _CHILD_MB < found.largest_mb < _CHILD_MB + _PARENT_MB
    assert _CHILD_MB + _PARENT_MB < found.together_mb < _CHILD_MB + _PARENT_MB + 100


def test_a_failure() -> None:
    with pytest.raises(RuntimeError, match="no such model"):
        cost([sys.executable, "-c", "raise SystemExit('no such model')"])
