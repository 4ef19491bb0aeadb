"""Measures how the cost of `edge-mcnn evaluate` grows with the number of clips.

    python -m benchmarks.training.evaluation

It evaluates the model that ships on spectrogram images with texts, in a new process for each size. Prints one JSON
object: the costs by the number of clips.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.conversion.cost import cost
from benchmarks.training.corpus import IMAGES, TABLE, TRAIN, VALIDATION_EVERY

_SIZES = (2500, 5000, 10_000)
"""More than the rows from which contradicting pairs are drawn: up to there, memory grows with these."""


def measure(folder: Path) -> dict[int, dict[str, float]]:
    """Measure each size; `folder` is an empty one, for about 200 MB."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    found = {}
    for clips in _SIZES:
        corpus = folder / str(clips)
        rows = clips * VALIDATION_EVERY // (VALIDATION_EVERY - 1)  # the train rows are those that are evaluated
        # In a process of its own: the kernel reports at least the memory of the process that starts another one.
        subprocess.run([sys.executable, "-m", "benchmarks.training.corpus", str(corpus), str(rows)], check=True)
        command = ["-m", "edge_mcnn", "evaluate", "sentiment", str(corpus / TABLE), "--split", TRAIN]
        found[clips] = asdict(cost([sys.executable, *command, "--pictures", str(corpus / IMAGES)]))
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="evaluation") as _name:
        print(json.dumps(measure(Path(_name))))
