"""Late fusion: calibrates the two branches, weighs audio against text, and joins both into one network.

The factors are fitted to logits of rows that neither branch was trained on. They become part of the network's last
layers, so that the bundle needs no extra step.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from device.front_end.parameters import FrontEnd
from training.evaluation.modality_conflict import SingleModality, conflicting_pairs
from training.evaluation.scores import Scores
from training.networks.network import AUDIO_PART, AudioShape, evidence_network, set_joint_factors

_LOWEST_TEMPERATURE, _HIGHEST_TEMPERATURE = 0.1, 10.0
_AUDIO_WEIGHTS = tuple(step / 20 for step in range(6, 21))
"""Candidates for the audio weight: 0.3 to 1. Above 1 the audio would count for more than its own evidence."""
_CONFLICTING_PAIRS = 5000
_RECORDINGS_PER_TEXT = 5
_TEXT_LOGITS, _AUDIO_HIDDEN = "words_logits", "audio_dense"
_AUDIO_LOGITS, _AUDIO_KINDS = "audio_logits", "audio_kinds"
"""Names of layers of the network `evidence`; the audio branch's two estimates are linear in these last ones."""


@dataclass(frozen=True)
class BranchLogits:
    """Logits of one branch for rows that it was not trained on."""

    logits: NDArray[np.float32]
    """Logits, shape (rows, labels)."""
    labels: NDArray[np.int64]
    """True classes, shape (rows,)."""
    groups: NDArray[np.int64]
    """Number of each row's dialogue or speaker, shape (rows,); rows of one group resemble each other and stay on one
    side of a split."""

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "BranchLogits":
        """Return some of the rows."""
        return BranchLogits(self.logits[rows], self.labels[rows], self.groups[rows])

    def halves(self) -> tuple["BranchLogits", "BranchLogits"]:
        """Split into two parts with no group in common: every other group, in order."""
        _, place = np.unique(self.groups, return_inverse=True)
        return self.take(place % 2 == 0), self.take(place % 2 == 1)

    def scaled(self, factor: float) -> "BranchLogits":
        """Return the same rows with their logits multiplied by `factor`."""
        return BranchLogits(np.asarray(self.logits * factor, np.float32), self.labels, self.groups)


@dataclass(frozen=True)
class FusionFactors:
    """Factors of the branches' logits, and of their sum, before the softmax."""

    text: float
    """One over the temperature of the text branch."""
    audio: float
    """One over the temperature of the audio branch."""
    audio_weight: float
    """Factor of the audio if there is text as well, 0 to 1; without text the audio counts in full."""
    joint: float
    """One over the temperature of the sum of text and weighted audio, if there are both."""


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities along the last axis, shape (..., labels) as the logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def scores(branch: BranchLogits) -> Scores:
    """Score the softmax of the logits against the labels."""
    return Scores.of(branch.labels, softmax(branch.logits))


def concatenate(*parts: BranchLogits) -> BranchLogits:
    """Return the rows of all parts, one after the other."""
    return BranchLogits(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.groups for part in parts]),
    )


def temperature(branch: BranchLogits, *, equal_classes: bool = False) -> float:
    """Fit the number by which to divide the logits so that the confidence of the softmax equals its accuracy.

    It minimises the negative log-likelihood (Guo et al., "On Calibration of Modern Neural Networks", 2017).

    Args:
        branch: logits of rows that the branch was not trained on.
        equal_classes: whether every class weighs the same, however many rows it has: for a branch that was trained so.
    """
    counts = np.bincount(branch.labels)
    weights = 1 / counts[branch.labels] if equal_classes else np.ones(len(branch.labels))
    places = np.arange(len(branch.labels))

    def loss(logarithm: float) -> float:
        true_class = softmax(branch.logits / np.float32(np.exp(logarithm)))[places, branch.labels]
        return float(-np.average(np.log(np.maximum(true_class, 1e-7)), weights=weights))

    bounds = np.log([_LOWEST_TEMPERATURE, _HIGHEST_TEMPERATURE])
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def fit_factors(text: BranchLogits, audio: BranchLogits, seed: int) -> FusionFactors:
    """Fit the temperatures, and the audio weight with which neither modality dominates contradicting pairs.

    Bayes' rule would count the audio in full. But no corpus shows how far acted voices represent real ones, and a
    branch that is confident among actors would override the text of everybody else. Therefore the sum should follow
    either modality equally often, as far as a weight of at most 1 allows it; other voices and other texts shift it to
    one side.

    Args:
        text: logits of the text branch.
        audio: logits of the audio branch.
        seed: random seed of the pairs.
    """
    text_factor, audio_factor = 1 / temperature(text), 1 / temperature(audio, equal_classes=True)
    audio_places, text_places = conflicting_pairs(
        _predictions(audio), _predictions(text), seed=seed, limit=_CONFLICTING_PAIRS
    )
    text_logits, audio_logits = text.logits[text_places] * text_factor, audio.logits[audio_places] * audio_factor

    def larger_share(weight: float) -> float:
        joint = (text_logits + weight * audio_logits).argmax(axis=1)
        return max(float((joint == single.argmax(axis=1)).mean()) for single in (text_logits, audio_logits))

    audio_weight = min(_AUDIO_WEIGHTS, key=larger_share)
    texts, recordings = _pairs_of_one_class(text.labels, audio.labels, np.random.default_rng(seed))
    joint = text.logits[texts] * text_factor + audio.logits[recordings] * (audio_weight * audio_factor)
    together = BranchLogits(np.asarray(joint, np.float32), text.labels[texts], text.groups[texts])
    return FusionFactors(text_factor, audio_factor, audio_weight, 1 / temperature(together))


def cross_calibrated(text: BranchLogits, audio: BranchLogits, seed: int) -> tuple[BranchLogits, BranchLogits]:
    """Calibrate each half of the dialogues and speakers with factors fitted to the other half.

    Metrics of the result are therefore not measured on the rows that the factors were fitted to.
    """
    first, second = zip(text.halves(), audio.halves(), strict=True)
    by_first, by_second = fit_factors(*first, seed), fit_factors(*second, seed)
    return (
        concatenate(first[0].scaled(by_second.text), second[0].scaled(by_first.text)),
        concatenate(first[1].scaled(by_second.audio), second[1].scaled(by_first.audio)),
    )


def fuse(text: Any, audio: Any, factors: FusionFactors, front_end: FrontEnd) -> Any:
    """Join two trained branches into one network, with the factors folded into its last layers.

    Args:
        text: the trained text branch, ids (batch, length) -> logits (batch, labels).
        audio: the trained head of the audio branch, statistics (batch, n) -> logits (batch, labels).
        factors: factors of the logits.
        front_end: size of the image and number of ids.

    Returns:
        A tf_keras model, `evidence` of `training.networks`: [images, features] -> probabilities (batch, labels). Its
        softmax adds the calibrated logits of both branches.
    """
    labels = text.output_shape[-1]
    with_kinds = [layer.units // labels for layer in audio.layers if layer.name == _AUDIO_KINDS]
    shape = AudioShape(audio.get_layer(_AUDIO_HIDDEN).units, sum(with_kinds), products=True)
    vocabulary = text.get_layer("words_embedding").input_dim - 1
    full = evidence_network(labels, vocabulary, front_end, shape).full
    for layer in text.layers:
        if layer.weights:
            full.get_layer(layer.name).set_weights(layer.get_weights())
    head = full.get_layer(AUDIO_PART)
    head.set_weights(audio.get_weights())
    for layer, factor in (
        (full.get_layer(_TEXT_LOGITS), factors.text),
        (head.get_layer(_AUDIO_LOGITS), factors.audio),
        *((head.get_layer(_AUDIO_KINDS), factors.audio) for _ in with_kinds),
    ):
        layer.set_weights([weights * factor for weights in layer.get_weights()])
    set_joint_factors(full, factors.joint, factors.joint * factors.audio_weight)
    return full


def _pairs_of_one_class(
    text: NDArray[np.int64], audio: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair every text several times with some recording of its class, if the class has any."""
    texts = np.repeat(np.flatnonzero(np.isin(text, audio)), _RECORDINGS_PER_TEXT)
    of_class = {label: np.flatnonzero(audio == label) for label in np.unique(audio).tolist()}
    return texts, np.array([random.choice(of_class[int(text[row])]) for row in texts], np.int64)


def _predictions(branch: BranchLogits) -> SingleModality:
    return SingleModality(np.arange(len(branch.labels)), branch.labels, branch.logits.argmax(axis=1))
