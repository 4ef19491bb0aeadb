"""The benchmark of the conversion measures a process together with those that it starts."""

import sys
from pathlib import Path

import pytest

from benchmarks import convert_cost
from benchmarks.convert_cost import cost

_PARENT_MB, _CHILD_MB = 60, 120
_CODE = f"""
import subprocess, sys
def hold(size_mb):
    own = bytearray(size_mb * 10**6)
    own[::4096] = b"1" * len(own[::4096])
    sum(range(10**7))
    return own
if sys.argv[1:]:
    own = hold({_CHILD_MB})
    sys.stdin.read()
else:
    own = hold({_PARENT_MB})
    child = subprocess.Popen([sys.executable, "-c", CODE, "child"], stdin=subprocess.PIPE)
    sys.stdin.read()
    child.communicate()
"""


def test_a_process_and_its_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"CODE = {_CODE!r}\nexec(CODE)"
    measured = tmp_path / "measured"
    tree_mb = convert_cost._tree_mb

    def measure(root: int) -> float:
        found = tree_mb(root)
        if found > _PARENT_MB + _CHILD_MB:
            measured.touch()
        return found

    monkeypatch.setattr(convert_cost, "_tree_mb", measure)
    # It ends when both have been measured together, however long that takes.
    command = f'until [ -e "{measured}" ]; do sleep 0.05; done | "$0" -c "$1"'
    found = cost(["sh", "-c", command, sys.executable, code])
    assert found.cpu_s > 0.05
    assert _CHILD_MB < found.largest_mb < _CHILD_MB + _PARENT_MB
    assert _CHILD_MB + _PARENT_MB < found.together_mb < _CHILD_MB + _PARENT_MB + 100


def test_a_failure() -> None:
    with pytest.raises(RuntimeError, match="no such model"):
        cost([sys.executable, "-c", "raise SystemExit('no such model')"])
