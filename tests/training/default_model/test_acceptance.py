import dataclasses

import numpy as np
import pytest

from device.bundle import Transitions
from tests.training.default_model.test_fusion import calibrated
from training.default_model.acceptance import (
    ConversionCost,
    Measurement,
    filtered,
    measure_branches,
    measure_conversion,
    measure_generalisation,
    measure_size,
)
from training.default_model.audio_branch.eight_emotions import EightEmotions
from training.default_model.audio_branch.unseen_corpora import Generalisation, MacroF1
from training.default_model.fusion import BranchLogits, softmax


@pytest.mark.parametrize(
    ("value", "lower_is_better", "result"),
    [
        (0.7, False, "target met"),
        (0.6, False, "target met"),
        (0.55, False, "required met"),
        (0.49, False, "missed"),
        (0.04, True, "target met"),
        (0.08, True, "required met"),
        (0.081, True, "missed"),
    ],
)
def test_result(value: float, lower_is_better: bool, result: str) -> None:
    required, target = (0.08, 0.04) if lower_is_better else (0.5, 0.6)
    measurement = Measurement("x", value, required, target, lower_is_better=lower_is_better)
    assert measurement.result == result
    assert dataclasses.replace(measurement, required=None, target=None).result == ""


def test_a_criterion_without_a_target_is_met_or_missed() -> None:
    assert Measurement("x", 0.9, 0.5, None).result == "required met"
    assert Measurement("x", 0.4, 0.5, None).result == "missed"


def test_formats_the_interval_if_there_is_one() -> None:
    assert Measurement("x", 0.12345, 0, 0).formatted == "0.123"
    assert Measurement("x", 0.5, 0, 0, 0.4, 0.6).formatted == "0.500 (0.400\u20130.600)"


STICKY = Transitions(((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)), (1 / 3, 1 / 3, 1 / 3))
"""Class transitions of conversations whose class seldom changes."""


def test_earlier_utterances_of_the_same_dialogue_influence_a_prediction() -> None:
    logits = np.log(np.array([[0.9, 0.05, 0.05], [0.3, 0.4, 0.3], [0.3, 0.4, 0.3]], np.float32))
    found = softmax(filtered(BranchLogits(logits, np.array([0, 0, 1]), np.array([7, 7, 8])), STICKY).logits)
    np.testing.assert_allclose(found[[0, 2]], softmax(logits)[[0, 2]], rtol=1e-5)  # the first of each dialogue
    after = 0.9 * np.array([0.8, 0.1, 0.1]) + 0.05 * np.array([0.1, 0.8, 0.1]) + 0.05 * np.array([0.1, 0.1, 0.8])
    expected = np.array([0.3, 0.4, 0.3]) * after
    np.testing.assert_allclose(found[1], expected / expected.sum(), rtol=1e-5)


def test_corpora_never_met_and_eight_emotions_have_an_interval() -> None:
    def around(value: float) -> MacroF1:
        return MacroF1(value, np.linspace(value - 0.1, value + 0.1, 41))

    found = Generalisation(
        {},
        {
            (("RAVDESS",), "EMO-DB"): around(0.4),
            (("RAVDESS",), "nEMO"): around(0.5),
            (("RAVDESS", "nEMO"), "EMO-DB"): around(0.6),
            (("nEMO", "EMO-DB"), "RAVDESS"): around(0.36),
        },
    )
    rows = measure_generalisation(found, EightEmotions([0.6, 0.62], np.linspace(0.5, 0.7, 41), 62_000))
    assert [round(row.value, 6) for row in rows] == [0.6, 0.48, 0.45, 0.61]
    assert [row.result for row in rows] == ["required met", "missed", "", "required met"]
    assert rows[0].formatted == "0.600 (0.505\u20130.695)"


def test_size() -> None:
    assert [measure_size(size).result for size in (1_000_000, 2_000_000, 4_000_000)] == [
        "target met",
        "required met",
        "missed",
    ]


def test_branches_are_measured_calibrated_and_word_errors_as_their_mean() -> None:
    text, audio = calibrated(1500, 1.5, 0).scaled(5), calibrated(900, 2, 1).scaled(0.2)
    worse = [dataclasses.replace(text, logits=np.roll(text.logits, shift, axis=0)) for shift in (0, 1)]
    found = {each.name: each for each in measure_branches(text, worse, audio, audio, STICKY, seed=0)}
    clean, _, errors, _, _, text_calibration, audio_calibration = found.values()
    assert errors.value < clean.value
    assert clean.low is not None
    assert clean.high is not None
    assert clean.low < clean.value < clean.high
    # The text is far too confident, and the audio far too little, before they are calibrated.
    assert text_calibration.value < 0.05
    assert len(measure_branches(text, worse, audio, audio, None, seed=0)) == len(found) - 1
    assert audio_calibration.value < 0.2
    assert text_calibration.result != "missed"


def test_cost_of_eight_bits() -> None:
    cost = ConversionCost({"text only": 0.001, "audio only": 0.004, "audio + text": 0.02}, 98, 100, 0.05, 0.001)
    assert [each.result for each in measure_conversion(cost)] == ["target met", "required met", "missed"]
