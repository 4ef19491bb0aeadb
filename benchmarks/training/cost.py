"""Measures `edge-mcnn train` against the tutorial's own training, in turns, from spectrogram images to `Model.h5`.

    python -m benchmarks.training.cost [--all]

Both train the tutorial's network, with random weights of VGG19, for 13 epochs with validation; edge-mcnn with its
default options. The tutorial's needs half an hour or more for 10,000 clips. It is measured with fewer clips and epochs,
and a line through these, by clips times epochs, leads to its time for all. So does one by clips for edge-mcnn, which is
measured with all 10,000 as well with --all (minutes). Prints one JSON object.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.conversion.cost import cost
from benchmarks.growth import Fit, fit
from benchmarks.training.corpus import IMAGES, TABLE

OURS, THEIRS = "edge-mcnn train", "the tutorial's training"
EPOCHS = 13
"""Passes over the train rows, in the tutorial and by default."""
CLIPS = 10_000
"""Number of clips, train and validation, to which the lines are extended."""
_SIZES = ((500, 1), (1000, 2), (2000, 2))
"""Clips and epochs of the tutorial's training."""
_OUR_SIZES = (500, 1000, 2000)
"""Clips of `edge-mcnn train`; all with `EPOCHS`."""


def our_line(runs: dict[str, Any], quantity: str = "wall_s") -> Fit:
    """Fit the line of a quantity of `edge-mcnn train`, such as `cpu_s`, by clips."""
    return fit({int(clips): found[quantity] for clips, found in runs[OURS].items() if int(clips) != CLIPS})


def their_line(runs: dict[str, Any], quantity: str = "wall_s") -> Fit:
    """Fit the line of a quantity of the tutorial's training by clips times epochs."""
    return fit({int(clip_epochs): found[quantity] for clip_epochs, found in runs[THEIRS].items()})


def extrapolated_s(runs: dict[str, Any], quantity: str = "wall_s") -> dict[str, float]:
    """Return the seconds for `CLIPS` and `EPOCHS`, by name: those of edge-mcnn as measured, if they were.

    Args:
        runs: what `measure` returns.
        quantity: `wall_s`, or `cpu_s`, which other load changes less.
    """
    ours, theirs = our_line(runs, quantity), their_line(runs, quantity)
    measured = runs[OURS].get(str(CLIPS))
    return {
        OURS: measured[quantity] if measured else ours.fixed_s + ours.per_second_s * CLIPS,
        THEIRS: theirs.fixed_s + theirs.per_second_s * CLIPS * EPOCHS,
    }


def measure(folder: Path, *, everything: bool) -> dict[str, Any]:
    """Measure both in turns.

    Args:
        folder: an empty folder, for about 300 MB.
        everything: whether edge-mcnn is measured with `CLIPS` as well.

    Returns:
        The costs of edge-mcnn by clips, and those of the tutorial by clips times epochs, both as texts.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    weights, model = folder / "vgg19.h5", folder / "Model.h5"
    # In processes of their own: the kernel reports at least the memory of the process that starts another one.
    _python("-m", "benchmarks.training.tutorial", "--weights", str(weights))
    for clips in {size for size, _ in _SIZES} | {*_OUR_SIZES} | ({CLIPS} if everything else set()):
        _python("-m", "benchmarks.training.corpus", str(folder / str(clips)), str(clips))
    found: dict[str, Any] = {OURS: {}, THEIRS: {}}
    for (clips, epochs), our_clips in zip(_SIZES, _OUR_SIZES, strict=True):
        command = [
            "-m",
            "benchmarks.training.tutorial",
            str(folder / str(clips)),
            str(epochs),
            str(weights),
            str(model),
        ]
        found[THEIRS][str(clips * epochs)] = asdict(cost([sys.executable, *command]))
        found[OURS][str(our_clips)] = _ours(folder / str(our_clips), weights)
    if everything:
        found[OURS][str(CLIPS)] = _ours(folder / str(CLIPS), weights)
    return found


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True)


def _ours(corpus: Path, weights: Path) -> dict[str, float]:
    command = ["-m", "edge_mcnn", "train", str(corpus / TABLE), "--pictures", str(corpus / IMAGES)]
    command += ["--vgg19-weights", str(weights), "--output", str(corpus / "Model.h5")]
    return asdict(cost([sys.executable, *command]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="training") as _name:
        print(json.dumps(measure(Path(_name), everything="--all" in sys.argv[1:])))
