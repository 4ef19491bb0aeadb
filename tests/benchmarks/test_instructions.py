"""Counting instructions, for a program whose work is known."""

import sys

import pytest

from benchmarks.instructions.counting import count

MARKED = """
import ctypes
mark = ctypes.CDLL(None).sched_get_priority_min
for number, rounds in enumerate((0, 100_000, 200_000)):
    for _ in range(rounds):
        pass
    mark(number)
"""


def test_twice_the_work_takes_twice_the_instructions_in_every_run() -> None:
    found = [count([sys.executable, "-S", "-c", MARKED]) for _ in range(2)]
    for marks in found:
        assert list(marks) == [0, 1, 2]
        assert marks[2] - marks[1] == pytest.approx(2 * (marks[1] - marks[0]), rel=0.05)
    assert found[0][1] - found[0][0] == pytest.approx(found[1][1] - found[1][0], rel=0.01)


def test_a_program_that_fails_is_reported() -> None:
    with pytest.raises(RuntimeError, match="failed under qemu"):
        count([sys.executable, "-S", "-c", "raise SystemExit(3)"])
