"""The conversation filter, against a hidden Markov model that is enumerated path by path."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.bundle import Companions, Transitions
from device.errors import SettingsError
from device.front_end.parameters import FrontEnd
from device.recognition.context import ConversationFilter, conversation_filter

MOODS = Transitions(((0.7, 0.2, 0.1), (0.25, 0.5, 0.25), (0.1, 0.3, 0.6)), (0.35, 0.35, 0.3))
INDEPENDENT = Transitions(((0.5, 0.3, 0.2),) * 3, (0.5, 0.3, 0.2))
UNDECIDED = np.full(3, 1 / 3)


def filtered(
    transitions: Transitions, rows: list[NDArray[np.float64]], pause_s: float = 1.0, memory_s: float = 30.0
) -> list[NDArray[np.float64]]:
    context = ConversationFilter(transitions, memory_s)
    return [context.update(row, number * (1 + pause_s), number * (1 + pause_s) + 1) for number, row in enumerate(rows)]


def enumerated(transitions: Transitions, rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Posterior of the last state: the sum over all paths of states, each with its probability and its likelihood."""
    frequencies = np.array(transitions.frequencies)
    likelihoods = [row / frequencies for row in rows]
    posterior = np.zeros(len(frequencies))
    for path in product(range(len(frequencies)), repeat=len(rows)):
        probability = frequencies[path[0]] * np.prod([likelihoods[t][state] for t, state in enumerate(path)])
        probability *= np.prod([transitions.following[a][b] for a, b in pairwise(path)])
        posterior[path[-1]] += probability
    found: NDArray[np.float64] = posterior / posterior.sum()
    return found


@given(st.lists(st.tuples(*[st.floats(0.01, 1)] * 3), min_size=1, max_size=5))
def test_equals_the_sum_over_all_paths(weights: list[tuple[float, float, float]]) -> None:
    rows = [np.array(row) / sum(row) for row in weights]
    np.testing.assert_allclose(filtered(MOODS, rows)[-1], enumerated(MOODS, rows), atol=1e-9)


def test_the_first_utterance_is_unchanged_and_an_undecided_one_follows_the_previous() -> None:
    clear = np.array([0.9, 0.05, 0.05])
    first, second = filtered(MOODS, [clear, UNDECIDED])
    assert first.tolist() == clear.tolist()
    assert second.argmax() == 0
    assert second.sum() == pytest.approx(1)


def test_classes_that_are_independent_of_the_previous_one_are_unchanged() -> None:
    rows = [np.array([0.9, 0.05, 0.05]), np.array([0.2, 0.5, 0.3])]
    np.testing.assert_allclose(filtered(INDEPENDENT, rows)[-1], rows[-1])


@pytest.mark.parametrize(("pause_s", "remembered"), [(29.9, True), (30.0, True), (30.1, False)])
def test_a_pause_ends_the_conversation(pause_s: float, remembered: bool) -> None:
    _, second = filtered(MOODS, [np.array([0.9, 0.05, 0.05]), UNDECIDED], pause_s)
    assert (second.tolist() != UNDECIDED.tolist()) == remembered


def test_a_class_with_probability_0_stays_at_0() -> None:
    _, second = filtered(MOODS, [np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.5, 0.5])])
    assert second[0] == 0
    assert second.sum() == pytest.approx(1)


def test_the_settings_decide_and_need_a_table() -> None:
    without = Companions(("a", "b", "c"), ("word",), FrontEnd())
    carrying = Companions(("a", "b", "c"), ("word",), FrontEnd(), transitions=MOODS)
    assert conversation_filter(0, carrying) is None
    assert conversation_filter(0, without) is None
    assert conversation_filter(30, carrying) is not None
    with pytest.raises(SettingsError, match=r"context_s is 30, and the model has no class transitions") as error:
        conversation_filter(30, without)
    assert error.value.fix.startswith("write context_s = 0 under [classifier]")
