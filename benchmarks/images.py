"""Times the spectrogram images of training: ours, on all cores, against librosa and Matplotlib, one by one.

    python -m benchmarks.images

Both read the same recordings, at 16 kHz, after drawing one to warm up. Prints one JSON object: milliseconds per clip in
each round.
"""

import io
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import librosa
import librosa.display
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image
from rich.console import Console

from device.front_end.parameters import FrontEnd
from tests.conftest import CLIPS
from training.images.image_cache import ImageCache

OURS, THEIRS = "edge-mcnn pictures", "librosa and Matplotlib"
_COPIES = 100
_THEIR_STEP = 20
"""Only one of this many clips is drawn with Matplotlib, which would take minutes for all of them."""
_ROUNDS = 3


def tutorial_image(clip: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Draw the spectrogram image as the published tutorial does; shape (64, 64, 3), float32, 0 to 1."""
    samples, rate = librosa.load(clip, sr=None)
    figure = plt.figure(figsize=[0.72, 0.72])
    axes = figure.add_subplot(111)
    axes.set_axis_off()
    power = librosa.feature.melspectrogram(y=samples, sr=rate)
    librosa.display.specshow(librosa.power_to_db(power, ref=np.max), ax=axes)
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=400, bbox_inches="tight", pad_inches=0)
    plt.close(figure)
    image = Image.open(file).convert("RGB").resize((64, 64), Image.Resampling.NEAREST)
    return np.asarray(image, np.float32) / np.float32(255)


def _main() -> None:
    mpl.use("Agg")
    console = Console(file=sys.stderr)
    times: dict[str, list[float]] = {OURS: [], THEIRS: []}
    with tempfile.TemporaryDirectory() as name:
        recordings = []
        for clip in sorted(CLIPS.glob("austen-*.flac")):
            copies = (Path(name) / f"{number}-{clip.name}" for number in range(_COPIES))
            recordings += [Path(shutil.copy(clip, copy)) for copy in copies]
        tutorial_image(recordings[0])
        ImageCache(Path(name) / "first", FrontEnd()).fill(recordings[:1], console)
        for number in range(_ROUNDS):
            started = time.perf_counter()
            ImageCache(Path(name) / str(number), FrontEnd()).fill(recordings, console)
            times[OURS].append((time.perf_counter() - started) * 1000 / len(recordings))
            sample = recordings[::_THEIR_STEP]
            started = time.perf_counter()
            for recording in sample:
                tutorial_image(recording)
            times[THEIRS].append((time.perf_counter() - started) * 1000 / len(sample))
    print(json.dumps(times))


if __name__ == "__main__":
    _main()
