"""What a network answers on clips, asked in three ways: with both inputs, by words alone, by sound alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.batches import Examples
from training.network import IDS_INPUT, TRUNK_INPUT
from training.scores import Scores

BOTH, WORDS_ALONE, SOUND_ALONE = "both", "words alone", "sound alone"
SILENCE = 0
"""Place of the silent picture among the pictures (`clip_pictures` puts it first)."""


def probabilities(head: Any, examples: Examples) -> NDArray[np.float32]:
    """The head's answer for each row, shape (rows, labels); `examples.pictures` holds the trunk's features."""
    # `predict_on_batch` in few large batches: `predict` would start a data pipeline each time.
    size = 512
    parts = []
    for start in range(0, len(examples), size):
        rows = examples.take(np.arange(start, min(start + size, len(examples))))
        parts.append(head.predict_on_batch({TRUNK_INPUT: rows.pictures[rows.index], IDS_INPUT: rows.ids}))
    answers: NDArray[np.float32] = np.concatenate(parts)
    return answers


def score(head: Any, examples: Examples) -> Scores:
    """Scores of the class with the highest probability in each row."""
    answers = probabilities(head, examples)
    return Scores.of(examples.labels, answers.argmax(axis=1), answers.shape[1])


def evaluate(head: Any, examples: Examples) -> dict[str, Scores]:
    """Ask in all the ways that the rows allow.

    Rows without the input in question are left out of its figure. By sound alone each recording counts once, however
    many rows it was paired with: asked without words it always gives the same answer.
    """
    found = {BOTH: score(head, examples)}
    with_words = np.flatnonzero(examples.ids.any(axis=1))
    if len(with_words):
        words = examples.take(with_words)
        silence = np.full_like(words.index, SILENCE)
        found[WORDS_ALONE] = score(head, Examples(words.pictures, silence, words.ids, words.labels))
    with_sound = np.flatnonzero(examples.index != SILENCE)
    if len(with_sound):
        _, first = np.unique(np.stack([examples.index, examples.labels])[:, with_sound], axis=1, return_index=True)
        sounds = examples.take(with_sound[first])
        found[SOUND_ALONE] = score(
            head, Examples(sounds.pictures, sounds.index, np.zeros_like(sounds.ids), sounds.labels)
        )
    return found


def always(label: int, examples: Examples, classes: int) -> Scores:
    """Scores of giving the same answer whatever is asked: what a useful network has to beat."""
    return Scores.of(examples.labels, np.full_like(examples.labels, label), classes)
