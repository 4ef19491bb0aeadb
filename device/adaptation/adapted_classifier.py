"""The network of a bundle with what was learnt about the voices that it meets; learns from corrections."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.adaptation.profile import (
    CORRECTION,
    Example,
    Identity,
    Profile,
    Utterance,
    change_profile,
    read_profile,
)
from device.adaptation.speaker_adaptation import CrossValidation, SpeakerAdaptation, adapt, cross_validate
from device.adaptation.speaker_variation import Floats, SpeakerStatistics, speaker_variation
from device.bundle import Bundle, shipped_name
from device.errors import BundleError, ProfileError
from device.front_end.spectrogram import silent_image
from device.recognition.classifier import CONVERT_AGAIN, EMBEDDING, Classifier
from device.system.display import displayable
from device.system.paths import file_problem

UNLABELLED = 50
"""Number of the latest utterances without a label that an adaptation also uses; they stay in memory."""
_SMALLEST_PROBABILITY = 1e-6
_SPREAD = 1.5
"""Distance of a class from the mean of all in the features that are logarithms of probabilities, for a network without
speaker variation: about that of networks with these numbers of errors."""
_BETWEEN_SPEAKERS, _BETWEEN_KINDS, _STRENGTH = 0.5, 0.3, 0.6
"""Variances and factor for these features. Measured on the two models that ship, see benchmarks/adaptation.py."""


@dataclass(frozen=True)
class Learnt:
    """What came of examples."""

    examples: int
    """Number of examples that the profile now has."""
    used: bool
    """Whether they change predictions from now on."""


class AdaptedClassifier:
    """Rates the classes as `Classifier` does, and moves its logits towards the voices of a profile.

    Without examples, and while these do not help by cross-validation, probabilities are exactly the network's. Its
    methods may be called from several threads.

    Args:
        classifier: runs the network.
        bundle: the bundle of the classifier.
        path: file of the profile, which need not exist; None to store nothing.

    Raises:
        BundleError: the bundle's speaker variation is damaged, or does not fit its network.
    """

    def __init__(self, classifier: Classifier, bundle: Bundle, path: Path | None = None) -> None:
        self.labels = classifier.labels
        """Class names in the order of the softmax."""
        self.identity = identity_of(bundle)
        """The model that profiles have to belong to."""
        self.path = path
        """File of the profile."""
        self._classifier = classifier
        self._variation = speaker_variation(bundle.companions)
        if self._variation is not None and classifier.embedding_size != len(self._variation.centre):
            raise BundleError(
                f"{bundle.path}: its speaker variation requires an output {EMBEDDING} of {len(self._variation.centre)} "
                f"numbers, the network has {classifier.embedding_size or 'none'}",
                fix=CONVERT_AGAIN,
            )
        self._statistics = (
            general_statistics(len(self.labels)) if self._variation is None else self._variation.statistics
        )
        self._silence = silent_image(bundle.companions.front_end)
        self._lock = threading.Lock()
        """Held for a moment: `rate`, for which a light waits, waits for it."""
        self._changing = threading.RLock()
        """Held while a profile is read, changed or examined, which may take seconds."""
        self._unlabelled: deque[Floats] = deque(maxlen=UNLABELLED)
        self._adaptation: SpeakerAdaptation | None = None
        self._stamp: object = None
        self.use(Profile(self.identity))

    @property
    def adapted(self) -> bool:
        """Whether examples change the predictions."""
        return self._adaptation is not None

    def use(self, profile: Profile) -> CrossValidation | None:
        """Adapt to a profile.

        Args:
            profile: a profile of this model.

        Returns:
            Whether it helps, by its own examples; None for fewer than two examples.
        """
        validation = self.validate(profile)
        with self._lock:
            self.profile = profile
            self._strength = 0.0 if validation is None else validation.strength
            self._fit()
        return validation

    def validate(self, profile: Profile) -> CrossValidation | None:
        """Measure whether a profile helps, by its own examples; None for fewer than two examples."""
        features, logits, classes = profile.arrays()
        return cross_validate(self._statistics, logits, features, classes) if len(classes) > 1 else None

    def load(self) -> None:
        """Adapt to the profile in the file, if there is one.

        Raises:
            ProfileError: it cannot be read, or belongs to another model; predictions are not adapted then.
        """
        if self.path is None:
            return
        with self._changing:
            self._stamp = _stamp(self.path)
            problem = file_problem(self.path)
            if problem is not None and problem.is_missing:
                self.use(Profile(self.identity))
                return
            try:
                self.use(own_profile(self.path, self.identity))
            except ProfileError:
                self.use(Profile(self.identity))
                raise

    def load_if_changed(self) -> bool:
        """Do the same if another process has changed the file since; return whether it has.

        While another thread changes the profile, nothing is done, and nothing is waited for.
        """
        if self.path is None or _stamp(self.path) == self._stamp or not self._changing.acquire(blocking=False):
            return False
        try:
            if _stamp(self.path) == self._stamp:
                return False
            self.load()
            return True
        finally:
            self._changing.release()

    def rate(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[dict[str, float], Utterance]:
        """Compute the probability of each class, and what can be learnt from the utterance.

        Args:
            image: spectrogram image, shape (height, width, 3), float32, 0 to 1.
            ids: word ids, shape (sequence_length,), int32.
        """
        found = self._classifier.run(image, ids)
        logits = np.log(np.maximum(np.array(list(found.probabilities.values())), _SMALLEST_PROBABILITY))
        if self._variation is None:
            features = features_of_logits(logits[None])[0]
        else:
            features = self._variation.features(found.embedding[None])[0]
        utterance = Utterance(features, logits)
        with self._lock:
            adaptation, strength = self._adaptation, self._strength
        # Silence is no voice: what words alone predict stays as it is.
        if adaptation is None or np.array_equal(image, self._silence):
            return found.probabilities, utterance
        adapted = logits + strength * adaptation.evidence(features[None])[0]
        powers = np.exp(adapted - adapted.max())
        return dict(zip(self.labels, (powers / powers.sum()).tolist(), strict=True)), utterance

    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        """Compute the probability of each class; arguments as for `rate`."""
        return self.rate(image, ids)[0]

    def add_unlabelled(self, utterance: Utterance) -> None:
        """Note an utterance whose class nobody named: it shows how the voices here differ from others."""
        with self._lock:
            self._unlabelled.append(utterance.features)
            if self._adaptation is not None:
                self._fit()

    def learn(self, examples: Sequence[Example]) -> Learnt:
        """Add examples to the profile and its file, and adapt to them at once.

        Raises:
            ProfileError: the file cannot be read or written, or is of another model; nothing is learnt then.
        """

        def add(present: Profile | None) -> Profile:
            if present is None:
                return Profile(self.identity).with_examples(examples)
            return require_own(present, self.identity, self.path).with_examples(examples)

        return self._change(add)

    def correct(self, utterance: Utterance, label: str) -> Learnt:
        """Learn the class of an utterance; a second correction of the same utterance replaces the first.

        Raises:
            ProfileError: the model has no such class; or as for `learn`.
        """
        if label not in self.labels:
            raise ProfileError(
                f"{displayable(label)} is not a class of the model",
                fix=f"use one of {', '.join(map(displayable, self.labels))}",
            )
        example = Example.now(label, utterance, CORRECTION)

        def replace_or_add(present: Profile | None) -> Profile:
            profile = Profile(self.identity) if present is None else require_own(present, self.identity, self.path)
            if profile.examples and _same(profile.examples[-1].utterance, utterance):
                profile = profile.without(last=1)
            return profile.with_examples([example])

        return self._change(replace_or_add)

    def _change(self, change: Callable[[Profile | None], Profile]) -> Learnt:
        with self._changing:  # two threads, too, learn one after the other
            profile = change(self.profile) if self.path is None else change_profile(self.path, change)
            if self.path is not None:
                self._stamp = _stamp(self.path)
            self.use(profile)
            return Learnt(len(profile.examples), self.adapted)

    def _fit(self) -> None:
        """Adapt to the examples and the utterances without a label; called with the lock."""
        if not self._strength:
            self._adaptation = None
            return
        features, _, classes = self.profile.arrays()
        unlabelled = np.array(self._unlabelled) if self._unlabelled else None
        self._adaptation = adapt(self._statistics, features, classes, unlabelled)


def identity_of(bundle: Bundle) -> Identity:
    """Return what a profile of a bundle has to belong to.

    Raises:
        BundleError: the bundle's speaker variation is damaged.
    """
    companions = bundle.companions
    sha256 = hashlib.sha256(bundle.model).hexdigest()
    features = companions.speaker_variation or f"probabilities of {sha256}"
    variation = speaker_variation(companions)
    return Identity(
        sha256,
        hashlib.sha256(features.encode()).hexdigest(),
        displayable(shipped_name(bundle.path) or bundle.path.name),
        companions.labels,
        len(companions.labels) if variation is None else variation.directions.shape[1],
    )


def general_statistics(classes: int) -> SpeakerStatistics:
    """Return statistics of logarithms of probabilities, for a network whose training speakers are unknown."""
    return SpeakerStatistics(
        means=_SPREAD * (np.eye(classes) - 1 / classes),
        classes=np.arange(classes),
        between_speakers=np.full(classes, _BETWEEN_SPEAKERS),
        between_kinds=np.full(classes, _BETWEEN_KINDS),
        strength=_STRENGTH,
    )


def features_of_logits(logits: Floats) -> Floats:
    """Return the features that `general_statistics` are about, shape (utterances, classes) as the logits."""
    return np.asarray((logits - logits.mean(axis=1, keepdims=True)) / _SPREAD, np.float64)


def own_profile(path: Path, identity: Identity) -> Profile:
    """Read a profile of a model.

    Raises:
        ProfileError: it cannot be read, or belongs to another model.
    """
    return require_own(read_profile(path), identity, path)


def require_own(profile: Profile, identity: Identity, path: Path | None) -> Profile:
    """Return a profile if it belongs to a model.

    A profile of another conversion of the same trained network has the same features: its examples are used again.

    Raises:
        ProfileError: it belongs to another model.
    """
    if profile.identity == identity:
        return profile
    if profile.identity.shares_examples_with(identity):
        return replace(profile, identity=identity)
    shown = "the profile" if path is None else displayable(path)
    other = f"{profile.identity.model}, with the classes {', '.join(map(displayable, profile.identity.labels))}"
    raise ProfileError(
        f"{shown}: was learnt with another model ({displayable(other)}) than {identity.model}, so it cannot be used",
        fix="learn again: edge-mcnn learn --forget --all, then edge-mcnn learn; or choose that model with --model",
    )


def _same(one: Utterance, other: Utterance) -> bool:
    """Whether two utterances are the same one, of which one was rounded in a file."""
    return one.features.shape == other.features.shape and bool(np.allclose(one.features, other.features, atol=1e-3))


def _stamp(path: Path) -> object:
    """Return what changes whenever a file is replaced; None if it is missing or cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
