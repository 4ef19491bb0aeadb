"""Simulated speakers, a bundle with a small speaker variation, and a classifier whose outputs the test chooses."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.adaptation.adapted_classifier import AdaptedClassifier
from device.adaptation.profile import CORRECTION, Example, Identity, Profile
from device.adaptation.speaker_variation import SpeakerStatistics, SpeakerVariation
from device.bundle import Bundle, Companions
from device.events import UtteranceFeatures
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_image
from device.recognition.classifier import Classifier, NetworkOutput

LABELS = ("glad", "calm", "angry")
KINDS = np.array([0, 1, 2, 2])
"""Class of each kind: the last class has two."""
FEATURES = 6
EMBEDDING = 10
FRONT_END = FrontEnd(image_width=8, image_height=8, sequence_length=4)
IMAGE: NDArray[np.float32] = np.full((8, 8, 3), 0.5, np.float32)
"""The spectrogram image of an utterance: not silence."""
SILENCE = silent_image(FRONT_END)


def identity(**changed: Any) -> Identity:
    fields: dict[str, Any] = {
        "bundle_sha256": "a" * 64,
        "features_sha256": "b" * 64,
        "model": "Model.tflite",
        "labels": LABELS,
        "features": FEATURES,
    }
    return Identity(**{**fields, **changed})


def example(
    label: str = "glad", seed: int = 0, *, source: str = CORRECTION, day: str = "2026-01-31", features: int = FEATURES
) -> Example:
    random = np.random.default_rng(seed)
    numbers = (np.round(random.normal(size=count), 4) for count in (features, len(LABELS)))
    return Example(label, UtteranceFeatures(*numbers), source, day)


def profile(count: int = 6, of: Identity | None = None) -> Profile:
    return Profile(of or identity(), tuple(example(LABELS[place % 3], place) for place in range(count)))


def variation(seed: int = 0) -> SpeakerVariation:
    random = np.random.default_rng(seed)
    directions, _ = np.linalg.qr(random.normal(size=(EMBEDDING, FEATURES)))
    statistics = SpeakerStatistics(
        means=np.round(random.normal(0, 0.6, (len(KINDS), FEATURES)), 4),
        classes=KINDS,
        between_speakers=np.round(random.uniform(1, 3, FEATURES), 4),
        between_kinds=np.round(random.uniform(0.1, 0.5, FEATURES), 4),
        strength=0.5,
    )
    return SpeakerVariation("statistics", random.normal(size=EMBEDDING), directions, statistics)


def bundle(speaker_variation: str | None = None, model: bytes = b"network", name: str = "Model.tflite") -> Bundle:
    companions = Companions(LABELS, ("word",), FRONT_END, {}, speaker_variation=speaker_variation)
    return Bundle(Path(name), model, companions, len(model))


class ChosenOutputs(Classifier):
    """A classifier that returns an output of `outputs`, chosen by the first word id."""

    def __init__(self, outputs: list[NetworkOutput], *, embedding_size: int = EMBEDDING) -> None:
        self.labels = LABELS
        self.embedding_size = embedding_size
        self.outputs = outputs

    def run(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> NetworkOutput:
        assert image.shape == (8, 8, 3)
        return self.outputs[int(ids[0])]


def output(probabilities: Any, embedding: Any = ()) -> NetworkOutput:
    values = np.asarray(probabilities, np.float64).tolist()
    return NetworkOutput(dict(zip(LABELS, values, strict=True)), np.asarray(embedding, np.float32))


def ids(place: int) -> NDArray[np.int32]:
    """Return word ids that choose an output of `ChosenOutputs`."""
    return np.array([place, 0, 0, 0], np.int32)


class Speaker:
    """A simulated speaker and a network that knows only how speakers are on average.

    Args:
        seed: number of the speaker.
        count: number of utterances; their classes are `classes`.
        with_variation: whether the bundle has the speaker variation, else the adaptation has the probabilities only.
    """

    def __init__(self, seed: int, count: int = 60, *, with_variation: bool = True) -> None:
        random = np.random.default_rng(seed)
        model = variation()
        own = model.statistics
        kinds = np.arange(count) % len(KINDS)
        offset = random.normal(size=FEATURES) * np.sqrt(own.between_speakers)
        features = own.means[kinds] + offset + random.normal(size=(count, FEATURES)) * 0.5
        self.classes = KINDS[kinds]
        variances = 1 + own.between_speakers + own.between_kinds
        prior = -0.5 * ((features[:, None] - own.means) ** 2 / variances).sum(axis=2)
        logits = np.stack([np.logaddexp.reduce(prior[:, label == KINDS], axis=1) for label in range(3)], axis=1)
        logits = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        embeddings = features @ model.directions.T + model.centre
        self.network = ChosenOutputs(
            [
                output(np.exp(row), embedding if with_variation else ())
                for row, embedding in zip(logits, embeddings, strict=True)
            ],
            embedding_size=EMBEDDING if with_variation else 0,
        )
        self.bundle = bundle(model.to_json() if with_variation else None)

    def classifier(self, path: Path | None = None, *, unlabelled: int = 0) -> AdaptedClassifier:
        return AdaptedClassifier(self.network, self.bundle, path, unlabelled=unlabelled)

    def examples(self, adapted: AdaptedClassifier, count: int = 16) -> list[Example]:
        """Return examples of the first utterances, with their true classes."""
        return [
            Example.now(LABELS[self.classes[place]], adapted.rate(IMAGE, ids(place))[1], CORRECTION)
            for place in range(count)
        ]

    def accuracy(self, adapted: AdaptedClassifier, first: int = 16) -> float:
        """Return the share of correct predictions among the utterances that are not examples."""
        rows = [list(adapted.probabilities(IMAGE, ids(place)).values()) for place in range(first, len(self.classes))]
        return float((np.array(rows).argmax(axis=1) == self.classes[first:]).mean())
