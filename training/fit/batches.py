"""Batches of examples, for training the networks of `training.networks`."""

import numpy as np
from numpy.typing import NDArray

from training.images.examples import Examples
from training.networks.network import IDS_INPUT
from training.two_inputs.batches import Inputs, TwoInputBatches


class ExampleBatches(TwoInputBatches[tuple[Inputs, NDArray[np.int64]]]):
    """Batches of `{image input: ..., "features": ids}` and labels, see `TwoInputBatches`; the last may be smaller.

    Args:
        examples: the rows of all batches.
        image_input: name of the model's image input.
        batch_size: rows per batch.
        seed: seed of the order; None keeps the rows in order.
    """

    def __init__(self, examples: Examples, image_input: str, batch_size: int, seed: int | None) -> None:
        super().__init__(len(examples), batch_size, seed)
        self._examples = examples
        self._image_input = image_input

    def take(self, rows: NDArray[np.int64]) -> tuple[Inputs, NDArray[np.int64]]:
        """Return the inputs and labels of the rows with these numbers."""
        some = self._examples.take(rows)
        return {self._image_input: some.images[some.index], IDS_INPUT: some.ids}, some.labels
