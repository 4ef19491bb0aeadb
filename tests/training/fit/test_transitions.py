"""Transitions learnt from dialogues."""

import numpy as np
import pytest

from training.default_model.class_sets import SENTIMENT
from training.default_model.recipe import transitions_of
from training.default_model.text_branch.corpora import Texts
from training.fit.transitions import learn_transitions

LABELS = ("calm", "angry")


def test_pairs_are_counted_within_dialogues_and_smoothed() -> None:
    spoken = [("x", "calm"), ("y", "angry"), ("x", "calm"), ("x", "angry"), ("y", "angry"), ("", "calm"), ("z", "calm")]
    learnt = learn_transitions(spoken, LABELS)
    assert learnt is not None
    assert (learnt.dialogues, learnt.pairs) == (2, 3)
    # Six utterances have a dialogue, three of each class. After calm: calm once, angry once. After angry: angry once.
    assert learnt.transitions.frequencies == (0.5, 0.5)
    calm, angry = learnt.transitions.following
    assert calm == pytest.approx((6 / 12, 6 / 12))
    assert angry == pytest.approx((5 / 11, 6 / 11), abs=1e-6)


def test_few_pairs_hardly_differ_from_the_frequencies_and_none_is_0() -> None:
    learnt = learn_transitions([("x", "calm"), ("x", "calm")], (*LABELS, "sad"))
    assert learnt is not None
    assert learnt.transitions.frequencies == pytest.approx((3 / 5, 1 / 5, 1 / 5))
    assert learnt.transitions.following[1] == learnt.transitions.frequencies, "nothing follows it in the corpus"
    assert all(value > 0 for row in learnt.transitions.following for value in row)


def test_many_classes_and_pairs_still_add_up_to_1() -> None:
    random = np.random.default_rng(0)
    labels = [f"class {number}" for number in range(100)]
    spoken = [(number // 10, labels[random.integers(97)]) for number in range(5000)]
    assert learn_transitions(spoken, labels) is not None, "rounding is within what a bundle accepts"


@pytest.mark.parametrize("spoken", [[], [("", "calm")] * 9, [("x", "calm"), ("y", "calm")]])
def test_without_a_dialogue_of_two_utterances_there_is_no_table(spoken: list[tuple[str, str]]) -> None:
    assert learn_transitions(spoken, LABELS) is None


def test_the_recipe_of_the_default_model_learns_from_the_dialogues_of_meld() -> None:
    targets = np.eye(3, dtype=np.float32)[[0, 0, 0, 2, 2]]
    texts = Texts((("a",),) * 5, targets, np.array([7, 7, 7, 8, 8]))
    table = transitions_of(texts, SENTIMENT.labels)
    assert table is not None
    negative, neutral, positive = table.following
    assert negative[0] > neutral[0] > positive[0]
    assert transitions_of(Texts((("a",),) * 2, targets[:2], np.array([1, 2])), SENTIMENT.labels) is None
