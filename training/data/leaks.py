"""Finds what train clips share with the clips that a network is evaluated on, which makes its scores too good.

That is an identical recording, a speaker or a dialogue. Recordings are compared by content, whatever their names; only
those of the same size are read, and of these only a part unless it is equal as well.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from device.errors import TrainingError
from device.system.display import displayable
from training.data.clips import TEST, TRAIN, VALIDATION, Clip

_SHOWN = 3
"""How many recordings, speakers or dialogues a message names."""
_SAMPLE = 4096
"""Bytes in the middle of a file that are compared before all of it is read."""


@dataclass(frozen=True)
class Leaks:
    """What the train clips and the clips of another split share."""

    split: str
    """The other split."""
    recordings: tuple[tuple[Path, Path], ...]
    """Each recording of the other split that is in train as well: the one in train, and the one in the other split."""
    speakers: tuple[str, ...]
    """Names of speakers, sorted."""
    dialogues: tuple[str, ...]
    """Names of dialogues, sorted."""

    def identical(self) -> str:
        """Return how many recordings are in both splits, and the first of them, as a phrase."""
        pairs = [
            f"{displayable(one)} (the same file)" if one == other else f"{displayable(one)} and {displayable(other)}"
            for one, other in self.recordings
        ]
        count = "1 recording" if len(pairs) == 1 else f"{len(pairs)} recordings"
        verb = "is" if len(pairs) == 1 else "are"
        return f"{count} of {self.split} {verb} identical to recordings of {TRAIN}: {_listed(pairs, '; ')}"


def first_of_content(files: Iterable[Path]) -> dict[Path, Path]:
    """Return for each file the first one with the same content: itself, unless an earlier one is identical.

    A file that is empty or cannot be read is identical to no other.

    Args:
        files: paths, which may repeat.
    """
    first: dict[Path, Path] = {}
    sizes: defaultdict[int, list[Path]] = defaultdict(list)
    for file in dict.fromkeys(files):
        first[file] = file
        try:
            size = file.stat().st_size
        except (OSError, ValueError):
            continue
        if size:
            sizes[size].append(file)
    for of_size in sizes.values():
        for of_sample in _equal(of_size, _sample):
            for identical in _equal(of_sample, _digest):
                first.update(dict.fromkeys(identical, identical[0]))
    return first


def find_leaks(clips: Sequence[Clip]) -> list[Leaks]:
    """Return what validation and test clips share with the train clips, for each of the two splits that is there."""
    first = first_of_content(clip.audio for clip in clips if clip.audio is not None)
    train = [clip for clip in clips if clip.split == TRAIN]
    trained_on: dict[Path, Path] = {}
    for clip in train:
        if clip.audio is not None:
            trained_on.setdefault(first[clip.audio], clip.audio)
    found = []
    for split in (VALIDATION, TEST):
        others = [clip for clip in clips if clip.split == split]
        recordings = dict.fromkeys(clip.audio for clip in others if clip.audio is not None)
        pairs = [(trained_on[first[each]], each) for each in recordings if first[each] in trained_on]
        same_files = {clip.audio for clip in train}
        pairs = [(other if other in same_files else one, other) for one, other in pairs]
        speakers = {clip.speaker for clip in train} & {clip.speaker for clip in others} - {""}
        dialogues = {clip.dialogue for clip in train} & {clip.dialogue for clip in others} - {""}
        found.append(Leaks(split, tuple(pairs), tuple(sorted(speakers)), tuple(sorted(dialogues))))
    return found


def describe_leaks(clips: Sequence[Clip], *, made: bool = False) -> list[str]:
    """Return a warning for each kind of leak.

    Args:
        clips: the clips of a corpus.
        made: whether the program made the validation split. Its note about that explains which speakers and dialogues
            could not be held out, so they are not repeated here.
    """
    lines = []
    for leaks in find_leaks(clips):
        if leaks.recordings:
            lines.append(f"warning: {leaks.identical()}; the scores will be too good")
        if made and leaks.split == VALIDATION:
            continue
        for kind, names in (("speaker", leaks.speakers), ("dialogue", leaks.dialogues)):
            if names:
                count = f"1 {kind} is" if len(names) == 1 else f"{len(names)} {kind}s are"
                shown = _listed([displayable(name) for name in names], ", ")
                lines.append(
                    f"warning: {count} in {TRAIN} and in {leaks.split} ({shown}); the scores do not hold for other "
                    f"{kind}s"
                )
    return lines


def refuse_identical(clips: Sequence[Clip], where: str) -> None:
    """Check that no validation recording is identical to a train recording.

    Args:
        clips: clips of any split.
        where: name of the corpus, for the message.

    Raises:
        TrainingError: some are.
    """
    for leaks in find_leaks([clip for clip in clips if clip.split != TEST]):
        if leaks.recordings:
            raise TrainingError(
                f"{displayable(where)}: {leaks.identical()}; the scores would be too good",
                fix="delete the copies, or put both into one split; to train nevertheless, add --allow-identical",
            )


def _equal(files: Sequence[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    """Return the groups of two or more files that have the same key; a file that cannot be read is in none."""
    groups: defaultdict[Hashable, list[Path]] = defaultdict(list)
    if len(files) > 1:
        for file in files:
            try:
                groups[key(file)].append(file)
            except (OSError, ValueError):
                continue
    return [group for group in groups.values() if len(group) > 1]


def _sample(file: Path) -> bytes:
    with file.open("rb") as stream:
        stream.seek(file.stat().st_size // 2)
        return stream.read(_SAMPLE)


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _listed(names: Sequence[str], separator: str) -> str:
    more = len(names) - _SHOWN
    return separator.join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
