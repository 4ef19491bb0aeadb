"""A model that predicts by a rule, so that every prediction is known beforehand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from device.bundle import Companions
from device.front_end.parameters import FrontEnd
from training.data.corpus import Corpus
from training.evaluation.evaluator import Evaluation, EvaluationSettings, evaluate_model
from training.images.examples import Examples

LABELS = ("negative", "positive")
HISTORY = [
    {"loss": 1.0, "accuracy": 0.4, "validation_loss": 1.1, "validation_weighted_f1": 0.5},
    {"loss": 0.8, "accuracy": 0.6, "validation_loss": 1.0, "validation_weighted_f1": 0.55},
]


class RulePredictor:
    """Knows the words `great` and `day`; predicts positive if the text has `great`, else negative, by 0.8."""

    companions = Companions(LABELS, ("great", "day"), FrontEnd(), {"history": HISTORY})
    runtime = "a rule"
    sha256 = "0" * 64

    def steps(self, rows: Examples) -> int:
        return len(rows)

    def probabilities(self, rows: Examples, progress: Callable[[int], None]) -> NDArray[np.float32]:
        progress(len(rows))
        positive = np.where((rows.ids == 1).any(axis=1), 0.8, 0.2)
        found: NDArray[np.float32] = np.stack([1 - positive, positive], axis=1).astype(np.float32)
        return found


def evaluated(table: Path | Corpus, console: Console, **settings: object) -> Evaluation:
    return evaluate_model(Path("Model.h5"), table, EvaluationSettings(**settings), console)  # type: ignore[arg-type]  # of several types
