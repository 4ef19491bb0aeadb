"""The program whose instructions are counted: it replays each scene, and marks where it begins and ends."""

import ctypes
import os
from collections.abc import Iterator
from dataclasses import replace

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in `edge-mcnn listen`, before numpy is imported

import numpy as np
from numpy.typing import NDArray

from benchmarks.listening import QUIET, SPEECH, scenes
from device.audio.framer import Framer
from device.events import BLOCK_SECONDS, SAMPLE_RATE, Frame, Preview
from device.loading import LoadedModels
from device.outputs.base import Speech
from device.pipeline import Pipeline
from device.settings.schema import Settings

PREVIEWS = f"{SPEECH}, previews"
SECONDS = {QUIET: 300, SPEECH: 30, PREVIEWS: 30}
"""Seconds of each scene: its recording is repeated."""


def main() -> None:
    """Load the models, replay each scene once to warm up, and once more between two marks."""
    settings = Settings()
    # Several busy threads would add to the count at the same time.
    models = LoadedModels.load(
        replace(settings, classifier=replace(settings.classifier, threads=1)), lambda _line: None
    )
    recorded = scenes()
    for number, (name, seconds) in enumerate(SECONDS.items()):
        monitor = _Light() if name == PREVIEWS else None
        recording = recorded[SPEECH if name == PREVIEWS else name]
        samples = np.resize((recording * 32767).astype(np.int16), seconds * SAMPLE_RATE)
        _replay(models.pipeline(monitor), samples)
        _mark(2 * number)
        _replay(models.pipeline(monitor), samples)
        _mark(2 * number + 1)


class _Light:
    """What an LED needs: previews, until it is clear which class they are of."""

    watching = shows_previews = False
    previewing = True

    def preview(self, preview: Preview) -> None:
        """Light no LED."""

    def frame(self, frame: Frame) -> None:
        """Never called, because it watches nothing."""

    def speech(self, speech: Speech) -> None:
        """Never called, because it watches nothing."""


def _replay(pipeline: Pipeline, samples: NDArray[np.int16]) -> None:
    for _ in pipeline.predictions(_frames(samples, pipeline)):
        pass


def _frames(samples: NDArray[np.int16], pipeline: Pipeline) -> Iterator[Frame]:
    """Yield the frames of blocks that are as long as those of a microphone would be."""
    framer = Framer(SAMPLE_RATE)
    start = 0
    while start < len(samples):
        end = start + pipeline.batch_size * round(BLOCK_SECONDS * SAMPLE_RATE)
        yield from framer.push(samples[start:end, None], arrived_at=0.0)
        start = end


def _mark(number: int) -> None:
    """Let the plugin print the count; see counter.c."""
    ctypes.CDLL(None).sched_get_priority_min(number)


if __name__ == "__main__":
    main()
