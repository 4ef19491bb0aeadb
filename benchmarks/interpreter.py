"""Calls of the bare interpreter, in a process of its own: the least that an answer can cost.

    python -m benchmarks.interpreter Model.tflite RUNTIME THREADS CALLS

Prints the milliseconds of each call, after some to warm up, as a JSON list.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

_WARM_UP = 5


def call_ms(bundle: Path, runtime: str = "auto", threads: int = 1, calls: int = 60) -> list[float]:
    """Milliseconds of each call, in a fresh process."""
    command = [sys.executable, "-m", __name__, str(bundle), runtime, str(threads), str(calls)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    times: list[float] = json.loads(done.stdout)
    return times


def _timed(bundle: Path, runtime: str, threads: int, calls: int) -> list[float]:
    import numpy as np

    from device.bundle import read_bundle
    from device.front_end.spectrogram import silent_image
    from device.recognition.classifier import Classifier

    read = read_bundle(bundle)
    front_end = read.companions.front_end
    classifier = Classifier(read, runtime=runtime, threads=threads)
    random = np.random.default_rng(0)
    picture = random.random(silent_image(front_end).shape, np.float32)
    ids = random.integers(0, 100, front_end.sequence_length).astype(np.int32)
    times = []
    for _ in range(calls + _WARM_UP):
        began = time.perf_counter()
        classifier.probabilities(picture, ids)
        times.append((time.perf_counter() - began) * 1000)
    return times[_WARM_UP:]


if __name__ == "__main__":
    print(json.dumps(_timed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
