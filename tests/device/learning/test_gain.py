import math

import numpy as np
import pytest

from device.adaptation.profile import RECORDING, Example, Identity, Profile
from device.adaptation.speaker_adaptation import CrossValidation
from device.events import UtteranceFeatures
from device.learning.gain import Count, gain

IDENTITY = Identity("0" * 64, "0" * 64, "test", ("a", "b", "c"), 2)


def test_right_predictions_are_counted_by_class() -> None:
    logits = np.log([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    adapted = np.log([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1]])
    examples = [
        Example(label, UtteranceFeatures(np.zeros(2), row), RECORDING, "2026-01-31")
        for label, row in zip("aab", logits, strict=True)
    ]
    found = gain(Profile(IDENTITY, tuple(examples)), CrossValidation(1.0, adapted, math.log(4), math.log(2)))
    assert found.classes == {"a": Count(2, 1, 2), "b": Count(1, 0, 1)}, "c has no example"
    assert found.total == Count(3, 1, 3)
    assert [found.probability, found.probability_adapted] == pytest.approx([0.25, 0.5])
    assert found.helps


def test_examples_that_do_not_help() -> None:
    example = Example("a", UtteranceFeatures(np.zeros(2), np.log([0.6, 0.3, 0.1])), RECORDING, "2026-01-31")
    validation = CrossValidation(0.0, np.zeros((2, 3)), 1.0, 1.1)
    assert not gain(Profile(IDENTITY, (example, example)), validation).helps
