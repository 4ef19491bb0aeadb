"""Predicts with the network of a bundle and a voice profile, and learns from corrections."""

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
    file_stamp,
    locked,
    present_profile,
    read_profile,
    removal,
    replace_profile,
)
from device.adaptation.speaker_adaptation import CrossValidation, SpeakerAdaptation, adapt, cross_validate
from device.adaptation.speaker_variation import Floats, SpeakerStatistics, SpeakerVariation, speaker_variation
from device.bundle import Bundle, shipped_name
from device.errors import BundleError, ProfileError
from device.events import UtteranceFeatures
from device.front_end.spectrogram import silent_image
from device.recognition.classifier import CONVERT_AGAIN, EMBEDDING, Classifier
from device.system.display import displayable, shortened

UNLABELLED = 50
"""Number of the latest utterances without a label that `edge-mcnn listen` uses."""
_CORRECTIONS = 50
"""Number of the latest corrections that can be replaced by another correction of the same utterance."""
_LONGEST_CLASSES = 200
"""Characters of the list of another model's classes in a message."""
_SMALLEST_PROBABILITY = 1e-6
_SPREAD = 1.5
"""Distance of a class from the mean of all in the features that are logarithms of probabilities, for a network without
speaker variation: about that of networks with these numbers of errors."""
_BETWEEN_SPEAKERS, _BETWEEN_KINDS, _STRENGTH = 0.5, 0.3, 0.6
"""Variances and factor for these features. Measured on the two models that ship, see benchmarks/adaptation.py."""


@dataclass(frozen=True)
class Learnt:
    """The result of learning."""

    examples: int
    """Number of examples that the profile now has."""
    used: bool
    """Whether the profile changes predictions from now on: whether it helps, by its own examples."""


class AdaptedClassifier:
    """Rates the classes as `Classifier` does, and adapts its logits to the voices of a profile.

    Examples that do not help, by cross-validation, are not used. Utterances without a label show how the voices here
    differ from others, which a network with speaker variation gains from even without an example. Without either,
    probabilities are exactly the network's. The methods may be called from several threads; while one of them learns or
    loads, others still rate.

    Args:
        classifier: runs the network.
        bundle: the bundle of the classifier.
        path: file of the profile, which need not exist; None to store nothing.
        unlabelled: number of the latest utterances without a label that are used; they stay in memory. Without speaker
            variation none is: it would rather harm.

    Raises:
        BundleError: the bundle's speaker variation is damaged, or does not fit its network.
    """

    def __init__(
        self, classifier: Classifier, bundle: Bundle, path: Path | None = None, *, unlabelled: int = 0
    ) -> None:
        self.labels = classifier.labels
        """Class names in the order of the softmax."""
        self.identity = identity_of(bundle)
        """The model that profiles have to belong to."""
        self.path = path
        """File of the profile."""
        self._classifier = classifier
        self._variation = _variation_of(bundle)
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
        # Held for one call of the interpreter, which only one thread may use; for a change of the profile, which may
        # take seconds; and for the few fields that `rate` reads.
        self._running, self._changing, self._lock = threading.Lock(), threading.RLock(), threading.Lock()
        self._unlabelled: deque[Floats] = deque(maxlen=0 if self._variation is None else unlabelled)
        self._corrections: deque[tuple[UtteranceFeatures, Example]] = deque(maxlen=_CORRECTIONS)
        self._adaptation: SpeakerAdaptation | None = None
        self._stamp: object = None
        self.use(Profile(self.identity))

    @property
    def adapted(self) -> bool:
        """Whether what was learnt changes the predictions: examples, or utterances without a label."""
        return self._adaptation is not None

    @property
    def uses_examples(self) -> bool:
        """Whether the examples of the profile change the predictions, because they help by cross-validation."""
        return self._strength > 0

    def use(self, profile: Profile) -> CrossValidation | None:
        """Adapt to a profile.

        Args:
            profile: a profile of this model.

        Returns:
            Whether it helps, by its own examples; None for fewer than two examples.
        """
        with self._changing:
            validation = self.validate(profile)
            with self._lock:
                self.profile = profile
                """The profile in use."""
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
            # Before the file is read: a change while it is read is noticed by the next `load_if_changed`.
            self._stamp = file_stamp(self.path)
            try:
                present = present_profile(self.path)
                own = None if present is None else require_own(present, self.identity, self.path)
            except ProfileError:
                self.use(Profile(self.identity))
                raise
            loaded = own or Profile(self.identity)
            if self.profile.examples and not loaded.examples:  # somebody forgets everything
                with self._lock:
                    self._unlabelled = deque(maxlen=self._unlabelled.maxlen)
            self.use(loaded)

    def load_if_changed(self) -> bool:
        """Call `load` if another process has changed the file since; return whether it has.

        It never waits for another thread: if one is learning or loading, it returns False.

        Raises:
            ProfileError: as for `load`; once for each change of the file.
        """
        if self.path is None or not self._changing.acquire(blocking=False):
            return False
        try:
            if file_stamp(self.path) == self._stamp:
                return False
            self.load()
            return True
        finally:
            self._changing.release()

    def rate(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[dict[str, float], UtteranceFeatures]:
        """Compute the probability of each class, and what can be learnt from the utterance.

        Args:
            image: spectrogram image, shape (height, width, 3), float32, 0 to 1.
            ids: word ids, shape (sequence_length,), int32.
        """
        with self._running:
            found = self._classifier.run(image, ids)
        # `fmax` replaces NaN as well.
        logits = np.log(np.fmax(np.array(list(found.probabilities.values())), _SMALLEST_PROBABILITY))
        if self._variation is None:
            features = features_of_logits(logits[None])[0]
        else:
            features = self._variation.features(found.embedding[None])[0]
        # Silence is no voice: what words alone predict stays as it is.
        utterance = UtteranceFeatures(features, logits, silent=np.array_equal(image, self._silence))
        with self._lock:
            adaptation, strength = self._adaptation, self._strength or 1.0
        if adaptation is None or utterance.silent:
            return found.probabilities, utterance
        adapted = logits + strength * adaptation.evidence(features[None])[0]
        powers = np.exp(adapted - adapted.max())
        return dict(zip(self.labels, (powers / powers.sum()).tolist(), strict=True)), utterance

    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        """Compute the probability of each class; arguments as for `rate`."""
        return self.rate(image, ids)[0]

    def add_unlabelled(self, utterance: UtteranceFeatures) -> None:
        """Note an utterance whose class nobody named: it shows how the voices here differ from others.

        A silent one has no effect, nor one that was corrected.
        """
        if utterance.silent or any(known is utterance for known, _ in self._corrections):
            return
        with self._lock:
            if self._unlabelled.maxlen:
                self._unlabelled.append(utterance.features)
                self._fit()

    def learn(self, examples: Sequence[Example]) -> Learnt:
        """Add examples to the profile and its file, and adapt to them at once.

        Raises:
            ProfileError: the file cannot be read or written, or is of another model; the model has no such class; or
                an example has no audio. Nothing is learnt then.
        """
        for example in examples:
            self._require_usable(example.label, example.utterance)
        return self._change(lambda profile: profile.with_examples(examples))

    def correct(self, utterance: UtteranceFeatures, label: str) -> Learnt:
        """Learn the class of an utterance; a second correction of the same utterance replaces the first.

        Args:
            utterance: the object that `rate` returned; utterances with equal numbers are not the same one, because
                networks without speaker variation often predict exactly the same.
            label: its class.

        Raises:
            ProfileError: as for `learn`.
        """
        self._require_usable(label, utterance)
        example = Example.now(label, utterance, CORRECTION)
        with self._changing:
            with self._lock:  # from now on it has a label
                others = [each for each in self._unlabelled if each is not utterance.features]
                self._unlabelled = deque(others, maxlen=self._unlabelled.maxlen)
            previous = next((each for known, each in self._corrections if known is utterance), None)

            def replace_or_add(profile: Profile) -> Profile:
                remaining = profile if previous is None else profile.without_example(previous)
                return remaining.with_examples([example])

            learnt = self._change(replace_or_add)
            # Replaced and not changed, because `add_unlabelled` may be reading it.
            earlier = [each for each in self._corrections if each[0] is not utterance]
            self._corrections = deque([*earlier, (utterance, example)], maxlen=_CORRECTIONS)
        return learnt

    def _require_usable(self, label: str, utterance: UtteranceFeatures) -> None:
        if label not in self.labels:
            raise ProfileError(
                f"{displayable(label)} is not a class of the model",
                fix=f"use one of {', '.join(map(displayable, self.labels))}",
            )
        if utterance.silent:
            raise ProfileError(
                "the utterance has no audio, so nothing about a voice can be learnt from it", fix="speak it instead"
            )

    def _change(self, change: Callable[[Profile], Profile]) -> Learnt:
        """Change the profile and its file; errors as for `learn`."""
        with self._changing:
            if self.path is None:
                profile = change(self.profile)
            else:
                with locked(self.path):
                    present = present_profile(self.path)
                    own = Profile(self.identity) if present is None else require_own(present, self.identity, self.path)
                    profile = change(own)
                    replace_profile(self.path, profile)
                    # While other processes wait: their next change is noticed by `load_if_changed`.
                    self._stamp = file_stamp(self.path)
            self.use(profile)
            return Learnt(len(profile.examples), self.uses_examples)

    def _fit(self) -> None:
        """Adapt to the examples, if they help, and the utterances without a label; called with the lock."""
        features, _, classes = self.profile.arrays()
        count = len(classes) if self._strength else 0
        if not count and not self._unlabelled:
            self._adaptation = None
            return
        width = self.identity.features
        unlabelled = np.array(self._unlabelled) if self._unlabelled else None
        self._adaptation = adapt(self._statistics, features[:count].reshape(-1, width), classes[:count], unlabelled)


def identity_of(bundle: Bundle) -> Identity:
    """Return what a profile of a bundle has to belong to.

    Raises:
        BundleError: the bundle's speaker variation is damaged.
    """
    companions = bundle.companions
    sha256 = hashlib.sha256(bundle.model).hexdigest()
    features = companions.speaker_variation or f"probabilities of {sha256}"
    variation = _variation_of(bundle)
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
    other = shortened(profile.identity.model)
    if profile.identity.labels != identity.labels:
        other += f" with the classes {shortened(', '.join(profile.identity.labels), _LONGEST_CLASSES)}"
    raise ProfileError(
        f"{shown}: was learnt with another model, {other}, and not with this {shortened(identity.model)}, so it cannot "
        "be used",
        fix=f"{removal(path)}, then learn again; or choose that model with --model",
    )


def _variation_of(bundle: Bundle) -> SpeakerVariation | None:
    try:
        return speaker_variation(bundle.companions)
    except BundleError as error:
        raise BundleError(f"{bundle.path}: {error.message}", fix=error.fix) from None
