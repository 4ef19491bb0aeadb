"""The queries of an evaluation: rows with audio and text, with their text only, or with their audio only.

This module decides which rows are part of a query and which of their inputs are blanked. It works on rows
(`Examples`) and is independent of models and files; `evaluator` runs the queries and counts the predictions.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.evaluation.scores import Scores
from training.images.examples import SILENCE, Examples

AUDIO_AND_TEXT, TEXT_ONLY, AUDIO_ONLY = "audio + text", "text only", "audio only"
MODALITIES = (AUDIO_AND_TEXT, TEXT_ONLY, AUDIO_ONLY)
"""All modalities, in the order in which they are reported."""

Predict: TypeAlias = Callable[[Examples], NDArray[np.float32]]
"""Returns the probabilities of some rows, shape (rows, labels)."""


@dataclass(frozen=True)
class Query:
    """Rows as they are given to the model."""

    modality: str
    """One of `MODALITIES`."""
    text: str
    """Name of the text condition, such as `Vosk transcript`; empty where there is only one."""
    rows: NDArray[np.int64]
    """Number of the clip of each row, shape (n,); with simulated word errors a clip occurs once per draw."""
    examples: Examples
    """The rows themselves, n of them, with the unused input blanked."""

    @property
    def name(self) -> str:
        """Modality and text condition, such as `text only, Vosk transcript`."""
        return f"{self.modality}, {self.text}" if self.text else self.modality


def rows_by_modality(examples: Examples) -> dict[str, NDArray[np.int64]]:
    """Return the numbers of the rows that each possible modality evaluates, shape (n,).

    Rows that lack the input in question are left out. With audio only, each recording counts once, however many texts
    it was paired with: without text its prediction is always the same.
    """
    found = {AUDIO_AND_TEXT: np.arange(len(examples))}
    with_text = np.flatnonzero(examples.ids.any(axis=1))
    if len(with_text):
        found[TEXT_ONLY] = with_text
    with_audio = np.flatnonzero(examples.index != SILENCE)
    if len(with_audio):
        _, first = np.unique(np.stack([examples.index, examples.labels])[:, with_audio], axis=1, return_index=True)
        found[AUDIO_ONLY] = with_audio[first]
    return found


def blank_unused(examples: Examples, modality: str, rows: NDArray[np.int64]) -> Examples:
    """Return these rows with the input that the modality does not use replaced: by silence, or by no words."""
    taken = examples.take(rows)
    index = np.full_like(taken.index, SILENCE) if modality == TEXT_ONLY else taken.index
    ids = np.zeros_like(taken.ids) if modality == AUDIO_ONLY else taken.ids
    return Examples(taken.images, index, ids, taken.labels)


def queries(
    texts: Mapping[str, Examples], modalities: Collection[str], corrupted: Mapping[str, Sequence[Examples]]
) -> list[Query]:
    """Return every query that the rows allow.

    Every text condition is evaluated on the same rows, so that their metrics can be compared: with text only, these are
    the rows in which any condition has a word that the model knows.

    Args:
        texts: rows by text condition; they differ in their ids only.
        modalities: the modalities to evaluate, some of `MODALITIES`.
        corrupted: rows of further text conditions, each drawn several times; the draws are counted together.
    """
    first = next(iter(texts.values()))
    known = np.logical_or.reduce([examples.ids.any(axis=1) for examples in texts.values()])
    rows = rows_by_modality(replace(first, ids=known[:, None].astype(np.int32)))
    single = [modality for modality in (TEXT_ONLY, AUDIO_ONLY) if modality in rows]
    found = []
    for modality in MODALITIES:
        if modality not in modalities or modality not in rows:
            continue
        if modality == AUDIO_AND_TEXT and len(single) == 1 and single[0] in modalities:
            continue  # all rows lack the other input, so this would repeat the single modality under a wrong name
        if modality == AUDIO_ONLY:
            found.append(Query(modality, "", rows[modality], blank_unused(first, modality, rows[modality])))
            continue
        found += [
            Query(modality, text, rows[modality], blank_unused(examples, modality, rows[modality]))
            for text, examples in texts.items()
        ]
        for text, draws in corrupted.items():
            ids = np.concatenate([examples.ids[rows[modality]] for examples in draws])
            repeated = np.tile(rows[modality], len(draws))
            found.append(Query(modality, text, repeated, replace(blank_unused(first, modality, repeated), ids=ids)))
    return found


def score_modalities(predict: Predict, examples: Examples) -> dict[str, Scores]:
    """Return the scores of each modality that the rows allow."""
    inputs = {modality: blank_unused(examples, modality, rows) for modality, rows in rows_by_modality(examples).items()}
    return {modality: Scores.of(rows.labels, predict(rows)) for modality, rows in inputs.items()}


def constant_scores(label: int, examples: Examples, classes: int) -> Scores:
    """Return the scores of always predicting class `label`: the baseline that a useful network has to beat."""
    return Scores.of(examples.labels, np.tile(np.eye(classes, dtype=np.float32)[label], (len(examples), 1)))
