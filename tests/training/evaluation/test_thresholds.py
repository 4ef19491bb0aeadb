"""Thresholds for a wanted precision, from predictions whose confidence and truth are known."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from rich.console import Console

from device.settings.toml import read_settings
from tests.training.conftest import printed
from tests.training.evaluation.rule_predictor import RulePredictor, evaluated
from training.data.clips import Clip
from training.data.corpus import Corpus
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import TEXT_ONLY
from training.evaluation.report.files import write_report
from training.evaluation.report.findings import as_json
from training.evaluation.report.terminal import print_thresholds
from training.evaluation.thresholds import recommend

Rows = Sequence[tuple[float, str, str]]
"""Probability of `positive`, true class, and speaker of each row."""


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, console: Console) -> Callable[[Rows], Evaluation]:
    """A function that evaluates a model with these predictions."""
    monkeypatch.setattr("training.evaluation.evaluator.open_predictor", lambda _path, runtime: RulePredictor())

    def evaluate(rows: Rows) -> Evaluation:
        positive = np.array([share for share, _, _ in rows], np.float32)

        def probabilities(_self: object, some: object, progress: Callable[[int], None]) -> NDArray[np.float32]:
            progress(len(rows))
            assert some
            return np.stack([1 - positive, positive], axis=1)

        monkeypatch.setattr(RulePredictor, "probabilities", probabilities)
        clips = tuple(Clip(None, "great", label, "validation", speaker) for _, label, speaker in rows)
        return evaluated(Corpus("clips", clips), console, modalities=(TEXT_ONLY,))

    return evaluate


# 40 predictions of positive by 0.9, of which 36 are right, and 40 by 0.6, of which 20 are right.
ROWS = [
    (share, "positive" if number < right else "negative", f"speaker {number % 8}")
    for share, right in ((0.9, 36), (0.6, 20))
    for number in range(40)
]


def test_the_lowest_threshold_with_the_precision(found: Callable[[Rows], Evaluation]) -> None:
    result = recommend(found(ROWS), 0.8)
    assert (result.common.value, result.common.left, result.common.precision) == (0.61, 40, 0.9)
    assert result.common.coverage == 0.5
    assert result.common.interval is not None
    low, high = result.common.interval
    assert 0.75 < low < 0.9 < high <= 1
    negative, positive = result.by_class
    assert (positive.label, positive.value, positive.left) == ("positive", 0.61, 40)
    assert negative.value is None
    assert negative.reason == "0 predictions are too few, at least 20 are needed"
    assert result.toml == "[classifier]\nconfidence = 0.61\n"
    assert recommend(found(ROWS), 0.7).common.value == 0  # without a threshold, 56 of 80 are right


def test_the_settings_read_back(found: Callable[[Rows], Evaluation], tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(recommend(found(ROWS), 0.8).toml, "utf-8")
    assert read_settings(path).classifier.confidence == 0.61


def test_each_class_by_itself(found: Callable[[Rows], Evaluation]) -> None:
    always_right = [(0.2, "negative", f"speaker {number}") for number in range(30)]
    result = recommend(found([*ROWS, *always_right]), 0.85)
    negative, positive = result.by_class
    assert (negative.value, negative.left, negative.precision) == (0, 30, 1)
    assert positive.value == 0.61
    assert result.common.value == 0.61


def test_no_recommendation_without_support(found: Callable[[Rows], Evaluation], console: Console) -> None:
    few = found(ROWS[:19])
    result = recommend(few, 0.8)
    assert result.common.value is None
    assert result.toml == ""
    print_thresholds(result, console)
    assert "all classes: 19 predictions are too few, at least 20 are needed." in printed(console)
    assert "Settings for the device" not in printed(console)
    result = recommend(found(ROWS), 0.95)
    expected = "no threshold that leaves at least 20 predictions has a precision of 0.95; the highest is 0.900, at 0.61"
    assert result.common.reason == expected
    plain = as_json(few, "", result)["thresholds"]
    assert plain["all"] == {"predictions": 80, "threshold": None, "reason": expected}
    assert plain["toml"] is None
    one_speaker = recommend(found([(share, label, "a") for share, label, _ in ROWS]), 0.8)
    assert one_speaker.common.value == 0.61
    assert one_speaker.common.interval is None


def test_shown_everywhere(found: Callable[[Rows], Evaluation], console: Console, tmp_path: Path) -> None:
    evaluation = found(ROWS)
    result = recommend(evaluation, 0.8)
    print_thresholds(result, console)
    report = write_report(evaluation, tmp_path, "", thresholds=result)
    page = report.with_name("report.html").read_text("utf-8")
    for text in (printed(console), report.read_text("utf-8"), page):
        for expected in ("for a precision of 0.8, text only", "0.61", "0.900 (", "40 of 80 (50%)", "[classifier]"):
            assert expected in text
    plain = json.loads(report.with_name("evaluation.json").read_text("utf-8"))["thresholds"]
    assert plain["all"]["threshold"] == plain["classes"]["positive"]["threshold"] == 0.61
    assert plain["all"]["coverage"] == 0.5
    assert plain["all"]["precision"]["low"] < plain["all"]["precision"]["value"] == 0.9
    assert plain["input"] == TEXT_ONLY
    assert as_json(evaluation, "")["thresholds"] is None


def test_transcripts_are_preferred(tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.evaluator.open_predictor", lambda _path, runtime: RulePredictor())
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16_000)
    rows = [("a.wav", "great", "positive", "dev", "day")] * 20
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("audio", "text", "label", "split", "text_vosk"), *rows])
    result = recommend(evaluated(tmp_path / "t.csv", console, text="both"), 0.8)
    assert result.query == "audio + text, Vosk transcript"
    assert result.common.value is None  # from the transcripts every prediction is wrong, from the text none
