"""Makes splits for a corpus without any: complete speakers or dialogues are held out, wherever they are known.

With clips of one voice in train and in validation a network could score by recognising the voice.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.data.clips import TRAIN, VALIDATION, Clip

VALIDATION_SHARE = 0.2
"""Share of the clips that validation gets, as nearly as complete groups allow."""
_DRAWS = 200


def make_splits(clips: Sequence[Clip], seed: int) -> tuple[tuple[Clip, ...], str]:
    """Give every clip the split `train` or `validation`.

    Clips are held out by speaker if every clip names one and there are two or more of them, else likewise by
    dialogue, else clip by clip. Of many seeded draws the function uses the one whose validation is nearest to
    `VALIDATION_SHARE` of every class.

    Returns:
        The clips in their order, and a sentence on how they were split.
    """
    by, groups = _groups(clips)
    names = sorted(set(groups))
    classes = sorted({clip.label for clip in clips})
    counts = np.zeros((len(names), len(classes)))
    row = {name: number for number, name in enumerate(names)}
    for clip, group in zip(clips, groups, strict=True):
        counts[row[group], classes.index(clip.label)] += 1
    target = VALIDATION_SHARE * counts.sum(axis=0)

    random = np.random.default_rng(seed)
    best, held_out = np.inf, set[str]()
    for _ in range(_DRAWS):
        order = random.permutation(len(names))
        # As many groups as come nearest to the share, but never all or none of them.
        filled = np.cumsum(counts[order].sum(axis=1))
        number = int(np.abs(filled - target.sum()).argmin()) + 1
        chosen = order[: min(max(number, 1), max(len(names) - 1, 1))]
        held = counts[chosen].sum(axis=0)
        # A class without train clips cannot be learnt: worse than any other imbalance.
        distance = float((np.abs(held - target) / counts.sum(axis=0)).sum() + 10 * (held == counts.sum(axis=0)).sum())
        if distance < best:
            best, held_out = distance, {names[number] for number in chosen}
    split = tuple(
        replace(clip, split=VALIDATION if group in held_out else TRAIN)
        for clip, group in zip(clips, groups, strict=True)
    )
    rows = Counter(clip.split for clip in split)
    return split, (
        f"the corpus defines no splits, made by {by} (seed {seed}): "
        f"{rows[TRAIN]} train and {rows[VALIDATION]} validation clips"
        + (f", {len(held_out)} of {len(names)} {by}s held out" if by != "clip" else "")
    )


def _groups(clips: Sequence[Clip]) -> tuple[str, list[str]]:
    """Return the kind of group that must not be divided, and the group of each clip."""
    for by in ("speaker", "dialogue"):
        groups = [str(getattr(clip, by)) for clip in clips]
        if all(groups) and len(set(groups)) > 1:
            return by, groups
    return "clip", [f"{number:09}" for number in range(len(clips))]
