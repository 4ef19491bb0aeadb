"""A corpus of any size for measurements: spectrogram images, texts, and one part for validation to ten for training.

python -m benchmarks.training.corpus FOLDER CLIPS
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from benchmarks.tutorial import LABELS
from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.front_end.parameters import FrontEnd
from tests.conftest import CLIPS
from training.images.spectrogram import compute_image

TABLE, IMAGES = "table.csv", "images"
"""Names of the table and of the folder of images in the folder of a corpus."""
TRAIN, VALIDATION = "train", "validation"
_WORDS_PER_CLIP = 8
_VOCABULARY = 1500
"""Number of words of the model that ships which occur."""
VALIDATION_EVERY = 11
"""One of so many clips is for validation."""


def write_corpus(folder: Path, clips: int) -> None:
    """Write a table with a column ID, and an image of each clip: those of recordings, moved in time and pitch.

    Args:
        folder: an empty folder.
        clips: number of clips, at most 30,000; no two images are equal.
    """
    (folder / IMAGES).mkdir(parents=True)
    recorded = []
    for path in sorted(CLIPS.glob("austen-*.flac")):
        samples = soundfile.read(path, dtype="float32")[0]
        recorded.append(np.rint(compute_image(samples, FrontEnd()) * 255).astype(np.uint8))
    random = np.random.default_rng(1)
    known = read_bundle(DEFAULT_BUNDLE).companions.vocabulary
    words = [word for word in known if word.isalpha()][:_VOCABULARY]
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("ID", "text", "label", "split"))
        for number in range(clips):
            moved, source = divmod(number, len(recorded))
            image = np.roll(recorded[source], divmod(moved, recorded[source].shape[1]), (0, 1))
            Image.fromarray(image).save(folder / IMAGES / f"{number}.png", compress_level=1)
            text = " ".join(random.choice(words, _WORDS_PER_CLIP))
            split = TRAIN if number % VALIDATION_EVERY else VALIDATION
            table.writerow((f"{number}.png", text, LABELS[random.integers(len(LABELS))], split))


def read_table(folder: Path, split: str) -> Sequence[tuple[Path, str, int]]:
    """Return the image, the text and the number of the class of each row of a split."""
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        return [
            (folder / IMAGES / row["ID"], row["text"], LABELS.index(row["label"]))
            for row in csv.DictReader(file)
            if row["split"] == split
        ]


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]), int(sys.argv[2]))
