"""Real pictures and texts for a conversion: the rows that a corpus gives, as the device would see and read them.

Reading corpora is `training`'s; this module only picks rows, some to measure the network on and others to prove it on.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from convert.samples import CALIBRATION_COUNT, COUNT, make_samples
from device.bundle import Companions
from device.errors import ConversionError, TrainingError
from device.front_end.tokens import Tokens

MOST_COMPARED = 500
_FEWEST = 20
"""Rows; with fewer, ranges would be left to chance."""


@dataclass(frozen=True)
class Samples:
    """What a network is measured on while it is prepared, and what its answers are compared on afterwards."""

    images: NDArray[np.float32]
    """Shape (samples, height, width, 3), 0 to 1: pictures to compare on."""
    features: NDArray[np.int32]
    """Shape (samples, sequence_length): ids to compare on."""
    calibration_images: NDArray[np.float32]
    """Shape (pictures, height, width, 3): pictures to measure on."""
    calibration_features: NDArray[np.int32]
    """Shape (pictures, sequence_length): ids to measure on."""
    origin: str
    """Where they are from, for people: "32 made-up samples"."""


def made_up_samples(companions: Companions) -> Samples:
    """Samples where no recordings are at hand, see `convert.samples`."""
    images, features = make_samples(companions, seed=0)
    return Samples(images, features, *make_samples(companions, 1, CALIBRATION_COUNT), f"{COUNT} made-up samples")


def corpus_samples(corpus: Path, audio_root: Path | None, companions: Companions, console: Console) -> Samples:
    """Samples from a table of clips or a folder of class folders, drawn at random, the same ones each time.

    With fewer rows than are wanted for both purposes, two thirds or more are compared on.

    Args:
        corpus: as `training.corpus.open_corpus` takes it.
        audio_root: folder that relative audio paths in a table start from; the table's own if None.
        companions: front end and vocabulary.
        console: where progress and skipped recordings are shown.

    Raises:
        ConversionError: it cannot be read, or has too few rows.
    """
    try:
        from training.clip_pictures import clip_pictures
        from training.corpus import open_corpus

        clips = open_corpus(corpus, audio_root).clips
        wanted = MOST_COMPARED + CALIBRATION_COUNT
        order = np.random.default_rng(0).permutation(len(clips))[:wanted]
        data = clip_pictures([clips[row] for row in order], companions.front_end, console)
    except TrainingError as error:
        raise ConversionError(f"--calibrate: {error}") from None
    except ModuleNotFoundError as error:
        raise ConversionError(
            f'--calibrate needs {error.name}, which is not installed: pip install "edge-mcnn[train]"'
        ) from None
    rows = len(data.clips)
    if rows < _FEWEST:
        raise ConversionError(f"--calibrate: {corpus} has {rows} rows that can be used; give at least {_FEWEST}")
    tokens = Tokens(companions.vocabulary, companions.front_end)
    # What Vosk heard, where that is known, is what the device will read.
    features = np.stack([tokens.ids(clip.text if clip.heard is None else clip.heard) for clip in data.clips])
    images = data.pictures[data.index]
    compared = min(MOST_COMPARED, max(rows * 2 // 3, rows - CALIBRATION_COUNT))
    return Samples(
        images[:compared],
        features[:compared],
        images[compared:],
        features[compared:],
        f"{compared} rows of {corpus.name}",
    )
