"""95 % confidence intervals by a bootstrap over groups: how far a metric could differ with other speakers.

Utterances of one person, or of one dialogue, resemble each other. Drawing single rows would pretend to more independent
evidence than there is, so complete groups are drawn (the cluster bootstrap; Efron and Tibshirani, "An Introduction to
the Bootstrap", 1993, chapter 13 for the percentiles).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.clips import Clip
from training.evaluation.scores import Metric, Scores

RESAMPLES = 2000
"""Number of samples that a bootstrap draws."""
FEW_GROUPS = 20
"""Number of groups below which the intervals come out too narrow."""
_NUMBERS_PER_BLOCK = 4_000_000
"""Numbers drawn at once: a large corpus without speakers has a group per row, and drawing all samples at once would
exhaust the memory."""


@dataclass(frozen=True)
class Groups:
    """The groups of rows that belong together."""

    by: str
    """Column that defines a group: `speaker`, `dialogue`, or `row` where the table has neither."""
    numbers: NDArray[np.int64]
    """Number of each row's group, shape (rows,)."""

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> "Groups":
        """Group clips by speaker if any clip has one, else by dialogue, else not at all.

        A clip without that value is a group by itself.
        """
        by = next((name for name in ("speaker", "dialogue") if any(getattr(clip, name) for clip in clips)), "row")
        names = [(getattr(clip, by, ""), 0) if getattr(clip, by, "") else ("", row) for row, clip in enumerate(clips)]
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        return cls(by, np.array([numbers[name] for name in names], np.int64))

    def take(self, rows: NDArray[np.int64]) -> "Groups":
        """Return the groups of these rows."""
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
    """Score bootstrap samples; each draws with replacement as many groups as there are.

    Args:
        labels: true classes, shape (rows,).
        probabilities: predicted probabilities, shape (rows, labels).
        groups: groups of the rows.
        seed: random seed; the same seed draws the same groups.
        resamples: number of samples.

    Returns:
        Scores with a leading axis of `resamples`; None with fewer than two groups, from which nothing follows about
        other speakers.
    """
    names, numbers = np.unique(groups.numbers, return_inverse=True)
    if len(names) < 2:
        return None
    by_group = Scores.of_groups(labels, probabilities, numbers, len(names))
    random, chances = np.random.default_rng(seed), np.full(len(names), 1 / len(names))
    block = max(1, _NUMBERS_PER_BLOCK // len(names))
    parts = [
        by_group.total(random.multinomial(len(names), chances, min(block, resamples - start)))
        for start in range(0, resamples, block)
    ]
    return Scores(
        np.concatenate([part.confusion for part in parts]), np.concatenate([part.reliability for part in parts])
    )


def interval(samples: Metric) -> tuple[Metric, Metric]:
    """Return the 2.5th and the 97.5th percentile along the first axis, between which 95 % of the samples lie."""
    low, high = np.percentile(samples, (2.5, 97.5), axis=0)
    return np.asarray(low), np.asarray(high)
