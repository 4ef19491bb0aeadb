"""The texts that the words branch learns from: MELD's utterances and GoEmotions' comments, written as Vosk writes.

It knows the corpora's files and gives words with targets; it knows neither ids nor networks.
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

LABELS = ("negative", "neutral", "positive")
_PARTS = ("train", "dev", "test")
_HIDDEN = ("[NAME]", "[RELIGION]")
"""What GoEmotions wrote in place of names."""
_CLASSES = re.compile("[0-3](,[0-3])*")
_RARE = 4
"""A word of the comments alone is known from this many occurrences on."""
_WEIGHT_OF_SPEECH = 3
"""An occurrence in MELD, which is spoken, counts for so many in comments when words are ranked."""


@dataclass(frozen=True)
class Texts:
    """Normalised texts, none of them empty."""

    words: tuple[tuple[str, ...], ...]
    """Each text's words."""
    targets: NDArray[np.float32]
    """Shape (texts, labels): share of each class, adding up to 1, or zeros where nobody could tell."""
    dialogues: NDArray[np.int64]
    """Shape (texts,): which texts were said in one conversation; each by itself where that is not known."""

    def __len__(self) -> int:
        return len(self.words)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Shape (texts,): the likeliest class."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Texts":
        """Some of the texts."""
        places = np.arange(len(self))[rows]
        return Texts(tuple(self.words[place] for place in places), self.targets[places], self.dialogues[places])


@dataclass(frozen=True)
class TextCorpora:
    """All texts, apart by what they are for."""

    train: Texts
    """MELD's train utterances."""
    held_out: Texts
    """MELD's dev utterances; nothing is fitted to them but the calibration."""
    comments: Texts
    """GoEmotions' comments."""


def read_texts(data: Path) -> TextCorpora:
    """Read `meld/` and `text/goemotions-group/` in a folder of corpora.

    Raises:
        TrainingError: a corpus is missing or is something else.
    """
    clips, _ = read_meld(data / "meld", audio=False)
    train, held_out = (_utterances([clip for clip in clips if clip.split == split]) for split in (TRAIN, VALIDATION))
    return TextCorpora(train, held_out, _comments(data / "text" / "goemotions-group"))


def fit_default_vocabulary(corpora: TextCorpora) -> tuple[str, ...]:
    """Every word of MELD's train part, and the words that comments use repeatedly; the most frequent first."""
    speech = Counter(word for words in corpora.train.words for word in words)
    comments = Counter(word for words in corpora.comments.words for word in words)
    known = [word for word in speech + comments if word in speech or comments[word] >= _RARE]
    return tuple(sorted(known, key=lambda word: -(_WEIGHT_OF_SPEECH * speech[word] + comments[word])))


def _utterances(clips: Sequence[Clip]) -> Texts:
    spoken = [(normalise(clip.text).split(), clip) for clip in clips]
    spoken = [(words, clip) for words, clip in spoken if words]
    numbers = {dialogue: number for number, dialogue in enumerate(dict.fromkeys(clip.dialogue for clip in clips))}
    return Texts(
        tuple(tuple(words) for words, _ in spoken),
        np.eye(len(LABELS), dtype=np.float32)[[LABELS.index(clip.label) for _, clip in spoken]],
        np.array([numbers[clip.dialogue] for _, clip in spoken], np.int64),
    )


def _comments(folder: Path) -> Texts:
    """Tab-separated lines of comment, class numbers (0 is ambiguous, then as in `LABELS`) and an id."""
    words, targets = [], []
    for part in _PARTS:
        path = folder / f"{part}.tsv"
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"{path}: cannot be read ({error}); GoEmotions, grouped, is expected there") from None
        for number, line in enumerate(lines, start=1):
            comment, classes, _ = (*line.split("\t"), "", "", "")[:3]
            if not _CLASSES.fullmatch(classes):
                raise TrainingError(
                    f"{path}, line {number}: expected comment, classes (0 to {len(LABELS)}) and id with tabs between"
                )
            numbers = [int(each) for each in classes.split(",")]
            for hidden in _HIDDEN:
                comment = comment.replace(hidden, " ")
            text = normalise(comment)
            if text:
                words.append(tuple(text.split()))
                counts = np.bincount([each for each in numbers if each], minlength=len(LABELS) + 1)[1:]
                targets.append(counts / max(1, int(counts.sum())))
    return Texts(tuple(words), np.array(targets, np.float32).reshape(-1, len(LABELS)), np.arange(len(words)))
