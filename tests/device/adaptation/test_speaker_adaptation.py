"""Adapting to a speaker: the posterior against a direct calculation, and the gain on simulated speakers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.adaptation import speaker_adaptation
from device.adaptation.speaker_adaptation import STRENGTHS, adapt, cross_validate
from device.adaptation.speaker_variation import Floats, SpeakerStatistics

CLASSES = np.array([0, 0, 1])
"""Two kinds of the class 0 and one of the class 1."""
NONE = np.zeros(0, np.int64)


def statistics(dimensions: int = 6, seed: int = 0) -> SpeakerStatistics:
    random = np.random.default_rng(seed)
    means = random.normal(0, 0.6, (len(CLASSES), dimensions))
    return SpeakerStatistics(means, CLASSES, random.uniform(0.5, 2, dimensions), random.uniform(0.1, 0.5, dimensions))


def speak(
    model: SpeakerStatistics, random: np.random.Generator, count: int
) -> tuple[Floats, NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Simulate a speaker of the model: features and classes of `count` examples of each class, and of 60 others."""
    shape = model.means.shape
    own = model.means + random.normal(size=shape[1]) * np.sqrt(model.between_speakers)
    own = own + random.normal(size=shape) * np.sqrt(model.between_kinds)

    def utterances(kinds: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
        return own[kinds] + random.normal(size=(len(kinds), shape[1])), CLASSES[kinds]

    examples = np.array([*random.integers(0, 2, count), *([2] * count)], np.int64)
    return *utterances(examples), *utterances(np.arange(60) % 3)


def test_without_an_example_the_evidence_is_exactly_0() -> None:
    model = statistics()
    adaptation = adapt(model, np.zeros((0, 6)), NONE)
    features = np.random.default_rng(1).normal(size=(4, 6))
    np.testing.assert_array_equal(adaptation.evidence(features), np.zeros((4, 2)))
    np.testing.assert_array_equal(adaptation.means, model.means)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 5))
def test_means_and_variances_equal_those_of_the_joint_normal_distribution(seed: int, first: int, second: int) -> None:
    """With one kind per class nothing has to be guessed, so conditioning the joint distribution gives the answer."""
    random = np.random.default_rng(seed)
    model = SpeakerStatistics(
        random.normal(size=(2, 3)), np.array([0, 1]), random.uniform(0.1, 3, 3), random.uniform(0.1, 3, 3)
    )
    classes = np.array([0] * first + [1] * second)
    examples = random.normal(size=(len(classes), 3)) * 2
    found = adapt(model, examples, classes)
    for place in range(3):
        speaker, kind = model.between_speakers[place], model.between_kinds[place]
        same = classes[:, None] == classes
        observed = speaker + kind * same + np.eye(len(classes))
        for label in (0, 1):
            shared = speaker + kind * (classes == label)
            gain = np.linalg.solve(observed, shared)
            residuals = examples[:, place] - model.means[classes, place]
            assert found.means[label, place] == pytest.approx(model.means[label, place] + gain @ residuals)
            assert found.variances[label, place] == pytest.approx(1 + speaker + kind - gain @ shared)


def test_examples_of_a_class_adapt_the_kind_that_they_resemble() -> None:
    model = SpeakerStatistics(np.array([[-4.0], [4.0], [0.0]]), CLASSES, np.full(1, 0.02), np.full(1, 1.0))
    found = adapt(model, np.array([[5.0], [5.2]]), np.array([0, 0]))
    assert found.means[1, 0] > 4.5
    assert found.means[0, 0] == pytest.approx(-4, abs=0.2)


def test_more_examples_predict_simulated_speakers_better() -> None:
    model = statistics()
    correct: dict[int, list[float]] = {count: [] for count in (0, 1, 3, 10)}
    for seed in range(60):
        for count, found in correct.items():
            random = np.random.default_rng(seed)
            examples, classes, others, truth = speak(model, random, count)
            adaptation = adapt(model, examples, classes)
            evidence = adaptation.evidence(others) / model.strength
            # What a network says that is right about the average speaker.
            plain = adapt(model, examples[:0], NONE)
            prior = -0.5 * (((others[:, None] - plain.means) ** 2) / plain.variances).sum(axis=2)
            logits = np.stack([np.logaddexp(prior[:, 0], prior[:, 1]) - np.log(2), prior[:, 2]], axis=1)
            found.append(float(((logits + evidence).argmax(axis=1) == truth).mean()))
    means = [float(np.mean(each)) for each in correct.values()]
    assert means == sorted(means)
    assert means[-1] > means[0] + 0.05


def test_utterances_without_a_label_show_how_the_voice_differs() -> None:
    model = statistics()
    shifts = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        offset = random.normal(size=6) * np.sqrt(model.between_speakers)
        unlabelled = model.means[random.integers(0, 3, 60)] + offset + random.normal(size=(60, 6))
        found = adapt(model, np.zeros((0, 6)), NONE, unlabelled)
        shifts.append(np.corrcoef((found.means - model.means).mean(axis=0), offset)[0, 1])
    assert np.mean(shifts) > 0.9


def test_cross_validation_separates_examples_that_help_from_those_that_do_not() -> None:
    model = statistics()
    helped, refused = 0, 0
    for seed in range(30):
        random = np.random.default_rng(seed)
        examples, classes, _, _ = speak(model, random, 4)
        logits = np.zeros((len(classes), 2))
        found = cross_validate(model, logits, examples, classes)
        assert found.loss == pytest.approx(np.log(2))
        helped += found.strength > 0
        assert (found.strength > 0) == (found.adapted_loss < found.loss)
        refused += cross_validate(model, logits, examples, random.permutation(classes)).strength == 0
    assert helped >= 27
    assert refused >= 15


def test_cross_validation_leaves_each_example_out() -> None:
    """The adapted logits of an example equal a direct calculation with the others, with one of the strengths."""
    model = statistics()
    random = np.random.default_rng(3)
    examples, classes, _, _ = speak(model, random, 3)
    logits = random.normal(size=(len(classes), 2))
    found = cross_validate(model, logits, examples, classes)
    for place in range(len(classes)):
        others = np.arange(len(classes)) != place
        evidence = adapt(model, examples[others], classes[others]).evidence(examples[place : place + 1])[0]
        assert any(np.allclose(found.adapted[place], logits[place] + factor * evidence) for factor in STRENGTHS)


def test_cross_validation_of_many_examples_leaves_several_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = statistics()
    examples, classes, _, _ = speak(model, np.random.default_rng(0), 100)
    fits: list[int] = []

    def counted(*given: Any) -> speaker_adaptation.SpeakerAdaptation:
        fits.append(len(given[1]))
        return adapt(*given)

    monkeypatch.setattr(speaker_adaptation, "adapt", counted)
    cross_validate(model, np.zeros((len(classes), 2)), examples, classes)
    assert fits == [196] * 50


def density(x: Floats, mean: Floats, variance: Floats) -> float:
    return float(-0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance)).sum())


@given(st.integers(0, 2**31), st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_evidence_equals_a_direct_calculation_for_kinds_in_any_order(seed: int, further: list[int]) -> None:
    random = np.random.default_rng(seed)
    classes = random.permutation([0, 1, 2, 3, *further])
    shape = len(classes), 5
    model = SpeakerStatistics(
        random.normal(size=shape), classes, random.uniform(0.02, 3, 5), random.uniform(0.02, 3, 5), strength=0.3
    )
    found = adapt(model, random.normal(size=(9, 5)) * 2, random.integers(0, 4, 9), random.normal(size=(3, 5)))
    features = random.normal(size=(4, 5)) * 3
    before = 1 + model.between_speakers + model.between_kinds
    expected = np.zeros((4, 4))
    for place, x in enumerate(features):
        for label in range(4):
            kinds = np.flatnonzero(classes == label)
            own = [density(x, found.means[kind], found.variances[kind]) for kind in kinds]
            others = [density(x, model.means[kind], before) for kind in kinds]
            expected[place, label] = 0.3 * (np.logaddexp.reduce(own) - np.logaddexp.reduce(others))
    np.testing.assert_allclose(found.evidence(features), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(found.evidence(features), found.evidence(features))
