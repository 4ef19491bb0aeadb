"""Feeds damaged and hostile input to everything that the device reads; only the documented errors may result.

    python -m tests.system.fuzz [COUNT [TARGET]]

feeds COUNT inputs to each target, or to one. An input is a valid one with random changes: flipped bits, replaced,
inserted or removed bytes, numbers at their limits, a cut end, or a splice with another input. The same COUNT gives the
same inputs.
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


def mutate(content: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Make a new input from a valid one.

    Args:
        content: the valid input.
        other: another valid input, to splice from.
        random: the source of randomness.
    """
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
    """The results of the inputs of one target."""

    count: int
    """Number of inputs."""
    read: int
    """Number of inputs that were read without an error."""
    refused: Counter[str]
    """Number of inputs that were refused, by the first words of the error after its place."""
    slowest_s: float
    """Longest time for one input, seconds."""


def fuzz(name: str, count: int) -> Outcome:
    """Feed random inputs to a target.

    Raises:
        AssertionError: an input resulted in something other than the documented error; the input is saved.
    """
    target = TARGETS[name]
    seeds = target.seeds()
    random = np.random.default_rng(count)
    outcome = Outcome(count, 0, Counter(), 0.0)
    for _ in range(count):
        seed, other = (seeds[int(random.integers(len(seeds)))] for _ in range(2))
        content = mutate(seed, other, random)
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder, _saved_on_failure(name, content):
            started = time.monotonic()
            try:
                target.feed(content, Path(folder))
                outcome.read += 1
            except target.documented as error:
                message = str(error)
                assert message, "an error without a message"
                assert "Traceback" not in message
                outcome.refused[" ".join(message.replace(folder, "").split()[1:5])] += 1
            took = time.monotonic() - started
            outcome.slowest_s = max(outcome.slowest_s, took)
            assert took < _SLOWEST_S, f"it took {took:.0f} s"
    return outcome


@contextlib.contextmanager
def _saved_on_failure(name: str, content: bytes) -> Iterator[None]:
    """Save the input if anything fails."""
    try:
        yield
    except Exception as error:
        path = Path(tempfile.gettempdir()) / f"edge-mcnn-fuzz-{name.replace(' ', '-')}"
        path.write_bytes(content)
        raise AssertionError(f"{name}: {type(error).__name__}: {error}; the input is in {path}") from error


def _main(count: int, *names: str) -> None:
    warnings.simplefilter("error")
    for name in names or TARGETS:
        started = time.monotonic()
        outcome = fuzz(name, count)
        refused = outcome.refused.total()
        print(
            f"{name}: {outcome.count} inputs in {time.monotonic() - started:.0f} s, {outcome.read} read, {refused} "
            f"refused in {len(outcome.refused)} ways, the slowest {outcome.slowest_s:.2f} s; no other errors",
            flush=True,
        )


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, *sys.argv[2:])
