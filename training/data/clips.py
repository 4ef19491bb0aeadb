"""Clips, the one form in which every corpus reaches training; what training requires of them; skipped recordings."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from device.bundle import label_problem
from device.errors import AudioError, TrainingError
from device.system.display import shortened

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_NAMES = {TRAIN: TRAIN, VALIDATION: VALIDATION, "dev": VALIDATION, TEST: TEST}
"""Names of splits in corpora, and the name of each one here."""
_LISTED = 20
"""How many skipped recordings are listed by name."""


@dataclass(frozen=True)
class Clip:
    """One utterance: its recording, its words, and the class it belongs to."""

    audio: Path | None
    """Path of the recording, or None for a clip without audio."""
    text: str
    """The words as the corpus writes them; empty for a clip without text."""
    label: str
    """Name of the class."""
    split: str
    """`train`, `validation` or `test`; test clips are reserved for an evaluation and take no part in training."""
    speaker: str = ""
    """Name of the speaker; empty if unknown."""
    dialogue: str = ""
    """The conversation that the utterance was part of, unique within the corpus; empty if unknown."""
    id: str = ""
    """Name of the clip in its corpus; empty if it has none."""
    transcript: str | None = None
    """The words as Vosk transcribes them; None if the clip was not transcribed or has no audio."""


@dataclass(frozen=True)
class Skipped:
    """A recording that cannot be used."""

    recording: Path
    """Path of the file."""
    reason: str
    """Why it cannot be used, as a phrase."""
    fix: str = ""
    """What the user can do about it, in the imperative; empty if the reason leaves no doubt."""

    @classmethod
    def because(cls, recording: Path, error: AudioError) -> "Skipped":
        """Return the recording with the message of an error, without the path that begins it, and with its fix."""
        return cls(recording, error.message.removeprefix(f"{recording}: "), error.fix)


def is_recording(path: Path) -> bool:
    """Return whether the file exists, for any path: `Path.is_file` raises for names that are too long."""
    return os.path.isfile(path)  # noqa: PTH113  # see the docstring


def check_trainable(clips: Sequence[Clip], where: str) -> None:
    """Check that there are clips in both splits and enough of each class.

    Args:
        clips: clips of any split; those of `test` are ignored.
        where: name of the corpus, for the message.

    Raises:
        TrainingError: a split is empty, there are fewer than two classes, or a class has one clip or no train clip.
    """
    counts = {split: Counter(clip.label for clip in clips if clip.split == split) for split in (TRAIN, VALIDATION)}
    for split, labels in counts.items():
        if not labels:
            raise TrainingError(
                f"{where}: no clip has split {split!r}", fix=f"give some rows `{split}` in the split column"
            )
    train, both = counts[TRAIN], counts[TRAIN] + counts[VALIDATION]
    if len(both) < 2:
        raise TrainingError(
            f"{where}: every clip has the label {next(iter(both))!r}",
            fix="add clips of another label: training needs at least 2 labels",
        )
    for label in sorted(both):
        if problem := label_problem(label):
            raise TrainingError(
                f"{where}: label {shortened(label)} {problem}", fix="give the class a short name in plain text"
            )
    once = sorted(label for label, count in both.items() if count == 1)
    if once:
        raise TrainingError(
            f"{where}: label {once[0]!r} is in one row only", fix="correct it if mistyped, or add clips of it"
        )
    never = sorted(set(both) - set(train))
    if never:
        raise TrainingError(
            f"{where}: label {never[0]!r} is in validation rows only", fix="add train rows with that label"
        )


def report_skipped(skipped: Sequence[Skipped], recordings: int, console: Console) -> None:
    """Print which recordings are skipped, why, and what to do about each, and how many of how many.

    Of very many only the first are listed.
    """
    if not skipped:
        return
    for each in skipped[:_LISTED]:
        line = "; ".join(filter(None, (f"skipped {each.recording}: {each.reason}", each.fix)))
        console.print(line, style="yellow", soft_wrap=True)
    if len(skipped) > _LISTED:
        console.print(f"and {len(skipped) - _LISTED} more", style="yellow")
    console.print(f"{len(skipped)} of {recordings} recordings skipped")
