"""Clips, the one form in which every corpus reaches training; what training requires of them; skipped recordings."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from device.bundle import label_problem
from device.errors import AudioError, TrainingError
from device.system.display import displayable, shortened
from device.system.paths import GIT_LFS, file_problem
from training.data.finished_images import FinishedImages

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_LISTED = 20
"""How many skipped recordings are listed by name."""


@dataclass(frozen=True)
class Clip:
    """One utterance: its recording, its words, and the class it belongs to."""

    audio: Path | None
    """Path of the recording, or of a finished image of it, or None for a clip without audio."""
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
    """A recording, or a folder of recordings, that cannot be used."""

    recording: Path
    """Path of the file or the folder."""
    reason: str
    """Why it cannot be used, as a phrase."""
    fix: str = ""
    """What the user can do about it, in the imperative; empty if the reason leaves no doubt."""
    is_folder: bool = False
    """Whether it is a folder, whose recordings are unknown."""

    @classmethod
    def because(cls, recording: Path, error: AudioError) -> "Skipped":
        """Return the recording with the message of an error, without the path that begins it, and with its fix."""
        return cls(recording, error.message.removeprefix(f"{displayable(recording)}: "), error.fix)

    @classmethod
    def unopened(cls, recording: Path, reason: str, place: str = "") -> "Skipped":
        """Return a recording that cannot be opened.

        Args:
            recording: path of the file.
            reason: the result of `why_unusable`.
            place: where the corpus names the recording, as a phrase; empty if it is nowhere but in a folder.
        """
        if reason == GIT_LFS.message:
            return cls(recording, reason, GIT_LFS.fix)
        return cls(recording, f"{reason} ({place})" if place else reason)

    @property
    def is_pointer(self) -> bool:
        """Whether it is a pointer of Git LFS, of which a corpus has usually many."""
        return self.reason == GIT_LFS.message


class ReadClips(NamedTuple):
    """The clips of a corpus as they were read, and what the user should know about the reading."""

    clips: tuple[Clip, ...]
    """The clips that can be used."""
    note: str = ""
    """How splits were made; empty if the corpus defines them."""
    remarks: tuple[str, ...] = ()
    """What else was decided or left out, a line each."""
    skipped: tuple[Skipped, ...] = ()
    """What cannot be read."""
    images: FinishedImages | None = None
    """The finished images that the clips have instead of recordings; None if they have recordings."""


def why_unusable(path: Path) -> str:
    """Return why the path cannot be opened as a recording, as a phrase; empty if it can be opened.

    The content is not read: an openable file may still be damaged.
    """
    problem = file_problem(path)
    if problem is not None:
        return problem.message
    return "" if path.is_file() else "is a pipe or a device, not a file"


def label_key(label: str) -> str:
    """Return what remains of a label without differences of case, spaces, hyphens, underscores and Unicode form."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter) not in ("Zs", "Cf", "Cc", "Pd", "Pc"))


def refuse_pointers(where: str, skipped: Sequence[Skipped]) -> None:
    """Check that the recordings of a corpus are not all pointers of Git LFS.

    Args:
        where: name of the corpus, for the message.
        skipped: all recordings of a corpus of which none can be opened.

    Raises:
        TrainingError: they are pointers; one message is about all of them.
    """
    recordings = [each for each in skipped if not each.is_folder]
    if recordings and all(each.is_pointer for each in recordings):
        raise TrainingError(
            f"{displayable(where)}: all {len(recordings)} files hold a pointer of Git LFS instead of their content, "
            f"such as {displayable(recordings[0].recording)}",
            fix=GIT_LFS.fix,
        )


def similar_labels(clips: Iterable[Clip]) -> list[str]:
    """Return a warning for each group of labels that a reader would take for one, with the number of clips of each."""
    counts = Counter(clip.label for clip in clips)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        groups[label_key(label) or label].append(label)
    return [
        f"warning: {' and '.join(f'{_quoted(label, group)} ({counts[label]} clips)' for label in group)} count as "
        f"{len(group)} different classes; if they are one, write them the same way"
        for group in groups.values()
        if len(group) > 1
    ]


def untrained_labels(clips: Iterable[Clip]) -> list[str]:
    """Return a warning for each label that test clips have and no other clips, if there are train clips at all.

    A label that validation clips have and no train clips is refused by `check_trainable`.
    """
    counts = {split: Counter[str]() for split in (TRAIN, VALIDATION, TEST)}
    for clip in clips:
        counts[clip.split][clip.label] += 1
    if not counts[TRAIN]:
        return []
    learned = counts[TRAIN] + counts[VALIDATION]
    return [
        f"warning: label '{displayable(label)}' is in test rows only ({counts[TEST][label]} clips)"
        f"{_also_spelled(label, learned)}, so no network learns it; add train rows with that label, or remove these"
        for label in sorted(counts[TEST])
        if label not in learned
    ]


def _quoted(label: str, group: Sequence[str]) -> str:
    """Return the label in quotes, with escapes if another label of the group looks the same."""
    looks = [unicodedata.normalize("NFC", each) for each in group]
    if looks.count(unicodedata.normalize("NFC", label)) > 1:
        return ascii(label)
    return f"'{displayable(label)}'"


def check_trainable(clips: Sequence[Clip], where: str) -> None:
    """Check that there are clips in both splits and enough of each class.

    Args:
        clips: clips of any split; those of `test` are ignored.
        where: name of the corpus, for the message.

    Raises:
        TrainingError: a split is empty, there are fewer than two classes, or a class has one clip or no train clip.
    """
    counts = {split: Counter(clip.label for clip in clips if clip.split == split) for split in (TRAIN, VALIDATION)}
    train, both = counts[TRAIN], counts[TRAIN] + counts[VALIDATION]
    if not train and both:
        _refuse_empty_split(where, TRAIN)
    if len(both) == 1:
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
            f"{where}: label {once[0]!r} is in one row only{_also_spelled(once[0], both)}",
            fix="correct it if mistyped, or add clips of it",
        )
    for split, labels in counts.items():
        if not labels:
            _refuse_empty_split(where, split)
    never = sorted(set(both) - set(train))
    if never:
        raise TrainingError(
            f"{where}: label {never[0]!r} is in validation rows only{_also_spelled(never[0], train)}",
            fix="add train rows with that label",
        )


def _refuse_empty_split(where: str, split: str) -> None:
    raise TrainingError(
        f"{where}: no clip has split {split!r}",
        fix=f"give some rows `{split}` in the split column, or put recordings into a folder {split}",
    )


def _also_spelled(label: str, labels: Iterable[str]) -> str:
    """Return the remark that another label differs from this one only in its spelling; empty if none does."""
    similar = [other for other in sorted(labels) if other != label and label_key(other) == label_key(label)]
    return f" (there is also {similar[0]!r})" if similar else ""


def require_readable(unreadable: Sequence[Skipped], recordings: int) -> None:
    """Check that at least one recording is readable, if there are any.

    Args:
        unreadable: the recordings that are not.
        recordings: number of all recordings, those included.

    Raises:
        TrainingError: none is.
    """
    if unreadable and len(unreadable) == recordings:
        first = unreadable[0]
        raise TrainingError(
            f"none of the {recordings} recordings is readable; the first is {displayable(first.recording)} "
            f"({first.reason})",
            fix=first.fix or "convert them to WAV or FLAC",
        )


def report_skipped(skipped: Sequence[Skipped], recordings: int, console: Console) -> None:
    """Print which recordings and folders are skipped, why, and what to do about each, and how many of how many.

    Of very many only the first are listed. Pointers of Git LFS have one line together.

    Args:
        skipped: what is skipped.
        recordings: number of all recordings, skipped ones included and folders not.
        console: where to print.
    """
    if not skipped:
        return
    pointers = [each for each in skipped if each.is_pointer]
    others = [each for each in skipped if not each.is_pointer]
    for each in others[:_LISTED]:
        what = "folder " if each.is_folder else ""
        line = "; ".join(filter(None, (f"skipped {what}{each.recording}: {each.reason}", each.fix)))
        console.print(displayable(line), style="yellow", soft_wrap=True)
    if len(others) > _LISTED:
        console.print(f"and {len(others) - _LISTED} more", style="yellow")
    if pointers:
        line = (
            f"skipped {len(pointers)} files that hold a pointer of Git LFS instead of their content, "
            f"first {pointers[0].recording}; {GIT_LFS.fix}"
        )
        console.print(displayable(line), style="yellow", soft_wrap=True)
    folders = sum(each.is_folder for each in skipped)
    if len(skipped) > folders:
        console.print(f"{len(skipped) - folders} of {recordings} recordings skipped")
    if folders:
        console.print(f"{folders} folder{'s' if folders > 1 else ''} skipped with everything inside")
