"""Errors of speech recognition: counts those between two texts, and simulates them in a text.

Works on words that `device.front_end.tokens.normalise` wrote; it is independent of clips and networks.
"""

from collections.abc import Iterable, Sequence

import numpy as np

_SUBSTITUTIONS, _DELETIONS = 0.6, 0.2
"""Shares of the errors; the rest are insertions."""
_TRIES = 8


def simulate(words: Sequence[str], share: float, frequent: Sequence[str], random: np.random.Generator) -> list[str]:
    """Return the words with simulated recognition errors.

    Of the errors 60 % are words replaced by another, 20 % words deleted and 20 % words inserted after a correct one,
    roughly as in Vosk's transcripts of conversation. So the expected word error rate is `share`.

    Args:
        words: the spoken words.
        share: errors per word, 0 to 1.
        frequent: words to substitute and to insert, each as often as it occurs, such as all words of a corpus in a
            row. If empty, words are only deleted.
        random: generator that draws the errors.
    """
    recognised: list[str] = []
    for word, chance in zip(words, random.random(len(words)), strict=True):
        if chance >= share:
            recognised.append(word)
        elif chance < share * _SUBSTITUTIONS:
            recognised += _another(word, frequent, random)
        elif chance >= share * (_SUBSTITUTIONS + _DELETIONS):
            recognised += [word, *_another("", frequent, random)]
    return recognised


def word_error_rate(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float | None:
    """Return the words substituted, deleted and inserted over all texts, per spoken word; it can exceed 1.

    Args:
        pairs: for each text, the spoken words and the recognised words.

    Returns:
        The fewest such errors that explain the recognised words (Levenshtein), over the number of spoken words; None if
        there are no spoken words.
    """
    errors = spoken = 0
    for reference, recognised in pairs:
        errors += _distance(reference, recognised)
        spoken += len(reference)
    return errors / spoken if spoken else None


def _another(word: str, frequent: Sequence[str], random: np.random.Generator) -> list[str]:
    """Return one word other than `word`, or none if several draws find no other."""
    for _ in range(_TRIES if frequent else 0):
        drawn = frequent[int(random.integers(len(frequent)))]
        if drawn != word:
            return [drawn]
    return []


def _distance(reference: Sequence[str], recognised: Sequence[str]) -> int:
    """Return the Levenshtein distance of two texts, in words."""
    before = list(range(len(recognised) + 1))
    for row, word in enumerate(reference, start=1):
        now = [row]
        for column, other in enumerate(recognised, start=1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (word != other)))
        before = now
    return before[-1]
