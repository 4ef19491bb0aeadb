"""The conversation filter in an evaluation, on a text-only table with a model that predicts by a rule."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from device.bundle import Companions, Transitions
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from training.data.clips import VALIDATION, Clip
from training.evaluation.conversation import filter_dialogues
from training.evaluation.evaluator import Evaluation, EvaluationSettings, evaluate_model
from training.evaluation.modalities import TEXT_ONLY
from training.evaluation.report.findings import as_json
from training.images.examples import Examples

LABELS = ("bad", "good")
STICKY = Transitions(((0.9, 0.1), (0.1, 0.9)), (0.5, 0.5))
COMPANIONS = Companions(LABELS, ("great", "well"), FrontEnd(), transitions=STICKY)


class RulePredictor:
    """Predicts good by 0.9 for `great`, and is undecided for `well`."""

    runtime = "a rule"
    sha256 = "0" * 64

    def __init__(self, companions: Companions) -> None:
        self.companions = companions

    def steps(self, rows: Examples) -> int:
        return len(rows)

    def probabilities(self, rows: Examples, progress: Callable[[int], None]) -> NDArray[np.float32]:
        good = np.where((rows.ids == 1).any(axis=1), 0.9, 0.45)
        found: NDArray[np.float32] = np.stack([1 - good, good], axis=1).astype(np.float32)
        return found


def table(folder: Path, dialogues: tuple[str, ...]) -> Path:
    path = folder / "table.csv"
    texts = ("great", "well", "well", "well")
    with path.open("w", newline="") as stream:
        rows = [("", text, "good", VALIDATION, dialogue) for text, dialogue in zip(texts, dialogues, strict=True)]
        csv.writer(stream).writerows([("audio", "text", "label", "split", "dialogue"), *rows])
    return path


def evaluated(
    monkeypatch: pytest.MonkeyPatch, path: Path, companions: Companions = COMPANIONS, **settings: object
) -> Evaluation:
    monkeypatch.setattr("training.evaluation.evaluator.open_predictor", lambda _path, **_: RulePredictor(companions))
    chosen = EvaluationSettings(modalities=(TEXT_ONLY,), **settings)  # type: ignore[arg-type]  # of several types
    return evaluate_model(Path("Model.h5"), path, chosen, Console(quiet=True))


def test_earlier_utterances_of_a_dialogue_influence_the_later_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = table(tmp_path, ("x", "x", "y", "x"))
    without, found = evaluated(monkeypatch, path), evaluated(monkeypatch, path, context=True)
    assert without.results[TEXT_ONLY].scores.accuracy == 0.25
    assert found.results[TEXT_ONLY].scores.accuracy == 0.75, "the one of another dialogue has nothing before it"
    assert (as_json(without, "")["context"], as_json(found, "")["context"]) == (False, True)


def test_each_draw_of_word_errors_is_its_own_conversation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clips = [Clip(None, "", "good", VALIDATION, dialogue=dialogue) for dialogue in ("x", "x", "")]
    once = np.array([[0.1, 0.9], [0.55, 0.45], [0.55, 0.45]], np.float32)
    single = filter_dialogues(once, np.arange(3), clips, COMPANIONS)
    twice = filter_dialogues(np.tile(once, (2, 1)), np.tile(np.arange(3), 2), clips, COMPANIONS)
    assert twice.tolist() == [*single.tolist(), *single.tolist()]
    assert single[1, 1] > 0.5
    assert single[2].tolist() == once[2].tolist(), "without a dialogue it is unchanged"
    shuffled = filter_dialogues(once[[1, 0]], np.array([1, 0]), clips, COMPANIONS)
    assert shuffled.tolist() == single[[1, 0]].tolist(), "the order of the corpus counts"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^Model\.h5: has no class transitions"):
        evaluated(monkeypatch, table(tmp_path, ("x",) * 4), replace(COMPANIONS, transitions=None), context=True)
    with pytest.raises(TrainingError, match=r"table\.csv: no clip has a dialogue"):
        evaluated(monkeypatch, table(tmp_path, ("",) * 4), context=True)
