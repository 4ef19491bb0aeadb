"""How far a figure may be off because other people could have spoken: 95 % intervals by a bootstrap over groups.

What one person says, or what is said in one dialogue, is alike. Rows drawn one by one would pretend to more independent
evidence than there is, so whole groups are drawn (the cluster bootstrap; Efron and Tibshirani, "An Introduction to
the Bootstrap", 1993, chapter 13 for the percentiles).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.clips import Clip
from training.evaluation.scores import Figure, Scores

RESAMPLES = 2000
FEW_GROUPS = 20
"""With fewer groups than this the intervals come out too narrow."""
_DRAWN_AT_ONCE = 4_000_000
"""Numbers; a large corpus without speakers has a group for each row, and all samples at once would fill the memory."""


@dataclass(frozen=True)
class Groups:
    """Which rows belong together."""

    by: str
    """What makes a group: `speaker`, `dialogue`, or `row` where the table tells neither."""
    numbers: NDArray[np.int64]
    """Shape (rows,): each row's group."""

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> "Groups":
        """By speaker if any clip has one, else by dialogue, else each row by itself; so is a row that says neither."""
        by = next((name for name in ("speaker", "dialogue") if any(getattr(clip, name) for clip in clips)), "row")
        names = [(getattr(clip, by, ""), 0) if getattr(clip, by, "") else ("", row) for row, clip in enumerate(clips)]
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        return cls(by, np.array([numbers[name] for name in names], np.int64))

    def take(self, rows: NDArray[np.int64]) -> "Groups":
        """The groups of these rows."""
        return Groups(self.by, self.numbers[rows])

    def __len__(self) -> int:
        return len(np.unique(self.numbers))


def resample(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    groups: Groups,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Scores | None:
    """Scores of samples, each as many groups as there are, drawn with replacement.

    Args:
        labels: shape (rows,), the true classes.
        probabilities: shape (rows, labels).
        groups: of the rows.
        seed: the same seed draws the same groups.
        resamples: how many samples.

    Returns:
        Scores with a leading axis of `resamples`; None with fewer than two groups, which say nothing about others.
    """
    names, numbers = np.unique(groups.numbers, return_inverse=True)
    if len(names) < 2:
        return None
    by_group = Scores.of_groups(labels, probabilities, numbers, len(names))
    random, chances = np.random.default_rng(seed), np.full(len(names), 1 / len(names))
    block = max(1, _DRAWN_AT_ONCE // len(names))
    parts = [
        by_group.total(random.multinomial(len(names), chances, min(block, resamples - start)))
        for start in range(0, resamples, block)
    ]
    return Scores(
        np.concatenate([part.confusion for part in parts]), np.concatenate([part.reliability for part in parts])
    )


def interval(figures: Figure) -> tuple[Figure, Figure]:
    """The 2.5th and 97.5th percentile along the first axis, between which 95 % of the samples lie."""
    low, high = np.percentile(figures, (2.5, 97.5), axis=0)
    return np.asarray(low), np.asarray(high)
