"""Representative samples for a conversion, read from the user's own recordings."""

from pathlib import Path

import numpy as np
from rich.console import Console

from convert.verify.representative_data import CALIBRATION_COUNT, MOST_COMPARED, Samples
from device.bundle import Companions
from device.errors import ConversionError, TrainingError
from device.front_end.tokens import Tokens

_FEWEST = 20
"""Rows; with fewer, ranges would be left to chance."""


def corpus_samples(corpus: Path, audio_root: Path | None, companions: Companions, console: Console) -> Samples:
    """Samples from a table of clips or a folder of class folders, drawn at random, the same ones each time.

    With fewer rows than are wanted for both purposes, two thirds or more are compared on.

    Args:
        corpus: as `training.data.corpus.open_corpus` takes it.
        audio_root: folder that relative audio paths in a table start from; the table's own if None.
        companions: front end and vocabulary.
        console: where progress and skipped recordings are shown.

    Raises:
        ConversionError: it cannot be read, or has too few rows.
    """
    try:
        from training.data.corpus import open_corpus
        from training.images.spectrogram_images import clip_images

        clips = open_corpus(corpus, audio_root).clips
        wanted = MOST_COMPARED + CALIBRATION_COUNT
        order = np.random.default_rng(0).permutation(len(clips))[:wanted]
        data = clip_images([clips[row] for row in order], companions.front_end, console)
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
    features = np.stack([tokens.ids(clip.text if clip.transcript is None else clip.transcript) for clip in data.clips])
    images = data.images[data.index]
    compared = min(MOST_COMPARED, max(rows * 2 // 3, rows - CALIBRATION_COUNT))
    return Samples(
        images[:compared],
        features[:compared],
        images[compared:],
        features[compared:],
        f"{compared} rows of {corpus.name}",
    )
