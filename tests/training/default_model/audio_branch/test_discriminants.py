import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from training.default_model.audio_branch.discriminants import fit_discriminants, most_kinds

KINDS = np.repeat(np.arange(4), 60)
LABELS = np.array([0, 0, 0, 1])[KINDS]
"""Class 0 has three kinds and class 1 has one."""


def clips(shift: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    """Two copies of each clip; the kinds differ in their means, and the elements are correlated."""
    random = np.random.default_rng(seed)
    means = np.array([[0, 0, 0], [3, 0, 1], [0, 3, 0], [3, 3, 0]])[KINDS][:, None]
    noise = random.standard_normal((len(KINDS), 2, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0.3, 2]])
    return np.asarray(means + noise + shift, np.float32)


def fit(*corpora: NDArray[np.float32], weights: tuple[float, ...], ridge: float = 0.0) -> NDArray[np.float64]:
    """Discriminants as an array (n + 1, kinds): kernel and bias, without what the classes repeat."""
    kernel, bias = fit_discriminants(
        corpora, [LABELS] * len(corpora), [KINDS] * len(corpora), weights, classes=2, ridge=ridge
    )
    assert kernel.shape == (3, 6)
    assert kernel.dtype == bias.dtype == np.float32
    found = np.vstack([kernel, bias]).reshape(4, 3, 2)
    np.testing.assert_array_equal(found[:, 1, 1], found[:, 0, 1])  # the only kind of class 1 is repeated
    return np.asarray(np.concatenate([found[:, :, 0], found[:, :1, 1]], axis=1), np.float64)


def test_equal_those_of_scikit_learn_up_to_what_all_share() -> None:
    data = clips()
    shares = np.array([1, 1, 1, 3]) / 6  # classes weigh the same, and so do the kinds of a class
    reference = LinearDiscriminantAnalysis(solver="lsqr", priors=shares)
    reference.fit(data.reshape(-1, 3), np.repeat(KINDS, 2))
    expected = np.vstack([reference.coef_.T, reference.intercept_ - np.log(shares)])
    found = fit(data, weights=(1.0,))
    difference = found - expected
    np.testing.assert_allclose(difference - difference[:, :1], 0, atol=2e-3 * np.abs(expected).max())


def test_predict_the_kinds() -> None:
    data = clips()
    found = fit(data, weights=(1.0,), ridge=0.01)
    predicted = (data[:, 0] @ found[:3] + found[3]).argmax(1)
    assert (predicted == KINDS).mean() > 0.8


def test_a_corpus_that_is_shifted_makes_the_shifted_direction_count_for_less() -> None:
    shift = np.array([4.0, 0, 0])
    one = fit(clips(), weights=(1.0,))
    two = fit(clips(), np.asarray(clips(seed=1) + shift, np.float32), weights=(1.0, 0.5))
    contrast = np.abs(one[0, 1] - one[0, 0]), np.abs(two[0, 1] - two[0, 0])
    assert contrast[1] < 0.5 * contrast[0]


def test_a_kind_that_a_corpus_lacks_comes_from_the_other() -> None:
    data, present = clips(), KINDS != 2
    kernel, bias = fit_discriminants(
        [data, data[present]], [LABELS, LABELS[present]], [KINDS, KINDS[present]], (1.0, 0.5), classes=3, ridge=0.01
    )
    logits = (data[:, 0] @ kernel + bias).reshape(-1, 3, 3)
    kinds = logits[:, :, :2].reshape(len(data), 6)[:, [0, 2, 4, 1]].argmax(1)
    assert (kinds[KINDS == 2] == 2).mean() > 0.7
    np.testing.assert_array_equal(logits.max(1)[:, 2], np.full(len(data), -30))  # a class that no corpus has


@pytest.mark.parametrize(("labels", "kinds", "expected"), [([0, 0, 1], [0, 1, 2], 2), ([0, 1, 2], [5, 3, 4], 1)])
def test_most_kinds(labels: list[int], kinds: list[int], expected: int) -> None:
    assert most_kinds(np.array(labels), np.array(kinds)) == expected
