import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from training.scores import Scores, confusion_table, scores_table


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs, np.int64).T
    scores = Scores.of(labels, predicted, 4)
    np.testing.assert_array_equal(scores.confusion, confusion_matrix(labels, predicted, labels=range(4)))
    assert scores.rows == len(pairs)
    assert scores.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert scores.weighted_f1 == pytest.approx(f1_score(labels, predicted, average="weighted", zero_division=0))
    assert scores.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))


def test_tables(console: Console) -> None:
    scores = Scores.of(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    console.print(scores_table({"both": scores}, ["no", "yes"]))
    console.print(confusion_table("both", scores, ["no", "yes"]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0.667" in shown
    assert "yes" in shown
    assert scores.to_card(["no", "yes"])["confusion"] == [[1, 1], [0, 1]]
