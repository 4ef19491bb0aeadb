"""Pictures of unusual evaluations: they are drawn, without a warning."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from training.evaluation_pictures import _wrapped, confusion, reliability, training_curves
from training.scores import Scores


def drawn(figure: Figure | None) -> bool:
    assert figure is not None
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return len(buffer.getvalue()) > 1000


@pytest.mark.parametrize("classes", [2, 7, 40])
def test_any_number_of_classes(classes: int) -> None:
    random = np.random.default_rng(0)
    answers = random.dirichlet([0.3] * classes, 200).astype(np.float32)
    scores = {"both": Scores.of(random.integers(0, classes, 200), answers)}
    assert drawn(confusion(scores, [f"class number {i}" for i in range(classes)]))
    assert drawn(reliability(scores))


def test_single_row() -> None:
    scores = {"words alone": Scores.of(np.array([0]), np.array([[1, 0]], np.float32))}
    assert drawn(confusion(scores, ["a", "b"]))
    assert drawn(reliability(scores))


def test_history_of_others() -> None:
    assert drawn(training_curves([{"loss": 1}]))
    for foreign in (None, [], "text", [1, 2], [{"epoch": 1}], [{"loss": "low"}], {"loss": [1, 2]}):
        assert training_curves(foreign) is None


def test_words_are_no_formulas() -> None:
    assert _wrapped("it costs $5 or $6") == r"it costs \$5 or \$6"
    assert len(_wrapped("word " * 100).splitlines()) == 3
