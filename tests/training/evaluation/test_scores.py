from io import StringIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from tests.training.conftest import printed
from training.evaluation.score_tables import class_table, confusion_table, f1_table, scores_table
from training.evaluation.scores import BINS, Scores


def certain(predicted: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    return np.eye(classes, dtype=np.float32)[predicted]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
@settings(max_examples=100)
def test_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs, np.int64).T
    scores = Scores.of(labels, certain(predicted, 4))
    np.testing.assert_array_equal(scores.confusion, confusion_matrix(labels, predicted, labels=range(4)))
    assert scores.rows == len(pairs)
    assert scores.accuracy == pytest.approx(accuracy_score(labels, predicted))
    by_class = precision_recall_fscore_support(labels, predicted, labels=range(4), zero_division=0)
    for metric, golden in zip((scores.precision, scores.recall, scores.f1, scores.support), by_class, strict=True):
        np.testing.assert_allclose(metric, golden)
    for average, found in (("weighted", scores.weighted_f1), ("macro", scores.macro_f1)):
        golden = precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)[2]
        assert found == pytest.approx(golden)
    # With a confidence of 1 throughout, the gap is the share of wrong predictions.
    assert scores.calibration_error == pytest.approx(1 - accuracy_score(labels, predicted))


def test_calibration_error_by_hand() -> None:
    # 15 bins of 1/15: 0.62 and 0.66 share the tenth, (0.6, 0.667]; 0.9 is in the fourteenth, (0.867, 0.933].
    probabilities = np.array([[0.62, 0.38], [0.66, 0.34], [0.1, 0.9], [0.1, 0.9]], np.float32)
    scores = Scores.of(np.array([0, 1, 1, 1]), probabilities)
    assert scores.reliability[:, 0].nonzero()[0].tolist() == [9, 13]
    # Tenth: confidence 1.28 for 1 correct; fourteenth: 1.8 for 2 correct; of 4 rows.
    assert scores.calibration_error == pytest.approx((0.28 + 0.2) / 4, abs=1e-6)


@pytest.mark.parametrize(("confidence", "expected"), [(1.0, 14), (0.2, 2), (0.5, 7), (0.0, 0)])
def test_bins_include_their_upper_edge(confidence: float, expected: int) -> None:
    scores = Scores.of(np.array([0]), np.array([[confidence, 0]], np.float64))
    assert scores.reliability.shape == (BINS, 3)
    assert scores.reliability[:, 0].argmax() == expected


def test_groups_add_up_to_all_rows() -> None:
    random = np.random.default_rng(0)
    labels, probabilities = random.integers(0, 3, 50), random.dirichlet([1, 1, 1], 50).astype(np.float32)
    by_group = Scores.of_groups(labels, probabilities, random.integers(0, 4, 50), 4)
    complete, twice = Scores.of(labels, probabilities), by_group.total(np.array([[1, 1, 1, 1], [2, 2, 2, 2]]))
    for metric in ("accuracy", "f1", "weighted_f1", "macro_f1", "precision", "recall", "calibration_error"):
        for sample in getattr(twice, metric):
            np.testing.assert_allclose(sample, getattr(complete, metric), err_msg=metric)


def test_no_rows() -> None:
    scores = Scores.of(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
    assert scores.rows == 0
    assert scores.accuracy == scores.macro_f1 == scores.weighted_f1 == scores.calibration_error == 0


def test_seven_classes_fit_into_80_columns() -> None:
    labels = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
    truth = np.arange(7)
    perfect = {
        modality: Scores.of(truth, certain(truth, 7)) for modality in ("audio + text", "text only", "audio only")
    }
    constant = Scores.of(truth, certain(np.full(7, 4), 7))
    narrow = Console(file=StringIO(), width=80)
    beside = {**perfect, "always neutral": constant}
    for table in (
        scores_table(beside),
        f1_table(beside, labels),
        confusion_table("audio + text", perfect["audio + text"], labels),
    ):
        narrow.print(table)
    shown = printed(narrow)
    assert "\u2026" not in shown
    by_class = shown.partition("F1 by class")[2].partition("confusion")[0]
    found = {cells[1].strip(): [cell.strip() for cell in cells[2:6]]
             for line in by_class.splitlines() if len(cells := line.split("\u2502")) > 5}  # fmt: skip
    assert found == {label: ["1.000"] * 3 + ["0.250" if label == "neutral" else "0.000"] for label in labels}


def test_tables(console: Console) -> None:
    scores = Scores.of(np.array([0, 0, 1]), certain(np.array([0, 1, 1]), 2))
    samples = Scores(scores.confusion[None], scores.reliability[None])
    console.print(scores_table({"audio + text": scores}))
    console.print(confusion_table("audio + text", scores, ["no", "yes"]))
    console.print(class_table("audio + text", scores, ["no", "yes"], samples))
    shown = printed(console)
    assert "0.667" in shown
    assert "0.500\u20130.500" in shown
    assert "yes" in shown
    narrow = Console(file=StringIO(), width=80)
    narrow.print(scores_table({"text only": scores}, "Model.tflite, validation", {"text only": samples}))
    assert "\u2026" not in printed(narrow)
    card = scores.to_card(["no", "yes"])
    assert card["confusion"] == [[1, 1], [0, 1]]
    assert card["calibration_error"] == 0.3333
