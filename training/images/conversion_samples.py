"""Representative data for a conversion, read from the user's own recordings."""

from pathlib import Path

import numpy as np
from rich.console import Console

from convert.verify.representative_data import CALIBRATION_COUNT, MOST_COMPARED, RepresentativeData
from device.bundle import Companions
from device.errors import ConversionError, TrainingError
from device.front_end.tokens import Tokens

_FEWEST = 20
"""Number of clips; with fewer, the measured ranges would be left to chance."""


def corpus_samples(
    corpus: Path, audio_root: Path | None, companions: Companions, console: Console
) -> RepresentativeData:
    """Draw clips from a clip table or a folder of class folders at random, but the same ones each time.

    If there are fewer clips than both purposes need, two thirds or more are for comparing.

    Args:
        corpus: clip table or folder, in the format of `training.data.corpus.open_corpus`.
        audio_root: folder that relative audio paths in a table start from; None for the table's own.
        companions: front end and vocabulary of the model.
        console: where progress and skipped recordings are shown.

    Raises:
        ConversionError: the corpus cannot be read, or has too few usable clips.
    """
    try:
        from training.data.corpus import open_corpus
        from training.images.spectrogram_images import clip_images

        clips = open_corpus(corpus, audio_root).clips
        needed = MOST_COMPARED + CALIBRATION_COUNT
        order = np.random.default_rng(0).permutation(len(clips))[:needed]
        data = clip_images([clips[row] for row in order], companions.front_end, console)
    except TrainingError as error:
        raise ConversionError(f"--calibrate: {error.message}", fix=error.fix) from None
    except ModuleNotFoundError as error:
        raise ConversionError(
            f"--calibrate needs {error.name}, which is not installed", fix='run: pip install "edge-mcnn[train]"'
        ) from None
    rows = len(data.clips)
    if rows < _FEWEST:
        raise ConversionError(f"--calibrate: {corpus} has {rows} rows that can be used", fix=f"give at least {_FEWEST}")
    tokens = Tokens(companions.vocabulary, companions.front_end)
    # Vosk's transcript, where there is one, is the text that the device will get.
    features = np.stack([tokens.ids(clip.text if clip.transcript is None else clip.transcript) for clip in data.clips])
    images = data.images[data.index]
    compared = min(MOST_COMPARED, max(rows * 2 // 3, rows - CALIBRATION_COUNT))
    return RepresentativeData(
        images[:compared],
        features[:compared],
        images[compared:],
        features[compared:],
        f"{compared} rows of {corpus.name}",
    )
