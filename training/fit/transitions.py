"""Learns from the dialogues of a corpus how often each class follows each other class."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from device.bundle import Transitions

_PSEUDO_COUNTS = 10.0
"""Weight of the class frequencies in each row, in utterances: a row with few pairs hardly differs from them."""
_DECIMALS = 6


@dataclass(frozen=True)
class LearntTransitions:
    """A table of transitions, and what it was learnt from."""

    transitions: Transitions
    """The table."""
    dialogues: int
    """Number of dialogues with two utterances or more."""
    pairs: int
    """Number of pairs of consecutive utterances."""


def learn_transitions(spoken: Iterable[tuple[Hashable, str]], labels: Sequence[str]) -> LearntTransitions | None:
    """Count the pairs of consecutive utterances in each dialogue, and smooth them.

    With n(i, j) pairs of classes i and j, and the share f(j) of class j among all utterances, row i of the table is
    (n(i, j) + k f(j)) / (sum of n(i, .) + k): additive smoothing towards the frequencies, with k = 10. The frequencies
    are smoothed with one utterance more of each class, so that none is 0.

    Args:
        spoken: dialogue and label of each utterance; those of one dialogue are in the order in which they were spoken.
            Utterances whose dialogue is unknown (an empty text) are left out.
        labels: classes of the model, at least 2.

    Returns:
        The table; None if no dialogue has two utterances.
    """
    place = {label: number for number, label in enumerate(labels)}
    counts = np.ones(len(labels))
    pairs = np.zeros((len(labels), len(labels)))
    latest: dict[Hashable, int] = {}
    connected: set[Hashable] = set()
    for dialogue, label in spoken:
        if dialogue == "":
            continue
        current = place[label]
        counts[current] += 1
        if dialogue in latest:
            pairs[latest[dialogue], current] += 1
            connected.add(dialogue)
        latest[dialogue] = current
    if not connected:
        return None
    frequencies = counts / counts.sum()
    following = (pairs + _PSEUDO_COUNTS * frequencies) / (pairs.sum(axis=1, keepdims=True) + _PSEUDO_COUNTS)
    table = Transitions(
        tuple(tuple(round(float(value), _DECIMALS) for value in row) for row in following),
        tuple(round(float(value), _DECIMALS) for value in frequencies),
    )
    return LearntTransitions(table, len(connected), int(pairs.sum()))
