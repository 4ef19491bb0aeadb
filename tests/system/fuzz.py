"""Damaged and hostile input for everything that the device reads: nothing may come of it but the documented errors.

    python -m tests.system.fuzz [COUNT [TARGET]]

feeds COUNT inputs to each target, or to one. An input is a good one that was changed: bits, bytes, whole stretches,
numbers at their limits, cut short, or spliced with another. The same COUNT gives the same inputs.
"""

import contextlib
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.system.fuzz_targets import TARGETS

_SLOWEST_S = 20.0
_LIMITS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF]


def changed(content: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Another input, made from a good one."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 6))):
        # Half of all changes are near the start, where headers are.
        reach = len(data) if random.random() < 0.5 else min(len(data), 200)
        at = int(random.integers(0, reach + 1)) if reach else 0
        kind = int(random.integers(0, 8))
        length = int(random.integers(1, 1 + min(64, max(1, len(data)))))
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << int(random.integers(8))
        elif kind == 1:
            data[at : at + length] = random.bytes(length)
        elif kind == 2:
            data[at:at] = random.bytes(length)
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            size = int(random.choice([1, 2, 4, 8]))
            limit = _LIMITS[int(random.integers(len(_LIMITS)))] & ((1 << (8 * size)) - 1)
            data[at : at + size] = limit.to_bytes(size, "little" if random.random() < 0.7 else "big")
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            start = int(random.integers(0, len(other) + 1))
            data[at : at + length] = other[start : start + length]
        else:
            data[at:at] = data[at : at + length] * int(random.integers(1, 20))
    return bytes(data)


@dataclass
class Outcome:
    """What came of a target's inputs."""

    count: int
    read: int
    """How many were read as if nothing were wrong with them."""
    refused: Counter[str]
    """How many were refused, by the first words of the error without its place."""
    slowest_s: float


def fuzz(name: str, count: int) -> Outcome:
    """Feed a target.

    Raises:
        AssertionError: something else came of an input than the documented error, in one line; the input is kept.
    """
    target = TARGETS[name]
    seeds = target.seeds()
    random = np.random.default_rng(count)
    outcome = Outcome(count, 0, Counter(), 0.0)
    for _ in range(count):
        seed, other = (seeds[int(random.integers(len(seeds)))] for _ in range(2))
        content = changed(seed, other, random)
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder, _kept(name, content):
            began = time.monotonic()
            try:
                target.feed(content, Path(folder))
                outcome.read += 1
            except target.documented as error:
                told = str(error)
                assert told, "an error that says nothing"
                assert "Traceback" not in told
                outcome.refused[" ".join(told.replace(folder, "").split()[1:5])] += 1
            took = time.monotonic() - began
            outcome.slowest_s = max(outcome.slowest_s, took)
            assert took < _SLOWEST_S, f"it took {took:.0f} s"
    return outcome


@contextlib.contextmanager
def _kept(name: str, content: bytes) -> Iterator[None]:
    """Keep the input if anything goes wrong with it."""
    try:
        yield
    except Exception as error:
        kept = Path(tempfile.gettempdir()) / f"edge-mcnn-fuzz-{name.replace(' ', '-')}"
        kept.write_bytes(content)
        raise AssertionError(f"{name}: {type(error).__name__}: {error}; the input is in {kept}") from error


def _main(count: int, *names: str) -> None:
    warnings.simplefilter("error")
    for name in names or TARGETS:
        began = time.monotonic()
        outcome = fuzz(name, count)
        refused = outcome.refused.total()
        print(
            f"{name}: {outcome.count} inputs in {time.monotonic() - began:.0f} s, {outcome.read} read, {refused} "
            f"refused in {len(outcome.refused)} ways, the slowest {outcome.slowest_s:.2f} s; nothing else came of them",
            flush=True,
        )


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, *sys.argv[2:])
