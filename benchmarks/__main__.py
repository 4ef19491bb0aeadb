"""Measures edge-mcnn and what it is held against, side by side, and writes `benchmarks/RESULTS.md` and a picture.

    make bench            # or: python -m benchmarks [ROUNDS]

Takes some twenty minutes. The subjects take turns, so that a machine that is busy for a while is unfair to none.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.measurements import measure
from benchmarks.report import write


def _told(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        report = write(measure(rounds, Path(folder), _told), rounds, Path(__file__).parent)
    print(report.read_text(encoding="utf-8"))
