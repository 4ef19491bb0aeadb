"""Measures edge-mcnn and its peers side by side, and writes `benchmarks/RESULTS.md` and a chart.

    make bench            # or: python -m benchmarks [ROUNDS]

Takes about half an hour. The subjects take turns, so that other load on the machine affects all of them alike.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.page.measurements import measure
from benchmarks.page.report import write


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        report = write(measure(rounds, Path(folder), _announce), rounds, Path(__file__).parent)
    print(report.read_text(encoding="utf-8"))
