"""Times the spectrogram images of training: ours, on one core and on two, against librosa and Matplotlib, one by one.

    python -m benchmarks.images

All read recordings of the same lengths, at 16 kHz, after drawing one to warm up; theirs runs in one process, as it was
published, and may use all cores. Ours includes the start of its processes, the progress bar and the index, as a user
waits for them. Prints one JSON object: the number of clips and their mean length, milliseconds per clip in each round,
how many times faster ours is, and how much faster two cores are than one.
"""

import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import librosa
import librosa.display
import matplotlib as mpl
import numpy as np
import soundfile
from matplotlib import pyplot as plt
from PIL import Image
from rich.console import Console

from device.front_end.parameters import FrontEnd
from tests.conftest import CLIPS
from training.images.image_cache import ImageCache

ONE_CORE, TWO_CORES = "edge-mcnn pictures, 1 core", "edge-mcnn pictures, 2 cores"
THEIRS = "librosa and Matplotlib"
CLIPS_COUNT, CLIP_S, MS, FASTER, SCALING = "clips", "seconds per clip", "ms per clip", "times faster", "2 cores to 1"
"""Keys of the result."""
_COPIES = 800
"""Copies of each recorded clip: 4,000 recordings, a small corpus, of which the start of processes takes 5 %."""
_THEIR_STEP = 40
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


def summarise(recordings: int, length_s: float, ms: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return the result, with the ratios of the medians.

    Args:
        recordings: number of recordings in each round.
        length_s: their mean length, seconds.
        ms: milliseconds per clip in each round, for `ONE_CORE`, `TWO_CORES` and `THEIRS`.
    """
    medians = {name: statistics.median(times) for name, times in ms.items()}
    return {
        CLIPS_COUNT: recordings,
        CLIP_S: round(length_s, 2),
        MS: dict(ms),
        FASTER: {name: medians[THEIRS] / medians[name] for name in (ONE_CORE, TWO_CORES)},
        SCALING: medians[ONE_CORE] / medians[TWO_CORES],
    }


@contextmanager
def _on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Restrict this thread, and the threads and processes that it starts meanwhile, to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _main() -> None:
    mpl.use("Agg")
    console = Console(file=sys.stderr)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("benchmarks.images: needs two cores")
    clips = sorted(CLIPS.glob("austen-*.flac"))
    ms: dict[str, list[float]] = {ONE_CORE: [], TWO_CORES: [], THEIRS: []}
    with tempfile.TemporaryDirectory() as name:
        recordings = []
        for clip in clips:
            copies = (Path(name) / f"{number}-{clip.name}" for number in range(_COPIES))
            recordings += [Path(shutil.copy(clip, copy)) for copy in copies]
        tutorial_image(recordings[0])
        ImageCache(Path(name) / "first", FrontEnd()).fill(recordings[:1], console)
        for number in range(_ROUNDS):
            for subject, count in ((ONE_CORE, 1), (TWO_CORES, 2)):
                with _on_cores(cores[:count]):
                    started = time.perf_counter()
                    ImageCache(Path(name) / f"{number}-{count}", FrontEnd()).fill(recordings, console)
                    ms[subject].append((time.perf_counter() - started) * 1000 / len(recordings))
            sample = recordings[::_THEIR_STEP]
            started = time.perf_counter()
            for recording in sample:
                tutorial_image(recording)
            ms[THEIRS].append((time.perf_counter() - started) * 1000 / len(sample))
    length_s = statistics.mean(soundfile.info(clip).duration for clip in clips)
    print(json.dumps(summarise(len(recordings), length_s, ms)))


if __name__ == "__main__":
    _main()
