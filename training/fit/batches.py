"""Batches with two inputs: an image, its word ids and its label stay together by construction.

There is one index of rows; only the index is shuffled, and everything in a batch is looked up through it. Two
iterators, one for images and one for texts, get out of step when one of them skips or reshuffles.
"""

import numpy as np
import tf_keras
from numpy.typing import NDArray

from training.images.examples import Examples
from training.networks.network import IDS_INPUT


class TwoInputBatches(tf_keras.utils.Sequence):  # type: ignore[misc]  # tf_keras ships no types
    """Batches of `{image input: ..., "features": ids}` and labels, reordered each epoch; the last may be smaller.

    Args:
        examples: the rows of all batches.
        image_input: name of the model's image input.
        batch_size: rows per batch.
        seed: seed of the order; the order of epoch n depends only on the seed and n. None keeps the rows in order.
    """

    def __init__(self, examples: Examples, image_input: str, batch_size: int, seed: int | None) -> None:
        super().__init__()
        self._examples = examples
        self._image_input = image_input
        self._batch_size = batch_size
        self._seed = seed
        self.start(0)

    def __len__(self) -> int:
        return -(-len(self._examples) // self._batch_size)

    def __getitem__(self, batch: int) -> tuple[dict[str, NDArray[np.float32] | NDArray[np.int32]], NDArray[np.int64]]:
        if not 0 <= batch < len(self):
            raise IndexError(f"batch {batch} of {len(self)}")
        rows = self._examples.take(self._order[batch * self._batch_size : (batch + 1) * self._batch_size])
        return {self._image_input: rows.images[rows.index], IDS_INPUT: rows.ids}, rows.labels

    def start(self, epoch: int) -> None:
        """Draw the order of an epoch; epochs are counted from 0."""
        self._epoch = epoch
        rows = len(self._examples)
        if self._seed is None:
            self._order = np.arange(rows)
        else:
            self._order = np.random.default_rng((self._seed, epoch)).permutation(rows)

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch; Keras calls this when its own `fit` runs the epochs."""
        self.start(self._epoch + 1)
