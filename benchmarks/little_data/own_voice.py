"""Measures what augmentation and a base gain with a few clips of one's own voice, in the same and in another room.

    python -m benchmarks.little_data.own_voice [--speakers N] NEMO [OTHER ...]

Each argument is a folder with labels.csv (columns file, speaker, emotion, transcript) and flac/. For each speaker of
the first corpus it trains the network `evidence` on ten and on four clips of each of four emotions: from random
weights, without and with augmentation, and from a base. The bases are trained on all other speakers of the first
corpus, and on each other corpus. The speaker's remaining clips are evaluated, audio only, unchanged and as another room
and microphone would have recorded them, see `benchmarks.little_data.other_places`. Prints one JSON object: the mean
macro F1.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tf_keras
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.little_data.other_places import elsewhere
from device.front_end.parameters import FrontEnd
from training.base_model.base import BaseModel, read_base
from training.data.clips import TRAIN, VALIDATION, Clip
from training.data.corpus import Corpus
from training.data.reading.audio import read_recording
from training.evaluation.scores import Scores
from training.fit.settings import TrainingSettings
from training.fit.trainer import train
from training.images.spectrogram import compute_image

EMOTIONS = ("angry", "happy", "neutral", "sad")
_CLIPS = (10, 4)
"""Train clips of each emotion."""
_EPOCHS = 100
_BASE_EPOCHS = 30
_SEED = 1
_FRONT_END = FrontEnd()
_QUIET = Console(quiet=True)

Images = Mapping[Path, tuple[NDArray[np.float32], NDArray[np.float32]]]
"""By recording, the image of the recording itself, and of the recording made elsewhere."""


def read_clips(folder: Path) -> list[Clip]:
    """Return the clips of the emotions; each has the split `train`."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["emotion"] in EMOTIONS]
    flac = folder / "flac"
    return [Clip(flac / row["file"], row["transcript"], row["emotion"], TRAIN, row["speaker"]) for row in rows]


def own_clips(clips: Sequence[Clip], speaker: str, count: int) -> Corpus:
    """Return a corpus of `count` clips of each emotion of a speaker to train on, and the speaker's others."""
    random = np.random.default_rng(_SEED)
    chosen: list[Clip] = []
    for emotion in EMOTIONS:
        own = [clip for clip in clips if clip.speaker == speaker and clip.label == emotion]
        split = [TRAIN] * count + [VALIDATION] * (len(own) - count)
        chosen += [replace(own[row], split=each) for row, each in zip(random.permutation(len(own)), split, strict=True)]
    return Corpus("own voice", tuple(chosen))


def base_corpus(clips: Sequence[Clip]) -> Corpus:
    """Return a corpus of all clips but every tenth, which validates the base."""
    return Corpus(
        "base", tuple(replace(clip, split=VALIDATION) if row % 10 == 0 else clip for row, clip in enumerate(clips))
    )


def macro_f1(model: Path, clips: Sequence[Clip], images: Images, place: int) -> float:
    """Return the macro F1 of a model, audio only; `place` is 0 for the recordings themselves, 1 for those elsewhere."""
    network = tf_keras.models.load_model(model, compile=False)
    ids = np.zeros((len(clips), network.input_shape[1][1]), np.int32)
    stacked = np.stack([images[clip.audio][place] for clip in clips if clip.audio is not None])
    truth = np.array([EMOTIONS.index(clip.label) for clip in clips])
    return float(Scores.of(truth, network.predict_on_batch({"images": stacked, "features": ids})).macro_f1)


def both_images(clips: Sequence[Clip]) -> Images:
    """Compute the images of the recordings themselves, and of the recordings made elsewhere."""
    found = {}
    for number, recording in enumerate(clip.audio for clip in clips if clip.audio is not None):
        samples = np.asarray(read_recording(recording, _FRONT_END.sample_rate), np.float32)
        other = elsewhere(samples, np.random.default_rng([_SEED, number]), _FRONT_END.sample_rate)
        found[recording] = compute_image(samples, _FRONT_END), compute_image(other, _FRONT_END)
    return found


def main(folders: Sequence[Path], speakers: int | None) -> None:
    """Train and evaluate the speakers of the first corpus, in the order of their names, or the first few of them."""
    first, *others = (read_clips(folder) for folder in folders)
    images = both_images(first)
    results: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        base, model = Path(temporary, "Base.h5"), Path(temporary, "Model.h5")
        settings = TrainingSettings(network="evidence", seed=_SEED, image_cache=Path(temporary, "images"))

        def trained_base(clips: Sequence[Clip]) -> BaseModel:
            plain = replace(settings, epochs=_BASE_EPOCHS, augment=False, balanced=True, allow_identical=True)
            train(base_corpus(clips), base, plain, _QUIET)
            return read_base(base)

        fixed = {folder.name: trained_base(clips) for folder, clips in zip(folders[1:], others, strict=True)}
        for speaker in sorted({clip.speaker for clip in first})[:speakers]:
            own = trained_base([clip for clip in first if clip.speaker != speaker])
            starts: dict[str, TrainingSettings] = {
                "random weights, no copies": replace(settings, augment=False),
                "random weights": settings,
                "base of the other speakers": settings.starting_from(own),
                **{f"base of {name}": settings.starting_from(each) for name, each in fixed.items()},
            }
            for count in _CLIPS:
                corpus = own_clips(first, speaker, count)
                rest = [clip for clip in corpus.clips if clip.split == VALIDATION]
                for name, start in starts.items():
                    train(corpus, model, replace(start, epochs=_EPOCHS), _QUIET)
                    for place, where in enumerate(("same room", "elsewhere")):
                        row = results.setdefault(f"{count} clips, {name}, {where}", [])
                        row.append(macro_f1(model, rest, images, place))
                        print(f"{speaker}: {count} clips, {name}, {where}: {row[-1]:.3f}", file=sys.stderr, flush=True)
    print(json.dumps({name: round(float(np.mean(each)), 3) for name, each in results.items()}, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--speakers", type=int)
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    main(arguments.folders, arguments.speakers)
