"""Measures how the cost of the history grows with the number of predictions in it.

    python -m benchmarks.watch.growth [PREDICTIONS]

With a number, a process stores so many, then more, and queries them. Without, it starts a process for each of several
numbers. Prints one JSON object: for each number `cpu_s` and `peak_mb` of a process that stores it, `store_ms`, the
median for one more without waiting for the disk, and `queries_ms`, the milliseconds of each query of the page.
"""

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.watch.history import LAST, event, fill, opened, queries

_SIZES = (25_000, 50_000, 100_000, 200_000)
_MORE = 500


def measure(predictions: int, folder: Path) -> dict[str, Any]:
    """Measure one size in an empty folder."""
    with opened(folder / "history.sqlite3") as history:
        before = time.process_time()
        fill(history, predictions)
        cpu_s = time.process_time() - before
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        history._connection.execute("PRAGMA synchronous = NORMAL")
        chance = random.Random(2)  # noqa: S311  # no secret
        durations = []
        for number in range(_MORE):
            each = event(predictions + 1 + number, LAST + timedelta(seconds=number), chance)
            started = time.perf_counter()
            history.add(each, "boot")
            durations.append((time.perf_counter() - started) * 1000)
        found = queries(history)
    return {"cpu_s": cpu_s, "peak_mb": peak_mb, "store_ms": statistics.median(durations), "queries_ms": found}


def _main(arguments: list[str]) -> None:
    if arguments:
        with tempfile.TemporaryDirectory(prefix="history") as name:
            print(json.dumps(measure(int(arguments[0]), Path(name))))
        return
    command = [sys.executable, "-m", "benchmarks.watch.growth"]
    sizes = {
        size: json.loads(subprocess.run([*command, str(size)], stdout=subprocess.PIPE, check=True).stdout)
        for size in _SIZES
    }
    print(json.dumps(sizes))


if __name__ == "__main__":
    _main(sys.argv[1:])
