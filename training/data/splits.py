"""Splits for a corpus that has none: whole speakers or whole dialogues are held out, wherever they are known.

Clips of one voice in train and in validation would let a network score by knowing the voice.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.data.clips import TRAIN, VALIDATION, Clip

VALIDATION_SHARE = 0.2
"""Share of the clips that validation gets, as nearly as whole groups allow."""
_DRAWS = 200


def make_splits(clips: Sequence[Clip], seed: int) -> tuple[tuple[Clip, ...], str]:
    """Give every clip the split `train` or `validation`.

    Clips are held out by speaker if every clip names one and there are two or more of them, else likewise by
    dialogue, else clip by clip. Of many seeded draws the one is taken whose validation is nearest to
    `VALIDATION_SHARE` of every class.

    Returns:
        The clips in their order, and a sentence that says how they were split.
    """
    by, groups = _groups(clips)
    names = sorted(set(groups))
    classes = sorted({clip.label for clip in clips})
    counts = np.zeros((len(names), len(classes)))
    place = {name: row for row, name in enumerate(names)}
    for clip, group in zip(clips, groups, strict=True):
        counts[place[group], classes.index(clip.label)] += 1
    wanted = VALIDATION_SHARE * counts.sum(axis=0)

    random = np.random.default_rng(seed)
    best, held_out = np.inf, set[str]()
    for _ in range(_DRAWS):
        order = random.permutation(len(names))
        # As many groups as come nearest to the share, but never all or none of them.
        filled = np.cumsum(counts[order].sum(axis=1))
        taken = int(np.abs(filled - wanted.sum()).argmin()) + 1
        chosen = order[: min(max(taken, 1), max(len(names) - 1, 1))]
        held = counts[chosen].sum(axis=0)
        # A class that training never sees cannot be learnt: worse than any other imbalance.
        distance = float((np.abs(held - wanted) / counts.sum(axis=0)).sum() + 10 * (held == counts.sum(axis=0)).sum())
        if distance < best:
            best, held_out = distance, {names[number] for number in chosen}
    split = tuple(
        replace(clip, split=VALIDATION if group in held_out else TRAIN)
        for clip, group in zip(clips, groups, strict=True)
    )
    rows = Counter(clip.split for clip in split)
    return split, (
        f"no splits given, made by {by} (seed {seed}): {rows[TRAIN]} train and {rows[VALIDATION]} validation clips"
        + (f", {len(held_out)} of {len(names)} {by}s held out" if by != "clip" else "")
    )


def _groups(clips: Sequence[Clip]) -> tuple[str, list[str]]:
    """What is kept together, and the group of each clip."""
    for by in ("speaker", "dialogue"):
        groups = [str(getattr(clip, by)) for clip in clips]
        if all(groups) and len(set(groups)) > 1:
            return by, groups
    return "clip", [f"{number:09}" for number in range(len(clips))]
