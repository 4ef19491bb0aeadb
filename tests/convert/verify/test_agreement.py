import numpy as np
import pytest

from convert.recipes import RECIPES
from convert.verify.agreement import Agreement, ClassAgreement, check, measure
from device.errors import ConversionError

LABELS = ("a", "b")
TOLERANCE = RECIPES["dynamic"].tolerance


def test_measure() -> None:
    expected = np.array([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5]], np.float32)
    probabilities = np.array([[0.4, 0.6], [0.1, 0.9], [0.6, 0.4]], np.float32)
    agreement = measure(probabilities, expected, LABELS)
    assert agreement.largest_difference == pytest.approx(0.2)
    assert agreement.mean_difference == pytest.approx(0.1)
    assert (agreement.same_class, agreement.samples) == (2, 3)
    of_a = agreement.classes["a"]
    assert (of_a.samples, of_a.same_class) == (2, 1)
    assert of_a.largest_difference == pytest.approx(0.2)
    assert of_a.mean_difference == pytest.approx(0.15)
    assert agreement.classes["b"] == ClassAgreement(1, 1, 0.0, 0.0)
    assert agreement.as_dict()["classes"]["a"]["largest_difference"] == 0.2


def test_a_class_without_samples() -> None:
    softmax = np.array([[0.6, 0.3, 0.1]], np.float32)
    assert measure(softmax, softmax, ("a", "b", "c")).classes["c"] == ClassAgreement(0, 0, 0.0, 0.0)


def test_nan_is_refused() -> None:
    agreement = measure(np.full((2, 2), np.nan, np.float32), np.full((2, 2), 1 / 2, np.float32), LABELS)
    with pytest.raises(ConversionError, match="in LiteRT the converted model's probabilities differ up to nan from"):
        check(agreement, TOLERANCE, "LiteRT", "try this")


@pytest.mark.parametrize(
    ("largest", "mean", "same", "written"),
    [
        (0.122, 0.0103, 32, True),  # the largest of a trained network of the tutorial
        (0.222, 0.058, 29, False),  # with an image 10 % too dark
        (0.354, 0.090, 30, False),  # with the words ignored
        (0.69, 0.02, 32, False),  # with one of many predictions ruined
    ],
)
def test_trained_networks_pass_and_faults_do_not(largest: float, mean: float, same: int, written: bool) -> None:
    agreement = Agreement(largest, mean, same, 32, {})
    if written:
        check(agreement, TOLERANCE, "LiteRT", "try this")
    else:
        with pytest.raises(ConversionError) as caught:
            check(agreement, TOLERANCE, "LiteRT", "try this")
        assert caught.value.fix == "try this"
