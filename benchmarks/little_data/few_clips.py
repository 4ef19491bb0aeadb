"""Measures what augmentation gains when there are few recordings, for other speakers and in other corpora.

    python -m benchmarks.little_data.few_clips RAVDESS [OTHER ...]

Each argument is a folder with labels.csv (columns file, speaker, emotion, transcript) and flac/. Draws four speakers of
the first corpus and ten clips of each of three emotions, and trains the network `evidence` on them, without and with
augmentation. Evaluates the clips of all other speakers, and all clips of the other corpora, audio only. Five draws,
each with its own seed. Prints one JSON object: macro F1 of each draw, and their mean.
"""

import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tf_keras
from rich.console import Console

from device.front_end.parameters import FrontEnd
from training.data.clips import TRAIN, VALIDATION, Clip
from training.data.corpus import Corpus
from training.evaluation.scores import Scores
from training.fit.settings import TrainingSettings
from training.fit.trainer import train
from training.images.examples import SILENCE
from training.images.spectrogram_images import ClipImages, clip_images

EMOTIONS = ("angry", "happy", "sad")
_DRAWS = 5
_SPEAKERS = 4
_CLIPS = 10
"""Train clips of each emotion, of all speakers together."""
_EPOCHS = 200
_QUIET = Console(quiet=True)


def read_clips(folder: Path) -> list[Clip]:
    """Return the clips of the emotions; each has the split `validation`."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["emotion"] in EMOTIONS]
    flac = folder / "flac"
    return [Clip(flac / row["file"], row["transcript"], row["emotion"], VALIDATION, row["speaker"]) for row in rows]


def draw(clips: Sequence[Clip], seed: int) -> Corpus:
    """Return a corpus of some clips of some speakers to train on, and all clips of the others to validate on."""
    random = np.random.default_rng(seed)
    speakers = random.permutation(sorted({clip.speaker for clip in clips}))[:_SPEAKERS].tolist()
    chosen = []
    for emotion in EMOTIONS:
        own = [clip for clip in clips if clip.speaker in speakers and clip.label == emotion]
        chosen += [replace(own[row], split=TRAIN) for row in random.permutation(len(own))[:_CLIPS]]
    return Corpus("few clips", (*chosen, *(clip for clip in clips if clip.speaker not in speakers)))


def macro_f1(model: Path, data: ClipImages, used: Sequence[Clip]) -> float:
    """Return the macro F1 of a model on some of the clips, audio only."""
    network = tf_keras.models.load_model(model, compile=False)
    names = set(used)
    rows = [row for row, clip in enumerate(data.clips) if clip in names and data.index[row] != SILENCE]
    ids = np.zeros((len(rows), FrontEnd().sequence_length), np.int32)
    probabilities = network.predict_on_batch({"images": data.images[data.index[rows]], "features": ids})
    truth = np.array([EMOTIONS.index(data.clips[row].label) for row in rows])
    return round(float(Scores.of(truth, probabilities).macro_f1), 3)


def main(folders: Sequence[Path]) -> None:
    """Train and evaluate each draw without and with augmentation."""
    corpora = [read_clips(folder) for folder in folders]
    images = [clip_images(clips, FrontEnd(), _QUIET) for clips in corpora]
    figures: dict[str, dict[str, list[float]]] = {folder.name: {"without": [], "with": []} for folder in folders}
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary, "Model.h5")
        for seed in range(1, _DRAWS + 1):
            corpus = draw(corpora[0], seed)
            for name, augment in (("without", False), ("with", True)):
                settings = TrainingSettings(network="evidence", epochs=_EPOCHS, seed=seed, augment=augment)
                train(corpus, model, replace(settings, image_cache=Path(temporary, "images")), _QUIET)
                others = [clip for clip in corpus.clips if clip.split == VALIDATION]
                for folder, data, used in zip(folders, images, [others, *corpora[1:]], strict=True):
                    figures[folder.name][name].append(macro_f1(model, data, used))
                print(name, {each: figures[each][name][-1] for each in figures}, file=sys.stderr, flush=True)
    means = {
        corpus: {name: round(float(np.mean(each)), 3) for name, each in found.items()}
        for corpus, found in figures.items()
    }
    print(json.dumps({"draws": figures, "means": means}, indent=1))


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
