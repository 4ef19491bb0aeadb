"""Which questions an evaluation puts to a model: each way of asking with each kind of words.

Knows rows, not models: what is asked is decided here, answering and counting happen elsewhere.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.evaluation import BOTH, SOUND_ALONE, WORDS_ALONE, asked, ways
from training.examples import Examples

WAYS = (BOTH, WORDS_ALONE, SOUND_ALONE)


@dataclass(frozen=True)
class Question:
    """Rows as they are put to the model."""

    way: str
    """One of `WAYS`."""
    text: str
    """Which words: empty where there is but one kind."""
    rows: NDArray[np.int64]
    """Shape (n,): which of the clips; with simulated errors each as often as it is drawn."""
    examples: Examples
    """Shape (n,) likewise."""

    @property
    def name(self) -> str:
        """Both of them: `words alone, as heard`."""
        return f"{self.way}, {self.text}" if self.text else self.way


def questions(
    texts: Mapping[str, Examples], wanted: Collection[str], drawn: Mapping[str, Sequence[Examples]]
) -> list[Question]:
    """All questions that the rows allow.

    Every kind of words is asked of the same rows, so that their figures can be compared: by words alone, of those in
    which any kind has a word that the model knows.

    Args:
        texts: the rows by kind of words; they differ in their ids only.
        wanted: some of `WAYS`.
        drawn: more kinds of words, each drawn several times; their answers count together.
    """
    first = next(iter(texts.values()))
    known = np.logical_or.reduce([examples.ids.any(axis=1) for examples in texts.values()])
    rows = ways(replace(first, ids=known[:, None].astype(np.int32)))
    alone = [way for way in (WORDS_ALONE, SOUND_ALONE) if way in rows]
    found = []
    for way in WAYS:
        # With nothing but words, or nothing but sound, "both" would be the same again by a wrong name.
        if way not in wanted or way not in rows or (way == BOTH and len(alone) == 1 and alone[0] in wanted):
            continue
        if way == SOUND_ALONE:
            found.append(Question(way, "", rows[way], asked(first, way, rows[way])))
            continue
        found += [Question(way, text, rows[way], asked(examples, way, rows[way])) for text, examples in texts.items()]
        for text, draws in drawn.items():
            ids = np.concatenate([examples.ids[rows[way]] for examples in draws])
            often = np.tile(rows[way], len(draws))
            found.append(Question(way, text, often, replace(asked(first, way, often), ids=ids)))
    return found
