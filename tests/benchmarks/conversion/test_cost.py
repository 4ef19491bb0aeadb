"""The benchmark of the conversion measures a process together with those that it starts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.conversion.cost import cost

_PARENT_MB, _CHILD_MB = 60, 120
_HOLD = f"""
import subprocess, sys
is_child = bool(sys.argv[1:])
own = bytearray(({_CHILD_MB} if is_child else {_PARENT_MB}) * 10**6)
own[::4096] = b"1" * len(own[::4096])
sum(range(10**7))
if not is_child:
    child = subprocess.Popen([sys.executable, "-c", HOLD, "child"], stdin=subprocess.PIPE)
sys.stdin.read()
if not is_child:
    child.communicate()
"""
# In a process of its own: the kernel reports at least the memory of the process that starts another one.
_MEASURE = f"""
import json, sys
from dataclasses import asdict
from pathlib import Path
from benchmarks.conversion import cost
tree_mb = cost._tree_mb
def measure(root):
    found = tree_mb(root)
    if found > {_PARENT_MB + _CHILD_MB}:
        Path(sys.argv[1]).touch()
    return found
cost._tree_mb = measure
# It ends when both have been measured together, however long that takes.
until = 'until [ -e "$1" ]; do sleep 0.05; done | "$0" -c "$2"'
code = {f"HOLD = {_HOLD!r}; exec(HOLD)"!r}
print(json.dumps(asdict(cost.cost(["sh", "-c", until, sys.executable, sys.argv[1], code]))))
"""


def test_a_process_and_its_child(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _MEASURE, str(tmp_path / "measured")]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["cpu_s"] > 0.05
    assert _CHILD_MB < found["largest_mb"] < _CHILD_MB + _PARENT_MB
    assert _CHILD_MB + _PARENT_MB < found["together_mb"] < _CHILD_MB + _PARENT_MB + 100


def test_a_failure() -> None:
    with pytest.raises(RuntimeError, match="no such model"):
        cost([sys.executable, "-c", "raise SystemExit('no such model')"])
