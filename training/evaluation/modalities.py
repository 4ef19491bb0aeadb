"""What a network answers on clips, asked in three ways: with both inputs, by words alone, by sound alone."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.evaluation.scores import Scores
from training.images.examples import SILENCE, Examples

AUDIO_AND_TEXT, TEXT_ONLY, AUDIO_ONLY = "audio + text", "text only", "audio only"
Answer: TypeAlias = Callable[[Examples], NDArray[np.float32]]
"""Gives the probabilities of the rows asked, shape (rows, labels)."""


def ways(examples: Examples) -> dict[str, NDArray[np.int64]]:
    """All the ways of asking that the rows allow, each with the numbers of the rows to ask, shape (n,).

    Rows without the input in question are left out of its figure. By sound alone each recording counts once, however
    many rows it was paired with: asked without words it always gives the same answer.
    """
    found = {AUDIO_AND_TEXT: np.arange(len(examples))}
    with_words = np.flatnonzero(examples.ids.any(axis=1))
    if len(with_words):
        found[TEXT_ONLY] = with_words
    with_sound = np.flatnonzero(examples.index != SILENCE)
    if len(with_sound):
        _, first = np.unique(np.stack([examples.index, examples.labels])[:, with_sound], axis=1, return_index=True)
        found[AUDIO_ONLY] = with_sound[first]
    return found


def asked(examples: Examples, way: str, rows: NDArray[np.int64]) -> Examples:
    """The rows as they are put to the network in this way: the input that it is not asked by is silent or empty."""
    taken = examples.take(rows)
    index = np.full_like(taken.index, SILENCE) if way == TEXT_ONLY else taken.index
    ids = np.zeros_like(taken.ids) if way == AUDIO_ONLY else taken.ids
    return Examples(taken.images, index, ids, taken.labels)


def score_modalities(answer: Answer, examples: Examples) -> dict[str, Scores]:
    """Scores in each of the `ways`."""
    questions = {way: asked(examples, way, rows) for way, rows in ways(examples).items()}
    return {way: Scores.of(question.labels, answer(question)) for way, question in questions.items()}


def constant_scores(label: int, examples: Examples, classes: int) -> Scores:
    """Scores of giving the same answer whatever is asked: what a useful network has to beat."""
    return Scores.of(examples.labels, np.tile(np.eye(classes, dtype=np.float32)[label], (len(examples), 1)))


MODALITIES = (AUDIO_AND_TEXT, TEXT_ONLY, AUDIO_ONLY)


@dataclass(frozen=True)
class Question:
    """Rows as they are put to the model."""

    way: str
    """One of `MODALITIES`."""
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
        wanted: some of `MODALITIES`.
        drawn: more kinds of words, each drawn several times; their answers count together.
    """
    first = next(iter(texts.values()))
    known = np.logical_or.reduce([examples.ids.any(axis=1) for examples in texts.values()])
    rows = ways(replace(first, ids=known[:, None].astype(np.int32)))
    alone = [way for way in (TEXT_ONLY, AUDIO_ONLY) if way in rows]
    found = []
    for way in MODALITIES:
        # With nothing but words, or nothing but sound, "both" would be the same again by a wrong name.
        if way not in wanted or way not in rows or (way == AUDIO_AND_TEXT and len(alone) == 1 and alone[0] in wanted):
            continue
        if way == AUDIO_ONLY:
            found.append(Question(way, "", rows[way], asked(first, way, rows[way])))
            continue
        found += [Question(way, text, rows[way], asked(examples, way, rows[way])) for text, examples in texts.items()]
        for text, draws in drawn.items():
            ids = np.concatenate([examples.ids[rows[way]] for examples in draws])
            often = np.tile(rows[way], len(draws))
            found.append(Question(way, text, often, replace(asked(first, way, often), ids=ids)))
    return found
