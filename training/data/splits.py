"""Makes splits for a corpus without any: complete speakers or dialogues are held out, wherever they are known.

With clips of one voice in train and in validation a network could score by recognising the voice.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device.errors import TrainingError
from device.system.display import displayable
from training.data.clips import TRAIN, VALIDATION, Clip
from training.data.leaks import first_of_content

VALIDATION_SHARE = 0.2
"""Share of the clips that validation gets, as nearly as complete groups allow."""
_DRAWS = 200
_GROUPS = ("speaker", "dialogue")
"""What is held out together, best first."""
_NAMED = 3
"""How many classes a note lists."""


def complete_splits(clips: Sequence[Clip], seed: int) -> tuple[tuple[Clip, ...], str]:
    """Make the splits that a corpus lacks: all of them, or a validation split from its train clips.

    Returns:
        The clips in their order, and a sentence on how they were split; empty if the corpus defines what is needed.
    """
    splits = {clip.split for clip in clips}
    if splits == {""}:
        return make_splits(clips, seed)
    if TRAIN not in splits or VALIDATION in splits:
        return tuple(clips), ""
    divided, note = make_splits([clip for clip in clips if clip.split == TRAIN], seed)
    rows = iter(divided)
    return (
        tuple(next(rows) if clip.split == TRAIN else clip for clip in clips),
        note.replace("no splits, made by", "no validation split, made from its train clips by", 1),
    )


def make_splits(clips: Sequence[Clip], seed: int) -> tuple[tuple[Clip, ...], str]:
    """Give every clip the split `train` or `validation`, so that every class has train clips.

    Clips with identical recordings stay together. Clips are held out by speaker if every clip names one and there are
    two or more of them, else likewise by dialogue, else clip by clip. The clips of a class that has only one speaker or
    dialogue are divided clip by clip, because holding it out would leave no train clips of that class. Of many seeded
    draws the function uses the one whose validation is nearest to `VALIDATION_SHARE` of every class, and corrects it
    where a class has no train clips. Validation is empty only if no class has two clips.

    Returns:
        The clips in their order, and a sentence on how they were split.
    """
    grouping = _grouping(clips)
    names = sorted(set(grouping.units))
    classes = sorted({clip.label for clip in clips})
    counts = np.zeros((len(names), len(classes)))
    row = {name: number for number, name in enumerate(names)}
    column = {label: number for number, label in enumerate(classes)}
    for clip, unit in zip(clips, grouping.units, strict=True):
        counts[row[unit], column[clip.label]] += 1
    held_out = {names[number] for number in _corrected(counts, _drawn(counts, seed))}
    split = tuple(
        replace(clip, split=VALIDATION if unit in held_out else TRAIN)
        for clip, unit in zip(clips, grouping.units, strict=True)
    )
    rows = Counter(clip.split for clip in split)
    return split, (
        f"the corpus defines no splits, made by {grouping.by} (seed {seed}): "
        f"{rows[TRAIN]} train and {rows[VALIDATION]} validation clips" + grouping.remark(held_out)
    )


class Folds(NamedTuple):
    """A division of clips into folds, each of which is held out once."""

    by: str
    """What is never divided: `speaker`, `dialogue` or `clip`."""
    numbers: tuple[int, ...]
    """For each clip its fold, from 0 on; -1 for a clip that is always trained on."""
    note: str
    """A sentence on how the clips were divided."""


def make_folds(clips: Sequence[Clip], count: int, seed: int) -> Folds:
    """Divide clips into folds with the classes in proportion, so that every class has train clips for every fold.

    No speaker is in two folds if every clip names one and there are two or more of them, else likewise no dialogue;
    else clips are divided one by one. Clips with identical recordings stay together. A speaker or dialogue that has
    all clips of a class is in no fold: without it that class could not be learned.

    Args:
        clips: clips of any split.
        count: number of folds, at least 2.
        seed: seed of the division.

    Raises:
        TrainingError: fewer speakers, dialogues or clips than folds can be held out, or all those of a class are in
            one fold.
    """
    single = _single_units(clips)
    classes = sorted({clip.label for clip in clips})
    column = {label: number for number, label in enumerate(classes)}
    reason = ""
    for by in (*_GROUPS, "clip"):
        names, why_not = ([str(n) for n in range(len(clips))], "") if by == "clip" else _group_names(clips, by)
        reason = reason or why_not
        if why_not or not names:
            continue
        units = _joined(names, single)
        counts = np.zeros((max(units) + 1, len(classes)))
        np.add.at(counts, (units, [column[clip.label] for clip in clips]), 1)
        alone = ((counts == counts.sum(axis=0)) & (counts > 0)).any(axis=1)
        if (~alone).sum() < 2 and by != "clip":
            reason = reason or f"every class has one {by} only, so the scores will be too good for others"
            continue
        break
    if (~alone).sum() < count:
        raise TrainingError(
            f"{count} folds, but only {(~alone).sum()} {by}s can be held out",
            fix=f"use --folds {(~alone).sum()}" if (~alone).sum() >= 2 else f"add clips of another {by}",
        )
    folds = _balanced(counts, np.flatnonzero(~alone), count, seed)
    note = f"{count} folds by {by} (seed {seed}): each of {(~alone).sum()} {by}s is held out once"
    if alone.any():
        fixed = [f"'{displayable(names[units.index(unit)])}'" for unit in np.flatnonzero(alone).tolist()]
        listed = ", ".join(fixed[:_NAMED]) + (f" and {len(fixed) - _NAMED} more" if fixed[_NAMED:] else "")
        which = f"{len(fixed)} clips" if by == "clip" else f"{by} {listed}"
        note += f"; always trained on, because nothing else has clips of one of its classes: {which}"
    return Folds(by, tuple(folds[units].tolist()), note + (f"; {reason}" if reason else ""))


def _joined(names: Sequence[str], single: Sequence[int]) -> list[int]:
    """Return the unit of each clip, numbered from 0: clips of one name or one recording are in one unit.

    Args:
        names: name of each clip's group.
        single: number of the first clip with the same recording, see `_single_units`.
    """
    parent = list(range(len(names)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[str, int] = {}
    for number, name in enumerate(names):
        for other in (first.setdefault(name, number), single[number]):
            one, two = sorted((root(number), root(other)))
            parent[two] = one
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(number), len(numbers)) for number in range(len(names))]


def _balanced(counts: NDArray[np.float64], units: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each unit, shape (all units,), -1 for those that are not divided.

    The largest units come first, each into the fold that has least of its classes.

    Args:
        counts: number of clips of each unit and class, shape (all units, classes).
        units: the units to divide, in which no unit has all clips of a class.
        count: number of folds.
        seed: seed of the order of units of the same size.
    """
    total = counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(units)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    held = np.zeros((count, len(total)))
    folds = np.full(len(counts), -1)

    def cost(unit: int) -> NDArray[np.float64]:
        own = counts[unit]
        squares = ((2 * held * own + own**2) / total**2).sum(axis=1)
        only = ((held + own == total) & (own > 0)).any(axis=1)  # no train clips of a class would be left
        return np.asarray(squares + 1e-6 * held.sum(axis=1) / total.sum() + 1e3 * only)

    for unit in order.tolist():
        folds[unit] = int(cost(unit).argmin())
        held[folds[unit]] += counts[unit]
    if (held == total).any():
        raise TrainingError(
            f"{count} folds: a class would have no train clips for one of them",
            fix="use fewer folds, or another --seed",
        )
    return folds


@dataclass(frozen=True)
class _Grouping:
    """What must not be divided between train and validation."""

    by: str
    """`speaker`, `dialogue` or `clip`."""
    units: list[str]
    """For each clip the unit that it belongs to."""
    groups: frozenset[str]
    """The units that are complete speakers or dialogues."""
    reason: str
    """Why a better grouping is not possible, as a phrase; empty if there is nothing to explain."""

    def remark(self, held_out: set[str]) -> str:
        """Return the end of the note: how many groups are held out, and what could not be held out."""
        held = f", {len(held_out & self.groups)} of {len(self.groups)} {self.by}s held out" if self.groups else ""
        return held + (f"; {self.reason}" if self.reason else "")


def _grouping(clips: Sequence[Clip]) -> _Grouping:
    reason = ""
    single = _single_units(clips)
    for by in _GROUPS:
        names, why_not = _group_names(clips, by)
        reason = reason or why_not
        if why_not or not names:
            continue
        of_class = defaultdict(set)
        for clip, name in zip(clips, names, strict=True):
            of_class[clip.label].add(name)
        alone = sorted(label for label, found in of_class.items() if len(found) == 1)
        if not alone:
            return _Grouping(by, names, frozenset(names), "")
        if len(alone) == len(of_class):
            reason = reason or f"every class has one {by} only, so the scores will be too good for others"
            continue
        units = [
            f"{name}\n{number:09}" if clip.label in alone else name
            for number, clip, name in zip(single, clips, names, strict=True)
        ]
        classes = ", ".join(map(repr, alone[:_NAMED])) + (f" and {len(alone) - _NAMED} more" if alone[_NAMED:] else "")
        return _Grouping(
            by,
            units,
            frozenset(units) & frozenset(names),
            f"clips of {classes} were divided one by one, because only one {by} has them",
        )
    return _Grouping("clip", [f"{number:09}" for number in single], frozenset(), reason)


def _group_names(clips: Sequence[Clip], by: str) -> tuple[list[str], str]:
    """Return the speaker or dialogue of each clip, and why clips cannot be held out by it; nothing if none has one."""
    names = [str(getattr(clip, by)) for clip in clips]
    if not any(names):
        return [], ""
    if not all(names):
        return names, f"{names.count('')} clips name no {by}, so clips of one {by} may be in both"
    if len(set(names)) == 1:
        return names, f"all clips are of one {by}, so the scores will be too good for others"
    return names, ""


def _single_units(clips: Sequence[Clip]) -> list[int]:
    """Return for each clip the number of the first clip with the same recording, its own number if there is none."""
    first = first_of_content(clip.audio for clip in clips if clip.audio is not None)
    numbers: dict[Path, int] = {}
    return [
        number if clip.audio is None else numbers.setdefault(first[clip.audio], number)
        for number, clip in enumerate(clips)
    ]


def _drawn(counts: NDArray[np.float64], seed: int) -> set[int]:
    """Return the units of the best of many random draws.

    Args:
        counts: number of clips of each unit and class, shape (units, classes).
        seed: seed of the draws.
    """
    target = VALIDATION_SHARE * counts.sum(axis=0)
    random = np.random.default_rng(seed)
    best, held_out = np.inf, set[int]()
    for _ in range(_DRAWS):
        order = random.permutation(len(counts))
        # As many units as come nearest to the share, but never all or none of them.
        filled = np.cumsum(counts[order].sum(axis=1))
        number = int(np.abs(filled - target.sum()).argmin()) + 1
        chosen = order[: min(max(number, 1), max(len(counts) - 1, 1))]
        held = counts[chosen].sum(axis=0)
        # A class without train clips cannot be learnt: worse than any other imbalance.
        distance = float((np.abs(held - target) / counts.sum(axis=0)).sum() + 10 * (held == counts.sum(axis=0)).sum())
        if distance < best:
            best, held_out = distance, set(chosen.tolist())
    return held_out


def _corrected(counts: NDArray[np.float64], held_out: set[int]) -> set[int]:
    """Return units of which none is the last one with clips of a class, and which no class of five clips lacks.

    A class is lacking nevertheless if validation would get more than half of all clips for it.
    """
    held_out = set(held_out)
    total, smallest_first = counts.sum(axis=0), np.argsort(counts.sum(axis=1), kind="stable").tolist()

    def held() -> NDArray[np.float64]:
        return np.asarray(counts[sorted(held_out)].sum(axis=0), np.float64)

    for unit in smallest_first:
        if unit in held_out and ((held() == total) & (counts[unit] > 0)).any():
            held_out.remove(unit)
    for lacking in range(len(total)):
        for unit in smallest_first:
            if held()[lacking] or (held_out and VALIDATION_SHARE * total[lacking] < 1):
                break
            more = held() + counts[unit]
            fits = not held_out or more.sum() <= total.sum() / 2
            if counts[unit][lacking] and fits and not ((more == total) & (counts[unit] > 0)).any():
                held_out.add(unit)
    return held_out
