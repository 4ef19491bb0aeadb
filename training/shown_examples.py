"""Which answers of an evaluation are shown as examples: some right and some wrong, of every class."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.evaluation import BOTH, SOUND_ALONE
from training.evaluator import Evaluation
from training.examples import SILENCE


def examples_to_show(evaluation: Evaluation, most: int = 12) -> tuple[str, list[int]]:
    """Some answers about different recordings, half of them right and half wrong as far as there are so many.

    Returns:
        The way of asking, and places in its `Answers`, the right ones first; none where there was no sound to ask by.
    """
    with_sound = (
        name for way in (BOTH, SOUND_ALONE) for name, answers in evaluation.answers.items() if answers.way == way
    )
    way = next(with_sound, "")
    if not way:
        return "", []
    answers, examples = evaluation.answers[way], evaluation.examples
    order = np.random.default_rng(evaluation.settings.seed).permutation(len(answers.rows))
    seen = {SILENCE}
    halves: tuple[list[int], list[int]] = ([], [])
    for place in order.tolist():
        row = answers.rows[place]
        if examples.index[row] not in seen:
            seen.add(int(examples.index[row]))
            right = answers.probabilities[place].argmax() == examples.labels[row]
            halves[0 if right else 1].append(place)
    right, wrong = (_in_turns(half, examples.labels[answers.rows]) for half in halves)
    rights = right[: max(most // 2, most - len(wrong))]
    return way, rights + wrong[: most - len(rights)]


def _in_turns(places: Sequence[int], labels: NDArray[np.int64]) -> list[int]:
    """One of each class, then the second of each, and so on: the commonest class shall not fill the sheet."""
    taken: Counter[int] = Counter()
    turns = []
    for place in places:
        label = int(labels[place])
        turns.append((taken[label], place))
        taken[label] += 1
    return [place for _, place in sorted(turns, key=lambda turn: turn[0])]
