"""The usual names of splits: `train`, `Training`, `01_train`, `val`, `dev-set`, `test_data`, `MELD`'s own and more.

A name counts if it consists of one word for a split, and otherwise only of numbers and of words that say what lies in a
folder, such as `set`, `data` or `clips`. Case, separators and Unicode forms make no difference.
"""

import re
import unicodedata
from collections.abc import Iterable

from training.data.clips import TEST, TRAIN, VALIDATION

USUAL = (TRAIN, VALIDATION, TEST)
"""Names to recommend in messages."""
_EVALUATION = "evaluation"
"""A name that some corpora use for validation, and others for test."""
_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "tr"), TRAIN),
    **dict.fromkeys(("validation", "validating", "validate", "valid", "vali", "val", "va"), VALIDATION),
    **dict.fromkeys(("development", "devel", "dev"), VALIDATION),
    **dict.fromkeys(("test", "tests", "testing", "tst", "te", "holdout"), TEST),
    **dict.fromkeys(("evaluation", "evaluate", "eval"), _EVALUATION),
}
_CONTENTS = frozenset({
    "set", "sets", "data", "dataset", "datasets", "split", "splits", "subset", "part", "partition", "folder",
    "files", "file", "audio", "audios", "wav", "wavs", "flac", "mp3", "clip", "clips", "recording", "recordings",
    "sample", "samples", "speech", "utterances", "complete", "output", "repeated", "sent", "emo", "meld",
})  # fmt: skip
"""Words that may accompany the word for a split; the last six are in names of MELD."""


def read_splits(names: Iterable[str]) -> dict[str, str]:
    """Return the split of each name that is the name of one.

    `eval` and `evaluation` are the validation split, unless another of the names is; then they are the test split.

    Args:
        names: names of folders, or values of the column split, of one corpus.
    """
    found = {name: kind for name in names if (kind := _kind(name)) is not None}
    evaluation = TEST if VALIDATION in found.values() else VALIDATION
    return {name: evaluation if kind == _EVALUATION else kind for name, kind in found.items()}


def is_split_name(name: str) -> bool:
    """Return whether a split may have this name."""
    return _kind(name) is not None


def ambiguous_names(names: Iterable[str]) -> list[str]:
    """Return the names whose split depends on the other names, in their order."""
    return [name for name in names if _kind(name) == _EVALUATION]


def _kind(name: str) -> str | None:
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", name).casefold())
    kinds = [_kind_of_word(word) for word in words if word not in _CONTENTS]
    return kinds[0] if len(kinds) == 1 else None  # "train_test" is the name of both, so of neither


def _kind_of_word(word: str) -> str | None:
    if word in _WORDS:
        return _WORDS[word]
    for content in _CONTENTS:  # "trainset", "dataset_train"
        for rest in (word.removesuffix(content), word.removeprefix(content)):
            if len(rest) > 2 and rest in _WORDS:
                return _WORDS[rest]
    return None
