"""Batches of texts that are equally long, so that a network reads no padding and none has to be masked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def batches_by_length(lengths: Sequence[int], size: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Every place once, in batches of one length each, in random order.

    Args:
        lengths: of each text.
        size: texts per batch at most.
        random: shuffles the texts of one length, and the batches.
    """
    of_each = np.asarray(lengths)
    order = random.permutation(len(of_each))
    order = order[np.argsort(of_each[order], kind="stable")]
    ends = np.flatnonzero(np.diff(of_each[order])) + 1
    found = [part[start : start + size] for part in np.split(order, ends) for start in range(0, len(part), size)]
    return [found[place] for place in random.permutation(len(found))]
