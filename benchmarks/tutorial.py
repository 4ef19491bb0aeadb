"""The tutorial's network and its live path, as published, for comparison with edge-mcnn.

    python -m benchmarks.tutorial Model.h5 TIMES CLIP ...

In one process, librosa computes the mel spectrogram, Matplotlib saves it as a JPEG, Keras reads it back and predicts.
The words are fixed, because the tutorial has no speech recognition. Prints one JSON object per prediction.
"""

import json
import sys
import time
from pathlib import Path

from device.bundle import Companions
from device.front_end.parameters import FrontEnd

LABELS = ("positive", "neutral", "negative")
_WORDS = 5000


def tutorial_companions() -> Companions:
    """Labels, a vocabulary of synthetic words and the front end of the tutorial's network."""
    words = ("".join(chr(97 + number // 26**place % 26) for place in range(4)) for number in range(_WORDS))
    return Companions(LABELS, tuple(words), FrontEnd())


def write_network(path: Path) -> None:
    """Write the tutorial's `Model.h5` with random weights, which need as much time and memory as trained ones."""
    from training.fit.h5_writer import write_model
    from training.networks.network import build_network

    companions = tutorial_companions()
    network = build_network(
        "tutorial", labels=len(LABELS), vocabulary=_WORDS, front_end=companions.front_end, vgg19_weights=None
    )
    write_model(network.full, companions, path)


def live(model: Path, times: int, clips: list[Path]) -> None:
    """Load everything, print `ready`, and classify the clips."""
    import numpy as np
    import tf_keras

    from benchmarks.images import tutorial_image

    network = tf_keras.models.load_model(model, compile=False)
    ids = np.zeros((1, 200), np.int32)
    ids[0, -8:] = range(1, 9)
    print("ready", flush=True)
    for _ in range(times):
        for clip in clips:
            started = time.perf_counter()
            pixels = tutorial_image(clip)[None]
            network.predict([pixels, ids], verbose=0)
            print(json.dumps({"ms": (time.perf_counter() - started) * 1000}), flush=True)


if __name__ == "__main__":
    live(Path(sys.argv[1]), int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
