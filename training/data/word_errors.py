"""Errors of speech recognition: how many there are between two texts, and texts with made-up ones.

Works on words, normalised before (`device.front_end.tokens.normalise`); knows neither clips nor networks.
"""

from collections.abc import Iterable, Sequence

import numpy as np

_REPLACED, _LOST = 0.6, 0.2
"""Shares of the errors; the rest are words that nobody said."""
_TRIES = 8


def simulate(words: Sequence[str], share: float, frequent: Sequence[str], random: np.random.Generator) -> list[str]:
    """The words as a recogniser with errors might hear them.

    Of the errors 60 % are words replaced by another, 20 % words lost and 20 % words inserted after one that is right,
    roughly as in Vosk's transcripts of conversation. So the expected word error rate is `share`.

    Args:
        words: what was said.
        share: errors per word, 0 to 1.
        frequent: words to replace by and to insert, each as often as it occurs, such as all words of a corpus in a
            row. Without any, words are lost only.
        random: draws the errors.
    """
    heard: list[str] = []
    for word, chance in zip(words, random.random(len(words)), strict=True):
        if chance >= share:
            heard.append(word)
        elif chance < share * _REPLACED:
            heard += _another(word, frequent, random)
        elif chance >= share * (_REPLACED + _LOST):
            heard += [word, *_another("", frequent, random)]
    return heard


def word_error_rate(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float | None:
    """Words replaced, lost and inserted over all texts, per word that was said; it can exceed 1.

    Args:
        pairs: for each text, the words that were said and those that were heard.

    Returns:
        The fewest such errors that explain what was heard (Levenshtein), over the number of words said; None if no
        word was said.
    """
    errors = said = 0
    for reference, heard in pairs:
        errors += _distance(reference, heard)
        said += len(reference)
    return errors / said if said else None


def _another(word: str, frequent: Sequence[str], random: np.random.Generator) -> list[str]:
    """One word that is not `word`, as long as such are easily found."""
    for _ in range(_TRIES if frequent else 0):
        drawn = frequent[int(random.integers(len(frequent)))]
        if drawn != word:
            return [drawn]
    return []


def _distance(reference: Sequence[str], heard: Sequence[str]) -> int:
    before = list(range(len(heard) + 1))
    for row, word in enumerate(reference, start=1):
        now = [row]
        for column, other in enumerate(heard, start=1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (word != other)))
        before = now
    return before[-1]
