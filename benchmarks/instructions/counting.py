"""Counts the instructions that a program executes.

QEMU emulates the same processor on every machine of an architecture, so the count depends on the program and its
libraries alone, however busy the machine is. See counter.c for how a program marks what is to be counted.
"""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_EMULATOR, _COMPILER = f"qemu-{platform.machine()}", "gcc"
_MARK = re.compile(r"^mark (\d+) (\d+)$", re.MULTILINE)


def can_count() -> bool:
    """Whether this machine has what is needed: qemu-user and gcc."""
    return all(map(shutil.which, (_EMULATOR, _COMPILER)))


def count(command: Sequence[str]) -> dict[int, int]:
    """Run a program under the emulator.

    Args:
        command: the path of a program of this architecture, and its arguments; of its threads only one may be busy at
            a time.

    Returns:
        The number of instructions from the start to each mark, by the number of the mark.

    Raises:
        RuntimeError: the program failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        plugin = Path(folder) / "counter.so"
        source = Path(__file__).with_name("counter.c")
        subprocess.run([_COMPILER, "-shared", "-fPIC", "-O2", "-o", str(plugin), str(source)], check=True)
        result = subprocess.run(
            [_EMULATOR, "-cpu", "max", "-plugin", str(plugin), *command],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed under {_EMULATOR}: {result.stderr[-2000:]}")
    return {int(number): int(executed) for number, executed in _MARK.findall(result.stderr)}
