"""The tutorial's training, as published: a generator of images and texts, and Keras's `fit` with all of VGG19 inside.

    python -m benchmarks.training.tutorial --weights WEIGHTS.h5    # writes random ones
    python -m benchmarks.training.tutorial FOLDER EPOCHS WEIGHTS.h5 Model.h5

FOLDER is one of `benchmarks.training.corpus`. Its network is that of `edge-mcnn train`.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training.corpus import TRAIN, VALIDATION, read_table
from device.front_end.parameters import FrontEnd

_BATCH = 16
_VOCABULARY = 5000


def _batches(rows: Sequence[tuple[Path, str, int]], ids: Any) -> Iterator[tuple[list[Any], Any]]:
    """Yield batches without end, each time without the rows that do not fill the last one."""
    import tf_keras

    labels = np.array([label for _, _, label in rows])
    while True:
        for start in range(0, len(rows) - _BATCH + 1, _BATCH):
            files = [path for path, _, _ in rows[start : start + _BATCH]]
            images = [
                tf_keras.utils.img_to_array(tf_keras.utils.load_img(file, target_size=(64, 64))) for file in files
            ]
            yield [np.stack(images) / 255, ids[start : start + _BATCH]], labels[start : start + _BATCH]


def train(folder: Path, epochs: int, weights: Path, output: Path) -> None:
    """Train and save the network.

    Args:
        folder: folder of the corpus.
        epochs: number of passes over the train rows.
        weights: weights of VGG19, without the top layers.
        output: path of the model to write.
    """
    import tf_keras

    from benchmarks.tutorial import LABELS
    from training.networks.network import build_network

    rows = {split: read_table(folder, split) for split in (TRAIN, VALIDATION)}
    tokenizer = tf_keras.preprocessing.text.Tokenizer(num_words=_VOCABULARY)
    tokenizer.fit_on_texts([text for _, text, _ in rows[TRAIN]])
    ids = {
        split: tf_keras.utils.pad_sequences(tokenizer.texts_to_sequences([text for _, text, _ in found]), maxlen=200)
        for split, found in rows.items()
    }
    model = build_network(
        "tutorial",
        labels=len(LABELS),
        vocabulary=len(tokenizer.word_index),
        front_end=FrontEnd(),
        vgg19_weights=weights,
    ).full
    model.compile(tf_keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    training, validation = (_batches(rows[split], ids[split]) for split in (TRAIN, VALIDATION))
    steps = len(rows[VALIDATION]) // _BATCH
    model.fit(
        training,
        steps_per_epoch=len(rows[TRAIN]) // _BATCH,
        validation_data=validation,
        validation_steps=steps,
        epochs=epochs,
        verbose=0,
    )
    model.evaluate(validation, steps=steps, verbose=0)
    model.save(output)


def write_weights(path: Path) -> None:
    """Write random weights of VGG19, which need as much time as those of ImageNet."""
    import tf_keras

    tf_keras.applications.VGG19(include_top=False, weights=None).save_weights(path)


if __name__ == "__main__":
    if sys.argv[1] == "--weights":
        write_weights(Path(sys.argv[2]))
    else:
        train(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
