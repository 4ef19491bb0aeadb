"""Whom a model believes when sound and words contradict each other.

Recordings are paired with words of another class, where sound alone and words alone get different answers, and the
joint answer is compared with the two. Knows no files; the answers come from whoever asks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.modalities import Answer
from training.images.examples import Examples

PAIRS = 1000
"""Pairs that are asked at most."""
_OF_EACH_SIDE = 2000
"""Rows drawn of each side at most, so that the table of all pairs stays small."""


@dataclass(frozen=True)
class Side:
    """One of the two inputs, asked alone."""

    rows: NDArray[np.int64]
    """Shape (n,): which examples were asked."""
    labels: NDArray[np.int64]
    """Shape (n,): their true classes."""
    answers: NDArray[np.int64]
    """Shape (n,): the classes answered."""


@dataclass(frozen=True)
class Contradiction:
    """How many of the pairs got which answer."""

    pairs: int
    with_words: int
    """The answer is that of the words alone."""
    with_sound: int
    """The answer is that of the sound alone."""

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the pairs by whom the answer follows, 0 to 1."""
        neither = self.pairs - self.with_words - self.with_sound
        counts = {"words": self.with_words, "sound": self.with_sound, "neither": neither}
        return {name: count / self.pairs for name, count in counts.items()}


def contradiction(examples: Examples, sound: Side, words: Side, answer: Answer, *, seed: int) -> Contradiction | None:
    """Pair sound with words that say something else, and count whom the model follows.

    Args:
        examples: all rows.
        sound: rows asked by sound alone.
        words: rows asked by words alone.
        answer: asks the model.
        seed: the same seed draws the same pairs.

    Returns:
        None where no pair contradicts itself.
    """
    heard, read = pairs(sound, words, seed=seed)
    if not len(heard):
        return None
    rows, other = sound.rows[heard], words.rows[read]
    asked = Examples(examples.images, examples.index[rows], examples.ids[other], words.labels[read])
    said = answer(asked).argmax(axis=1)
    return Contradiction(len(said), int((said == words.answers[read]).sum()), int((said == sound.answers[heard]).sum()))


def pairs(sound: Side, words: Side, *, seed: int, most: int = PAIRS) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pairs of different classes and different answers, as many of each two classes as far as there are so many.

    Returns:
        Places in `sound` and in `words`, each of shape (pairs,).
    """
    random = np.random.default_rng(seed)
    heard, read = (random.permutation(len(side.rows))[:_OF_EACH_SIDE] for side in (sound, words))
    differ = sound.labels[heard][:, None] != words.labels[read]
    differ &= sound.answers[heard][:, None] != words.answers[read]
    one, other = np.nonzero(differ)
    order = random.permutation(len(one))
    one, other = one[order], other[order]
    kinds = np.stack([sound.labels[heard][one], words.labels[read][other]], axis=1)
    _, kind = np.unique(kinds, axis=0, return_inverse=True)
    # The first of every kind, the second of every kind, and so on.
    kind = kind.reshape(-1)
    by_kind = np.argsort(kind, kind="stable")
    starts = np.searchsorted(kind[by_kind], np.arange(kind.max(initial=-1) + 1))
    turn = np.empty(len(kind), np.int64)
    turn[by_kind] = np.arange(len(kind)) - starts[kind[by_kind]] if len(kind) else 0
    chosen = np.argsort(turn, kind="stable")[:most]
    return heard[one[chosen]], read[other[chosen]]
