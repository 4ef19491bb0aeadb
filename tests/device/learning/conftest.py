"""A network whose output the test chooses, a model with speaker variation around it, and simulated voices."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from device.adaptation.profile import RECORDING, Example
from device.adaptation.speaker_variation import Floats, SpeakerStatistics, SpeakerVariation
from device.bundle import DEFAULT_BUNDLE, Bundle, read_bundle
from device.events import UtteranceFeatures
from device.learning.learner import Learner
from device.recognition.classifier import Classifier, NetworkOutput

LABELS = ("negative", "neutral", "positive")
FEATURES = 4
MEANS = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
EVEN = np.log(np.full(3, 1 / 3))
"""Logits of a network that has no idea."""


class FakeNetwork:
    """A classifier that returns prepared outputs, in turn, and then the last one again."""

    def __init__(self, *outputs: tuple[Sequence[float], Sequence[float]], embedding_size: int = FEATURES) -> None:
        self.labels = LABELS
        self.embedding_size = embedding_size
        self.calls = 0
        self._outputs = outputs or (((0.2, 0.5, 0.3), (0.0,) * FEATURES),)

    def run(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> NetworkOutput:
        probabilities, embedding = self._outputs[min(self.calls, len(self._outputs) - 1)]
        self.calls += 1
        found = dict(zip(LABELS, probabilities, strict=True))
        return NetworkOutput(found, np.array(embedding[: self.embedding_size], np.float32))


def variation(layer: str = "features") -> SpeakerVariation:
    statistics = SpeakerStatistics(MEANS, np.arange(3), np.full(FEATURES, 4.0), np.full(FEATURES, 0.1), strength=1.0)
    return SpeakerVariation(layer, np.zeros(FEATURES), np.eye(FEATURES), statistics)


def bundle_with(speaker_variation: SpeakerVariation | None) -> Bundle:
    shipped = read_bundle(DEFAULT_BUNDLE)
    text = None if speaker_variation is None else speaker_variation.to_json()
    return replace(shipped, companions=replace(shipped.companions, labels=LABELS, speaker_variation=text))


def converted_again(bundle: Bundle) -> Bundle:
    """The same network in another file."""
    return replace(bundle, path=bundle.path.with_name("Again.tflite"), model=bundle.model + b"\0")


def voice(*labels: str, source: str = RECORDING, offset: float = 3.0, seed: int = 0) -> list[Example]:
    """Examples of a voice that differs from others, which a network without adaptation cannot classify."""
    random = np.random.default_rng(seed)

    def example(label: str) -> Example:
        features: Floats = MEANS[LABELS.index(label)] + offset + random.normal(0, 0.1, FEATURES)
        return Example(label, UtteranceFeatures(features, EVEN), source, "2026-01-31")

    return [example(label) for label in labels]


def confused(*labels: str) -> list[Example]:
    """Examples whose numbers have nothing to do with their classes, and that the network predicts right by itself."""
    random = np.random.default_rng(5)

    def example(label: str) -> Example:
        logits = np.log(np.where(np.array(LABELS) == label, 0.9, 0.05))
        return Example(label, UtteranceFeatures(random.normal(0, 3, FEATURES), logits), RECORDING, "2026-01-31")

    return [example(label) for label in labels]


MakeLearner = Callable[..., Learner]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "voice" / "profile.json"


@pytest.fixture
def learner(path: Path) -> MakeLearner:
    """Make a learner for the profile of this test."""

    def make(bundle: Bundle | None = None, *, repeats: bool = True, network: FakeNetwork | None = None) -> Learner:
        network = network or FakeNetwork()
        return Learner(bundle or bundle_with(variation()), cast("Classifier", network), path, repeats=repeats)

    return make
