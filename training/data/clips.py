"""A clip, the one form in which every corpus reaches training, and what a set of clips must have to be trained on."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from device.errors import TrainingError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_NAMES = {TRAIN: TRAIN, VALIDATION: VALIDATION, "dev": VALIDATION, TEST: TEST}
"""What corpora call their splits, and what they are called here."""

_LISTED = 20


@dataclass(frozen=True)
class Clip:
    """What was said once, how it sounded, and the class it belongs to."""

    audio: Path | None
    """The recording, or None where there is no sound."""
    text: str
    """The words as the corpus writes them; empty where there are none."""
    label: str
    """Name of the class."""
    split: str
    """`train`, `validation` or `test`; test clips are kept for an evaluation and take no part in training."""
    speaker: str = ""
    """Who spoke; empty where it is not known."""
    dialogue: str = ""
    """The conversation it was part of, unique within the corpus; empty where it is not known."""
    id: str = ""
    """The corpus's own name of the clip; empty where it has none."""
    transcript: str | None = None
    """The words as Vosk hears them; None where nobody has transcribed the clip, or there is no sound to hear."""


def is_recording(path: Path) -> bool:
    """Whether there is such a file, whatever the path looks like: `Path.is_file` raises for names that are too long."""
    return os.path.isfile(path)  # noqa: PTH113  # as told above


def check_trainable(clips: Sequence[Clip], where: str) -> None:
    """Check that there are clips in both splits and enough of each class.

    Args:
        clips: clips of any split; those of `test` are not looked at.
        where: the corpus's name, for the message.

    Raises:
        TrainingError: an empty split, fewer than two classes, or a class that training never or only once sees.
    """
    counts = {split: Counter(clip.label for clip in clips if clip.split == split) for split in (TRAIN, VALIDATION)}
    for split, labels in counts.items():
        if not labels:
            raise TrainingError(f"{where}: no clip has split {split!r}; give some rows `{split}` in the split column")
    train, both = counts[TRAIN], counts[TRAIN] + counts[VALIDATION]
    if len(both) < 2:
        raise TrainingError(f"{where}: every clip has the label {next(iter(both))!r}; training needs at least 2 labels")
    once = sorted(label for label, count in both.items() if count == 1)
    if once:
        raise TrainingError(
            f"{where}: label {once[0]!r} is in one row only; correct it if mistyped, or add clips of it"
        )
    never = sorted(set(both) - set(train))
    if never:
        raise TrainingError(f"{where}: label {never[0]!r} is in validation rows only; add train rows with it")


@dataclass(frozen=True)
class Skipped:
    """A recording that cannot be used."""

    recording: Path
    """The file."""
    reason: str
    """Why, in words."""


def report_skipped(skipped: Sequence[Skipped], recordings: int, console: Console) -> None:
    """Say how many of how many recordings are left out, and name them; of very many the first ones."""
    if not skipped:
        return
    for each in skipped[:_LISTED]:
        console.print(f"skipped {each.recording}: {each.reason}", style="yellow", markup=False, soft_wrap=True)
    if len(skipped) > _LISTED:
        console.print(f"and {len(skipped) - _LISTED} more", style="yellow")
    console.print(f"{len(skipped)} of {recordings} recordings skipped")
