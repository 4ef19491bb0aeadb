"""The corpora of the text branch: MELD's utterances and GoEmotions' comments, written as Vosk writes.

Reads the files of the corpora into words with targets, independent of ids and networks.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.errors import TrainingError
from device.front_end.tokens import normalise
from training.data.clips import TRAIN, VALIDATION, Clip
from training.data.meld import read_meld
from training.default_model.class_sets import ClassSet

_GROUPS = ("negative", "neutral", "positive")
"""Groups of GoEmotions' emotions; 0 in its files is ambiguous, 1 the first of them."""
_PARTS = ("train", "dev", "test")
_PLACEHOLDERS = ("[NAME]", "[RELIGION]")
"""Placeholders that GoEmotions has instead of names."""
_NUMBERS = re.compile("[0-3](,[0-3])*")
_FEWEST_OCCURRENCES = 4
"""Number of occurrences from which on a word of the comments, unused in MELD, is part of the vocabulary."""
_WEIGHT_OF_SPEECH = 3
"""Occurrences in comments that one occurrence in MELD, which is spoken, equals when words are ranked."""


@dataclass(frozen=True)
class Texts:
    """Normalised texts, none of them empty."""

    words: tuple[tuple[str, ...], ...]
    """Words of each text."""
    targets: NDArray[np.float32]
    """Share of each class, shape (texts, labels), adding up to 1; zeros where the annotators could not decide, or
    the corpus does not have these classes."""
    dialogues: NDArray[np.int64]
    """Number of each text's conversation, shape (texts,); a different one for each text where it is not known."""

    def __len__(self) -> int:
        return len(self.words)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Most probable class of each text, shape (texts,)."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Texts":
        """Return some of the texts."""
        places = np.arange(len(self))[rows]
        return Texts(tuple(self.words[place] for place in places), self.targets[places], self.dialogues[places])


@dataclass(frozen=True)
class TextCorpora:
    """All texts, by their purpose."""

    train: Texts
    """MELD's train utterances."""
    held_out: Texts
    """MELD's dev utterances; only the calibration is fitted to them."""
    comments: Texts
    """GoEmotions' comments."""


def read_text_corpora(data: Path, classes: ClassSet) -> TextCorpora:
    """Read `meld/` and `text/goemotions-group/` in a folder of corpora, labelled with the classes of a set.

    Raises:
        TrainingError: a corpus is missing or has another format.
    """
    clips, _ = read_meld(data / "meld", classes.meld_target, audio=False)
    train, held_out = (
        _utterances([clip for clip in clips if clip.split == split], classes.labels) for split in (TRAIN, VALIDATION)
    )
    return TextCorpora(train, held_out, _comments(data / "text" / "goemotions-group", classes))


def default_vocabulary(corpora: TextCorpora) -> tuple[str, ...]:
    """Return every word of MELD's train part and the repeated words of the comments; the most frequent first."""
    speech = Counter(word for words in corpora.train.words for word in words)
    comments = Counter(word for words in corpora.comments.words for word in words)
    known = [word for word in speech + comments if word in speech or comments[word] >= _FEWEST_OCCURRENCES]
    return tuple(sorted(known, key=lambda word: -(_WEIGHT_OF_SPEECH * speech[word] + comments[word])))


def _utterances(clips: Sequence[Clip], labels: Sequence[str]) -> Texts:
    spoken = [(normalise(clip.text).split(), clip) for clip in clips]
    spoken = [(words, clip) for words, clip in spoken if words]
    numbers = {dialogue: number for number, dialogue in enumerate(dict.fromkeys(clip.dialogue for clip in clips))}
    return Texts(
        tuple(tuple(words) for words, _ in spoken),
        np.eye(len(labels), dtype=np.float32)[[labels.index(clip.label) for _, clip in spoken]],
        np.array([numbers[clip.dialogue] for _, clip in spoken], np.int64),
    )


def _comments(folder: Path, classes: ClassSet) -> Texts:
    """Read tab-separated lines of comment, group numbers (0 is ambiguous, then as in `_GROUPS`) and an id."""
    class_of = {
        number: classes.labels.index(classes.of_comment[group])
        for number, group in enumerate(_GROUPS, 1)
        if group in classes.of_comment
    }
    words, targets = [], []
    for part in _PARTS:
        path = folder / f"{part}.tsv"
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"{path}: cannot be read ({error})", fix="put GoEmotions, grouped, there") from None
        for number, line in enumerate(lines, start=1):
            comment, groups, _ = (*line.split("\t"), "", "", "")[:3]
            if not _NUMBERS.fullmatch(groups):
                raise TrainingError(
                    f"{path}, line {number}: expected comment, classes (0 to {len(_GROUPS)}) and id, separated by tabs",
                    fix="download GoEmotions, grouped, again",
                )
            numbers = [int(each) for each in groups.split(",")]
            for placeholder in _PLACEHOLDERS:
                comment = comment.replace(placeholder, " ")
            text = normalise(comment)
            if text:
                words.append(tuple(text.split()))
                counts = np.bincount(
                    [class_of[each] for each in numbers if each in class_of], minlength=len(classes.labels)
                )
                targets.append(counts / max(1, int(counts.sum())))
    return Texts(tuple(words), np.array(targets, np.float32).reshape(-1, len(classes.labels)), np.arange(len(words)))
