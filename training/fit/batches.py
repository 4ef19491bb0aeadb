"""Batches of examples, for training the networks of `training.networks`."""

import numpy as np
from numpy.typing import NDArray

from training.images.examples import Examples
from training.networks.network import IDS_INPUT
from training.two_inputs.batches import Inputs, TwoInputBatches

_COPIES = 1
"""Distinguishes the random numbers that choose the copies from those of the order."""

_RECORDING_SHARE = 0.5
"""Probability of the recording itself. With copies only, the network learns more slowly and no better."""


class ExampleBatches(TwoInputBatches[tuple[Inputs, NDArray[np.int64]]]):
    """Batches of `{image input: ..., "features": ids}` and labels, see `TwoInputBatches`; the last may be smaller.

    Of a row with augmented copies, each epoch has the recording itself, with probability one half, or one of its
    copies. The choice of epoch n depends only on the seed and n, as the order does.

    Args:
        examples: the rows of all batches.
        image_input: name of the model's image input.
        batch_size: rows per batch.
        seed: seed of the order; None keeps the rows in order.
    """

    def __init__(self, examples: Examples, image_input: str, batch_size: int, seed: int | None) -> None:
        self._examples = examples
        self._image_input = image_input
        super().__init__(len(examples), batch_size, seed)

    def take(self, rows: NDArray[np.int64]) -> tuple[Inputs, NDArray[np.int64]]:
        """Return the inputs and labels of the rows with these numbers."""
        some = self._examples.take(rows)
        images = some.images[some.index]
        if some.copies is not None and some.copies_index is not None:
            copies = self._copies[rows]
            replaced = (copies >= 0) & (some.copies_index >= 0)
            images[replaced] = some.copies[some.copies_index[replaced], copies[replaced]]
        return {self._image_input: images, IDS_INPUT: some.ids}, some.labels

    def _draw(self, epoch: int) -> None:
        """Draw the order of an epoch, and which copy of each row is in it: -1 is the recording itself."""
        super()._draw(epoch)
        if self._examples.copies is None:
            return
        if self._seed is None:
            self._copies = np.full(self._rows, -1)
        else:
            random = np.random.default_rng((self._seed, epoch, _COPIES))
            copies = random.integers(0, self._examples.copies.shape[1], self._rows)
            self._copies = np.where(random.random(self._rows) < _RECORDING_SHARE, -1, copies)
