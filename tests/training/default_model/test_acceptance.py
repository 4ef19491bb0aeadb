import dataclasses

import numpy as np
import pytest

from tests.training.default_model.test_fusion import calibrated
from training.default_model.acceptance import ConversionCost, Measurement, measure_branches, measure_conversion


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


def test_formats_the_interval_if_there_is_one() -> None:
    assert Measurement("x", 0.12345, 0, 0).formatted == "0.123"
    assert Measurement("x", 0.5, 0, 0, 0.4, 0.6).formatted == "0.500 (0.400\u20130.600)"


def test_branches_are_measured_calibrated_and_word_errors_as_their_mean() -> None:
    text, audio = calibrated(1500, 1.5, 0).scaled(5), calibrated(900, 2, 1).scaled(0.2)
    worse = [dataclasses.replace(text, logits=np.roll(text.logits, shift, axis=0)) for shift in (0, 1)]
    found = {each.name: each for each in measure_branches(text, worse, audio, audio, seed=0)}
    clean, errors, _, _, text_calibration, audio_calibration = found.values()
    assert errors.value < clean.value
    assert clean.low is not None
    assert clean.high is not None
    assert clean.low < clean.value < clean.high
    # The text is far too confident, and the audio far too little, before they are calibrated.
    assert text_calibration.value < 0.05
    assert audio_calibration.value < 0.2
    assert text_calibration.result != "missed"


def test_cost_of_eight_bits() -> None:
    cost = ConversionCost({"text only": 0.001, "audio only": 0.004, "audio + text": 0.02}, 98, 100, 0.05, 0.001)
    assert [each.result for each in measure_conversion(cost)] == ["target met", "required met", "missed"]
