"""A model with the voice profile that examples are added to, removed from and copied to."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from device.adaptation.adapted_classifier import AdaptedClassifier, require_own
from device.adaptation.profile import (
    RECORDING,
    Example,
    Profile,
    change_profile,
    locked,
    looks_like_profile,
    read_profile,
    replace_profile,
)
from device.adaptation.profile_path import SERVICE_PROFILE, profile_path
from device.bundle import Bundle
from device.errors import ProfileError
from device.learning.gain import Gain, gain
from device.recognition.classifier import CONVERT_AGAIN, Classifier
from device.service.systemctl import UNIT_FILE
from device.settings.schema import Settings
from device.system.display import counted, displayable
from device.system.paths import cannot_use, error_about, output_problem

_SAME = 1e-3
"""Features of the same utterance differ by less: a file has them rounded, and machines compute them differently."""


@dataclass(frozen=True)
class Outcome:
    """What the profile would be with further examples."""

    profile: Profile
    """The profile with these examples."""
    added: int
    """Number of examples that it did not have."""
    gain: Gain | None
    """What an adaptation to all of its examples gains; None for fewer than two examples."""


class Learner:
    """Adds examples to a voice profile, and measures what they gain.

    Args:
        bundle: the bundle of the model.
        classifier: runs the network of the bundle.
        path: file of the profile, which need not exist.
        repeats: whether the profile may contain some of the examples already, as it may those of recordings and of
            other profiles; each counts once.

    Raises:
        ProfileError: the file is damaged, belongs to another model, or cannot be written.
        BundleError: the bundle's speaker variation is damaged, or does not fit its network.
    """

    def __init__(self, bundle: Bundle, classifier: Classifier, path: Path, *, repeats: bool) -> None:
        if problem := output_problem(path):
            raise error_about(path, problem, ProfileError, fix="choose another place with --output")
        self.path = path
        """File of the profile."""
        self._repeats = repeats
        self.classifier = AdaptedClassifier(classifier, bundle)
        """Rates the classes with the profile as it was when the learner was made."""
        self.remarks: list[str] = []
        """Lines for the user about the model and the profile."""
        if remark := _about_model(bundle, classifier, self.classifier.identity.model):
            self.remarks.append(remark)
        if os.path.lexists(path):
            profile = read_profile(self.path)
            if profile.examples:
                own = require_own(profile, self.classifier.identity, path)
                if own.identity.bundle_sha256 != profile.identity.bundle_sha256:
                    self.remarks.append(
                        f"the {counted(len(own.examples), 'example')} in {displayable(path)} were learnt with another "
                        f"conversion of this network ({profile.identity.model}); they are used again"
                    )
                self.classifier.use(own)

    def outcome(self, examples: Sequence[Example]) -> Outcome:
        """Measure what the profile would gain with further examples; nothing is written."""
        profile, added = self._with(self.classifier.profile, examples)
        validation = self.classifier.validate(profile)
        return Outcome(profile, added, None if validation is None else gain(profile, validation))

    def learn(self, examples: Sequence[Example]) -> Gain | None:
        """Add examples to the file, and adapt to them.

        Returns:
            What an adaptation to all examples of the file gains; None for fewer than two examples.

        Raises:
            ProfileError: the file cannot be read or written, or is of another model; nothing is learnt then.
        """

        def add(present: Profile | None) -> Profile:
            if present is None or not present.examples:
                present = Profile(self.classifier.identity)
            own = require_own(present, self.classifier.identity, self.path)
            return self._with(own, examples)[0]

        profile = change_profile(self.path, add)
        validation = self.classifier.use(profile)
        return None if validation is None else gain(profile, validation)

    def examples_of(self, path: Path) -> tuple[Example, ...]:
        """Return the examples of another profile of this model, or of another conversion of its network.

        Raises:
            ProfileError: it cannot be read, or belongs to another model.
        """
        profile = read_profile(path)
        try:
            return require_own(profile, self.classifier.identity, path).examples
        except ProfileError as error:
            raise ProfileError(error.message, fix="choose the model that it was learnt with: --model") from None

    def _with(self, profile: Profile, examples: Sequence[Example]) -> tuple[Profile, int]:
        if self._repeats:
            return with_examples_once(profile, examples)
        return profile.with_examples(examples), len(examples)


def service_is_installed() -> bool:
    """Whether the service is installed on this machine, so that it has a profile of its own."""
    return UNIT_FILE.exists()


def learns_for_service() -> bool:
    """Whether this user learns for the service: root, where it is installed."""
    return os.geteuid() == 0 and service_is_installed()


def chosen_profile_path(settings: Settings, *, of_service: bool) -> Path:
    """Return the path of the profile that `listen` uses with some settings.

    Args:
        settings: settings of the daemon.
        of_service: whether it is the service, which has another default place.

    Raises:
        ProfileError: the settings choose no profile, or this user has no home folder.
    """
    if of_service and not settings.classifier.profile:
        return SERVICE_PROFILE
    path = profile_path(settings.classifier.profile)
    if path is None:
        raise ProfileError(
            'the settings choose no voice profile (profile = "none" under [classifier])',
            fix="remove that line, or name a file with --output",
        )
    return path


def with_examples_once(profile: Profile, examples: Sequence[Example]) -> tuple[Profile, int]:
    """Return a profile with further examples, and how many of them it did not have.

    An example of a recording that was learnt before replaces the earlier one, even of another class; any other one
    replaces an equal one. If an utterance counted twice, cross-validation would learn from one what it tests on the
    other.
    """
    remaining = list(profile.examples)
    for example in examples:
        same = next((place for place, each in enumerate(remaining) if _is_same(each, example)), None)
        if same is not None:  # only one: networks without speaker variation often predict exactly the same
            del remaining[same]
    added = len(examples) - (len(profile.examples) - len(remaining))
    return replace(profile, examples=tuple(remaining)).with_examples(examples), added


def forget(path: Path, *, last: int | None = None, label: str | None = None) -> Profile:
    """Remove examples from a profile; the file goes with the last of them.

    Args:
        path: the profile.
        last: how many of the last examples are removed.
        label: class whose examples are removed.

    Returns:
        The remaining profile.

    Raises:
        ProfileError: it is missing, cannot be read or written, or its model has no such class; it is unchanged.
    """
    with locked(path):
        remaining = read_profile(path).without(last=last, label=label)
        if remaining.examples:
            replace_profile(path, remaining)
        else:
            _remove(path)
        return remaining


def forget_all(path: Path) -> None:
    """Remove a profile, however damaged it is.

    Raises:
        ProfileError: it cannot be removed, or is another file, which `--output` names by mistake.
    """
    if not looks_like_profile(path):
        raise ProfileError(
            f"{displayable(path)}: is not a voice profile, so it is not removed",
            fix="name the file of a voice profile with --output, or remove this one by hand",
        )
    with locked(path):
        _remove(path)


def export(path: Path, copy: Path) -> Profile:
    """Write a copy of a profile, and return it.

    Raises:
        ProfileError: it is missing, cannot be read, or the copy cannot be written.
    """
    profile = read_profile(path)
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_use(copy, error, ProfileError, fix="name a file that can be written") from None
    replace_profile(copy, profile)
    return profile


@dataclass(frozen=True)
class Use:
    """Whether a model uses a profile."""

    refusal: ProfileError | None
    """Why it cannot be used; None if it can."""
    gain: Gain | None
    """What it gains; None if it cannot be used, or has fewer than two examples."""

    @property
    def used(self) -> bool:
        """Whether it changes predictions."""
        return self.gain is not None and self.gain.helps


def use(profile: Profile, path: Path, bundle: Bundle, classifier: Classifier) -> Use:
    """Find out whether a model uses a profile, and what it gains.

    Args:
        profile: the profile.
        path: its file, for messages.
        bundle: the bundle of the model.
        classifier: runs the network of the bundle.

    Raises:
        BundleError: the bundle's speaker variation is damaged, or does not fit its network.
    """
    adapted = AdaptedClassifier(classifier, bundle)
    try:
        own = require_own(profile, adapted.identity, path)
    except ProfileError as error:
        return Use(error, None)
    validation = adapted.use(own)
    return Use(None, None if validation is None else gain(own, validation))


def sources(profile: Profile) -> dict[str, int]:
    """Return the number of examples by where they come from."""
    return dict(Counter(example.source for example in profile.examples))


def days(profile: Profile) -> tuple[str, str] | None:
    """Return the first and the last day on which something was learnt, as 2026-01-31; None without examples."""
    every = [example.day for example in profile.examples]
    return (min(every), max(every)) if every else None


def _about_model(bundle: Bundle, classifier: Classifier, name: str) -> str:
    """Return what limits the adaptation of a model, which is shown by a name; empty if nothing does."""
    if bundle.companions.speaker_variation is not None:
        return ""
    if classifier.embedding_size == 0:
        return (
            f"{name} does not deliver the embedding of its network, so only its probabilities are adapted; to learn "
            f"more, {CONVERT_AGAIN}"
        )
    return (
        f"{name} does not carry how its training speakers vary, so only its probabilities are adapted; a model that is "
        "converted again, or trained with known speakers, learns more"
    )


def _is_same(one: Example, other: Example) -> bool:
    if one.source != other.source:
        return False
    if one.source != RECORDING and (one.label, one.day) != (other.label, other.day):
        return False
    numbers = ((one.utterance.features, other.utterance.features), (one.utterance.logits, other.utterance.logits))
    return all(bool((np.abs(mine - its) < _SAME).all()) for mine, its in numbers)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_use(path, error, ProfileError, fix="remove the file by hand") from None
