"""Times calls of the bare interpreter in a separate process: the lower bound for the cost of a prediction.

    python -m benchmarks.interpreter Model.tflite RUNTIME THREADS CALLS

Prints the milliseconds of each call, after a few to warm up, as a JSON list.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

_WARM_UP = 5


def call_ms(bundle: Path, runtime: str = "auto", threads: int = 1, calls: int = 60) -> list[float]:
    """Run the calls in a fresh process and return the milliseconds of each."""
    command = [sys.executable, "-m", __name__, str(bundle), runtime, str(threads), str(calls)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    times: list[float] = json.loads(done.stdout)
    return times


def _time_calls(bundle: Path, runtime: str, threads: int, calls: int) -> list[float]:
    import numpy as np

    from device.bundle import read_bundle
    from device.front_end.spectrogram import silent_image
    from device.recognition.classifier import Classifier

    read = read_bundle(bundle)
    front_end = read.companions.front_end
    classifier = Classifier(read, runtime=runtime, threads=threads)
    random = np.random.default_rng(0)
    image = random.random(silent_image(front_end).shape, np.float32)
    ids = random.integers(0, 100, front_end.sequence_length).astype(np.int32)
    times = []
    for _ in range(calls + _WARM_UP):
        started = time.perf_counter()
        classifier.probabilities(image, ids)
        times.append((time.perf_counter() - started) * 1000)
    return times[_WARM_UP:]


if __name__ == "__main__":
    print(json.dumps(_time_calls(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
