import pytest

from tests.training.evaluation.rule_predictor import RulePredictor


@pytest.fixture(autouse=True)
def _predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.evaluator.open_predictor", lambda _path, **_: RulePredictor())
