import dataclasses

import numpy as np
import pytest

from tests.training.default_model.test_fusion import honest
from training.default_model.acceptance import Figure, of_branches, of_difference
from training.default_model.comparison import Difference


@pytest.mark.parametrize(
    ("value", "at_most", "reached"),
    [
        (0.7, False, "aim"),
        (0.6, False, "aim"),
        (0.55, False, "must"),
        (0.49, False, "no"),
        (0.04, True, "aim"),
        (0.08, True, "must"),
        (0.081, True, "no"),
    ],
)
def test_what_is_reached(value: float, at_most: bool, reached: str) -> None:
    must, aim = (0.08, 0.04) if at_most else (0.5, 0.6)
    figure = Figure("x", value, must, aim, at_most=at_most)
    assert figure.reached == reached
    assert dataclasses.replace(figure, must=None, aim=None).reached == ""


def test_intervals_are_written_where_they_are_known() -> None:
    assert Figure("x", 0.12345, 0, 0).written == "0.123"
    assert Figure("x", 0.5, 0, 0, 0.4, 0.6).written == "0.500 (0.400\u20130.600)"


def test_branches_are_measured_balanced_and_errors_as_their_mean() -> None:
    words, sound = honest(1500, 1.5, 0).scaled(5), honest(900, 2, 1).scaled(0.2)
    worse = [dataclasses.replace(words, logits=np.roll(words.logits, shift, axis=0)) for shift in (0, 1)]
    found = {figure.name: figure for figure in of_branches(words, worse, sound, sound, seed=0)}
    clean, errors, _, _, words_calibration, sound_calibration = found.values()
    assert errors.value < clean.value
    assert clean.low is not None
    assert clean.high is not None
    assert clean.low < clean.value < clean.high
    # Far too sure, and far too modest, before they are balanced.
    assert words_calibration.value < 0.05
    assert sound_calibration.value < 0.2
    assert words_calibration.reached != "no"


def test_what_eight_bits_cost() -> None:
    change = Difference({"text only": 0.001, "audio only": 0.004, "audio + text": 0.02}, 98, 100, 0.05, 0.001)
    assert [figure.reached for figure in of_difference(change)] == ["aim", "must", "no"]
