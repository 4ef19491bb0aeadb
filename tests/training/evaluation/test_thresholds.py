"""Thresholds for a wanted precision, from predictions whose confidence and truth are known."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from rich.console import Console

from device.audio.endpoint import EndpointerUpdate
from device.events import Prediction, Utterance
from device.recognition.classifier import required_confidences
from device.settings.schema import ClassifierSettings
from device.settings.toml import read_settings
from tests.device.test_pipeline import TRANSITIONS, Rig
from tests.training.conftest import printed
from tests.training.evaluation.rule_predictor import LABELS, RulePredictor, evaluated
from training.data.clips import Clip
from training.data.corpus import Corpus
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import TEXT_ONLY
from training.evaluation.report.files import write_report
from training.evaluation.report.findings import as_json
from training.evaluation.report.terminal import print_thresholds
from training.evaluation.thresholds import Thresholds, recommend

Rows = Sequence[tuple[float, str, str]]
"""Probability of `positive`, true class, and speaker of each row."""


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, console: Console) -> Callable[[Rows], Evaluation]:
    """A function that evaluates a model with these predictions."""
    monkeypatch.setattr("training.evaluation.evaluator.open_predictor", lambda _path, **_: RulePredictor())

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
    assert result.toml.splitlines() == [
        "[classifier]",
        "# The confidences are for context_s = 0.",
        "# No confidence of their own, so that they have that of all classes together:",
        "#   negative: 0 predictions are too few, at least 20 are needed",
        "confidence = { negative = 0.61, positive = 0.61 }",
    ]
    assert result.combined is not None
    assert (result.combined.left, result.combined.precision, result.combined.coverage) == (40, 0.9, 0.5)
    assert recommend(found(ROWS), 0.7).common.value == 0  # without a threshold, 56 of 80 are right


def read_back(thresholds: Thresholds, folder: Path) -> ClassifierSettings:
    path = folder / "settings.toml"
    path.write_text(thresholds.toml, "utf-8")
    return read_settings(path).classifier


def test_the_printed_settings_are_read_by_the_device(
    found: Callable[[Rows], Evaluation], console: Console, tmp_path: Path
) -> None:
    result = recommend(found(ROWS), 0.8)
    print_thresholds(result, console)
    path = tmp_path / "pasted.toml"
    path.write_text(printed(console).partition("Settings for the device:")[2], "utf-8")
    pasted = read_settings(path).classifier
    expected = ClassifierSettings(confidence={"negative": 0.61, "positive": 0.61})
    assert pasted == read_back(result, tmp_path) == expected


def test_names_of_classes_are_quoted_where_toml_requires_it(
    found: Callable[[Rows], Evaluation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ('a "b" # c', "sehr müde, = }")
    monkeypatch.setattr(RulePredictor, "companions", replace(RulePredictor.companions, labels=labels))
    names = dict(zip(LABELS, labels, strict=True))
    rows = [(share, names[label], speaker) for share, label, speaker in ROWS]
    always_right = [(0.2, labels[0], f"speaker {number}") for number in range(30)]
    chosen = read_back(recommend(found([*rows, *always_right]), 0.85), tmp_path)
    assert chosen.confidence == {labels[0]: 0.0, labels[1]: 0.61}


def test_a_class_without_a_threshold_has_a_comment(found: Callable[[Rows], Evaluation], tmp_path: Path) -> None:
    # 30 predictions of negative by 0.95, of which 15 are right.
    half_right = [(0.05, ("negative", "positive")[number % 2], f"speaker {number}") for number in range(30)]
    result = recommend(found([*ROWS, *half_right]), 0.85)
    assert result.common.value is None
    assert read_back(result, tmp_path) == ClassifierSettings(confidence={"positive": 0.61})
    lines = result.toml.splitlines()
    why = "no threshold that leaves at least 20 predictions has a precision of 0.85; the highest is"
    assert lines[2].startswith(f"# No confidence for all classes together: {why} 0.")
    assert lines[3] == "# No confidence of their own, so that they have none:"
    assert lines[4] == f"#   negative: {why} 0.500, at 0.00"
    # All predictions of negative, and those of positive from 0.61 on.
    assert result.combined is not None
    assert (result.combined.left, result.combined.predictions) == (70, 110)
    assert result.combined.precision == pytest.approx((36 + 15) / 70)


def test_one_number_where_no_class_has_its_own(found: Callable[[Rows], Evaluation], tmp_path: Path) -> None:
    """19 right predictions of each class: too few of each, enough together."""
    rows = [
        (share, label, f"speaker {number}")
        for share, label in ((0.1, "negative"), (0.9, "positive"))
        for number in range(19)
    ]
    result = recommend(found(rows), 0.8)
    assert read_back(result, tmp_path) == ClassifierSettings(confidence=0.0)
    assert result.toml.splitlines()[-1] == "confidence = 0.0"


class Replayed(Rig):
    """A device whose network predicts `b` by the probabilities of the test, one utterance after the other."""

    def __init__(self, b: NDArray[np.float32], settings: ClassifierSettings) -> None:
        confidences = required_confidences(settings.confidence, ("a", "b"))
        super().__init__(confidences=confidences, context_s=settings.context_s)
        self._b = list(b)

    def probabilities(self, _image: object, _ids: object) -> dict[str, float]:
        b = self._b.pop(0)
        return {"a": float(1 - b), "b": float(b)}

    def all(self) -> list[Prediction]:
        updates = []
        for number in range(len(self._b)):
            utterance = Utterance(2.0 * number, 2.0 * number + 1, 2.0 * number + 1.5, 0.0, "silence")
            updates += [EndpointerUpdate((self.frame(8000),)), EndpointerUpdate((self.frame(1),), utterance)]
        return self.run(*updates)


@pytest.mark.parametrize("context", [False, True])
def test_the_device_is_as_precise_as_promised(
    context: bool, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device, with the printed settings, has the same low-confidence predictions as the evaluation counts."""
    random = np.random.default_rng(1)
    b = random.uniform(0.02, 0.98, 400).astype(np.float32)
    labels = np.where(random.uniform(size=400) < b, "b", "a").tolist()
    companions = replace(RulePredictor.companions, labels=("a", "b"), transitions=TRANSITIONS)
    monkeypatch.setattr(RulePredictor, "companions", companions)
    monkeypatch.setattr(RulePredictor, "probabilities", lambda *_: np.stack([1 - b, b], axis=1))
    monkeypatch.setattr("training.evaluation.evaluator.open_predictor", lambda _path, **_: RulePredictor())
    clips = [
        Clip(None, "great", label, "validation", dialogue=f"dialogue {number // 40}")
        for number, label in enumerate(labels)
    ]
    evaluation = evaluated(Corpus("clips", tuple(clips)), console, modalities=(TEXT_ONLY,), context=context)
    result = recommend(evaluation, 0.75)
    chosen = read_back(result, tmp_path)
    assert (chosen.context_s > 0) == context
    assert isinstance(chosen.confidence, Mapping)
    assert set(chosen.confidence) == {"a", "b"}
    dialogues = [Replayed(b[start : start + 40], chosen).all() for start in range(0, 400, 40)]
    predictions = list(chain.from_iterable(dialogues))
    right = [found.label == label for found, label in zip(predictions, labels, strict=True) if found.confident]
    assert result.combined is not None
    assert (len(right), np.mean(right)) == (result.combined.left, pytest.approx(result.combined.precision))
    assert 40 < len(right) < 400


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
    assert result.combined is None
    print_thresholds(result, console)
    assert "all classes: 19 predictions are too few, at least 20 are needed." in printed(console)
    assert "Settings for the device" not in printed(console)
    result = recommend(found(ROWS), 0.95)
    expected = "no threshold that leaves at least 20 predictions has a precision of 0.95; the highest is 0.900, at 0.61"
    assert result.common.reason == expected
    plain = as_json(few, "", result)["thresholds"]
    assert plain["all"] == {"predictions": 80, "threshold": None, "reason": expected}
    assert plain["toml"] is plain["settings"] is None
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
        assert "With these settings, the precision is 0.900" in text
        for expected in ("for a precision of 0.8, text only", "0.61", "0.900 (", "40 of 80 (50%)", "[classifier]"):
            assert expected in text
    plain = json.loads(report.with_name("evaluation.json").read_text("utf-8"))["thresholds"]
    assert plain["all"]["threshold"] == plain["classes"]["positive"]["threshold"] == 0.61
    assert plain["all"]["coverage"] == plain["settings"]["coverage"] == 0.5
    assert plain["all"]["precision"]["low"] < plain["all"]["precision"]["value"] == 0.9
    assert plain["input"] == TEXT_ONLY
    assert as_json(evaluation, "")["thresholds"] is None


def test_transcripts_are_preferred(tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.evaluator.open_predictor", lambda _path, **_: RulePredictor())
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16_000)
    rows = [("a.wav", "great", "positive", "dev", "day")] * 20
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("audio", "text", "label", "split", "text_vosk"), *rows])
    result = recommend(evaluated(tmp_path / "t.csv", console, text="both"), 0.8)
    assert result.query == "audio + text, Vosk transcript"
    assert result.common.value is None  # from the transcripts every prediction is wrong, from the text none
