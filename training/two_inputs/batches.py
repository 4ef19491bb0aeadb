"""Batches with two inputs: the image, the row of numbers and the target of a sample stay together by construction.

There is one index of rows; only the index is shuffled, and everything in a batch is looked up through it. Two
iterators, one for images and one for numbers, get out of step when one of them skips or reshuffles. This module is
independent of Keras.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Inputs: TypeAlias = dict[str, NDArray[Any]]
"""The two inputs of a batch by the names of the model's inputs, each of shape (rows, ...)."""
BatchT = TypeVar("BatchT", bound=tuple[Any, ...])
"""Type of a batch: the inputs and the targets, shape (rows, ...), or the inputs alone."""


class TwoInputBatches(ABC, Generic[BatchT]):
    """Batches of the rows of a data set, reordered each epoch.

    Args:
        rows: number of rows.
        batch_size: rows per batch.
        seed: seed of the order; the order of epoch n depends only on the seed and n. None keeps the rows in order.
        partial_batch: whether the rows that do not fill the last batch are a smaller batch, or are left out. Those that
            are left out differ in each epoch.
    """

    def __init__(self, rows: int, batch_size: int, seed: int | None, *, partial_batch: bool = True) -> None:
        super().__init__()
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._partial_batch = partial_batch
        self.start(0)

    @abstractmethod
    def take(self, rows: NDArray[np.int64]) -> BatchT:
        """Return the inputs and targets of the rows with these numbers, in this order."""

    def __len__(self) -> int:
        return -(-self._rows // self._batch_size) if self._partial_batch else self._rows // self._batch_size

    def __getitem__(self, batch: int) -> BatchT:
        if not 0 <= batch < len(self):
            raise IndexError(f"batch {batch} of {len(self)}")
        return self.take(self._order[batch * self._batch_size : (batch + 1) * self._batch_size])

    def __iter__(self) -> Iterator[BatchT]:
        return (self[batch] for batch in range(len(self)))

    def start(self, epoch: int) -> None:
        """Draw the order of an epoch; epochs are counted from 0."""
        self._begun = epoch
        self._draw(epoch)

    def on_epoch_begin(self) -> None:
        """Draw the order of the epoch that begins; Keras 3 calls this when its own `fit` runs the epochs."""
        # Keras 3 calls `on_epoch_end` before the first epoch as well, so it does not count.
        self._draw(self._begun)
        self._begun += 1

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch; Keras calls this when its own `fit` runs the epochs."""
        self._draw(self._epoch + 1)

    def _draw(self, epoch: int) -> None:
        self._epoch = epoch
        if self._seed is None:
            self._order = np.arange(self._rows)
        else:
            self._order = np.random.default_rng((self._seed, epoch)).permutation(self._rows)
