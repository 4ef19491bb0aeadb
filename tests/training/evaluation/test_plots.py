"""Plots of unusual evaluations: they are drawn, without a warning."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from training.evaluation.plots import _wrapped, plot_confusion, plot_reliability, plot_training_curves
from training.evaluation.scores import Scores


def is_drawn(figure: Figure | None) -> bool:
    assert figure is not None
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return len(buffer.getvalue()) > 1000


@pytest.mark.parametrize("classes", [2, 7, 40])
def test_any_number_of_classes(classes: int) -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.3] * classes, 200).astype(np.float32)
    scores = {"audio + text": Scores.of(random.integers(0, classes, 200), probabilities)}
    assert is_drawn(plot_confusion(scores, [f"class number {i}" for i in range(classes)]))
    assert is_drawn(plot_reliability(scores))


def test_class_names_stay_short_and_distinct() -> None:
    labels = [f"{'$x^{' if n % 2 else ''}a class with a very long name, number {n}" for n in range(4)]
    scores = {"audio + text": Scores.of(np.arange(4), np.eye(4, dtype=np.float32))}
    figure = plot_confusion(scores, labels)
    assert is_drawn(figure)
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 21


@pytest.mark.parametrize("conditions", [1, 2, 3])
def test_every_text_condition_has_a_panel(conditions: int) -> None:
    one = Scores.of(np.array([0, 1]), np.eye(2, dtype=np.float32))
    scores = {
        f"{modality}, {condition}": one for modality in ("audio + text", "text only") for condition in range(conditions)
    } | {"audio only": one}
    for figure in (plot_confusion(scores, ["a", "b"]), plot_reliability(scores)):
        titles = [axis.get_title().split("\n")[0].split(" (")[0] for axis in figure.axes if axis.get_visible()]
        assert [title for title in titles if title] == list(scores)
        assert figure.get_figwidth() < 13


def test_single_row() -> None:
    scores = {"text only": Scores.of(np.array([0]), np.array([[1, 0]], np.float32))}
    assert is_drawn(plot_confusion(scores, ["a", "b"]))
    assert is_drawn(plot_reliability(scores))


def test_history_of_another_program() -> None:
    assert is_drawn(plot_training_curves([{"loss": 1}]))
    for foreign in (None, [], "text", [1, 2], [{"epoch": 1}], [{"loss": "low"}], {"loss": [1, 2]}):
        assert plot_training_curves(foreign) is None


def test_text_is_not_a_formula() -> None:
    assert _wrapped("it costs $5 or $6") == r"it costs \$5 or \$6"
    assert len(_wrapped("word " * 100).splitlines()) == 3
