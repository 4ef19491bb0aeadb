"""The voice profile: what a device has learnt about the voices of its owner, as one small JSON file.

It holds a few numbers for each example, its class and the day. Neither audio nor words are in it, see docs/privacy.md.
The file is replaced atomically, and only its owner can read it.
"""

import contextlib
import errno
import fcntl
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.adaptation.profile_path import SERVICE_PROFILE as SERVICE_PROFILE
from device.adaptation.profile_path import default_profile_path as default_profile_path
from device.bundle import label_problem
from device.errors import ProfileError
from device.events import UtteranceFeatures
from device.system.atomic_write import atomic_write, remove_partial_files
from device.system.display import as_json, displayable
from device.system.paths import cannot_use
from device.system.text_files import read_text

FORMAT_VERSION = 1
MOST_EXAMPLES = 300
"""With more, the oldest example of the commonest class is forgotten."""
SOURCES = SESSION, RECORDING, CORRECTION = "session", "recording", "correction"
"""Where an example comes from: the guided session, a file, or a correction of a prediction."""
_LARGEST = 2 << 20
_MOST_NUMBERS = 1000
_LARGEST_NUMBER = 1e6
_DECIMALS = 4
_MODE = 0o600
_FIX = "learn again: edge-mcnn learn"

Floats = NDArray[np.float64]
Utterance = UtteranceFeatures
"""What is stored of an utterance."""


@dataclass(frozen=True, eq=False)
class Example:
    """An utterance whose class a person named."""

    label: str
    """The class."""
    utterance: Utterance
    """The utterance."""
    source: str
    """One of `SOURCES`."""
    day: str
    """When it was learnt, as 2026-01-31."""

    @classmethod
    def now(cls, label: str, utterance: Utterance, source: str) -> "Example":
        """Return an example that is learnt today."""
        return cls(label, utterance, source, datetime.now().astimezone().date().isoformat())


@dataclass(frozen=True)
class Identity:
    """The model that a profile belongs to."""

    bundle_sha256: str
    """SHA-256 of the bundle, hexadecimal."""
    features_sha256: str
    """SHA-256 of what the features are computed with: two models with the same have examples in common."""
    model: str
    """Name of the model, for people."""
    labels: tuple[str, ...]
    """Classes of the model."""
    features: int
    """Number of features of an utterance."""

    def shares_examples_with(self, other: "Identity") -> bool:
        """Whether examples of one model are examples of the other."""
        return (self.features_sha256, self.labels, self.features) == (
            other.features_sha256,
            other.labels,
            other.features,
        )


@dataclass(frozen=True)
class Profile:
    """Examples of the voices of one device."""

    identity: Identity
    """The model that it belongs to."""
    examples: tuple[Example, ...] = ()
    """The examples, oldest first."""

    def counts(self) -> dict[str, int]:
        """Return the number of examples of each class of the model."""
        found = Counter(example.label for example in self.examples)
        return {label: found[label] for label in self.identity.labels}

    def with_examples(self, examples: Sequence[Example]) -> "Profile":
        """Return the profile with further examples; beyond `MOST_EXAMPLES`, the oldest of the commonest class go."""
        all_of_them = [*self.examples, *examples]
        while len(all_of_them) > MOST_EXAMPLES:
            commonest = Counter(example.label for example in all_of_them).most_common(1)[0][0]
            del all_of_them[next(place for place, each in enumerate(all_of_them) if each.label == commonest)]
        return replace(self, examples=tuple(all_of_them))

    def without(self, *, last: int | None = None, label: str | None = None) -> "Profile":
        """Return the profile without its last examples, or without those of a class.

        Args:
            last: how many of the last examples are left out.
            label: class whose examples are left out.

        Raises:
            ProfileError: the model has no such class.
        """
        if label is not None and label not in self.identity.labels:
            raise ProfileError(
                f"{displayable(label)} is not a class of the model",
                fix=f"use one of {', '.join(map(displayable, self.identity.labels))}",
            )
        remaining = [example for example in self.examples if label is None or example.label != label]
        return replace(
            self, examples=tuple(remaining[: max(0, len(remaining) - last)] if last is not None else remaining)
        )

    def arrays(self) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Return features (examples, n), logits (examples, classes) and classes (examples,) of all examples."""
        labels = self.identity.labels
        return (
            np.array([example.utterance.features for example in self.examples]),
            np.array([example.utterance.logits for example in self.examples]).reshape(-1, len(labels)),
            np.array([labels.index(example.label) for example in self.examples], np.int64),
        )

    def to_json(self) -> str:
        """Return the content of the file."""
        own = self.identity
        return (
            as_json(
                {
                    "edge_mcnn_profile": FORMAT_VERSION,
                    "bundle_sha256": own.bundle_sha256,
                    "features_sha256": own.features_sha256,
                    "model": own.model,
                    "labels": list(own.labels),
                    "features": own.features,
                    "examples": [
                        {
                            "label": example.label,
                            "source": example.source,
                            "day": example.day,
                            "features": _rounded(example.utterance.features),
                            "logits": _rounded(example.utterance.logits),
                        }
                        for example in self.examples
                    ],
                }
            )
            + "\n"
        )

    @classmethod
    def from_json(cls, text: str) -> "Profile":
        """Read what `to_json` returns.

        Raises:
            ProfileError: not a profile, damaged, or of another version.
        """
        try:
            table = json.loads(text)
        except (ValueError, RecursionError):
            raise ProfileError("not a voice profile, or damaged", fix=_FIX) from None
        if not isinstance(table, dict) or "edge_mcnn_profile" not in table:
            raise ProfileError("not a voice profile", fix="give a file that `edge-mcnn learn` wrote")
        if table["edge_mcnn_profile"] != FORMAT_VERSION:
            raise ProfileError(
                f"a voice profile of version {displayable(str(table['edge_mcnn_profile']))[:20]}, which this edge-mcnn "
                "does not support",
                fix="update edge-mcnn",
            )
        try:
            identity = _identity(table)
            examples = tuple(_example(each, identity) for each in _list(table["examples"])[:MOST_EXAMPLES])
        except (ValueError, KeyError, TypeError, OverflowError):
            raise ProfileError("a damaged voice profile", fix=_FIX) from None
        return cls(identity, examples)


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        ProfileError: it is missing, cannot be read, or is not a profile.
    """
    text = read_text(path, ProfileError, fix=_FIX, largest=_LARGEST)
    try:
        return Profile.from_json(text)
    except ProfileError as error:
        raise ProfileError(f"{displayable(path)}: {error.message}", fix=error.fix) from None


def write_profile(path: Path, profile: Profile) -> None:
    """Write a profile completely or not at all, readable by its owner only; its folder is made if it is missing.

    Raises:
        ProfileError: it cannot be written; a previous one is unchanged.
    """
    with locked(path):
        replace_profile(path, profile)


def change_profile(path: Path, change: Callable[[Profile | None], Profile]) -> Profile:
    """Read, change and write a profile; two processes that do so wait for each other.

    Args:
        path: the profile.
        change: returns the new profile from the present one, which is None if there is none.

    Raises:
        ProfileError: the present one cannot be read, or the new one not be written; the present one is unchanged.
    """
    with locked(path):
        changed = change(read_profile(path) if os.path.lexists(path) else None)
        replace_profile(path, changed)
        return changed


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let no other process change a profile in this block.

    Raises:
        ProfileError: the folder of the profile cannot be made or written to.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from None
    try:
        _take_owner_of_folder(path, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_profile(path: Path, profile: Profile) -> None:
    """Write a profile while `locked`; errors as for `write_profile`."""
    try:
        remove_partial_files(path.parent, path.name)
        with atomic_write(path) as stream:
            os.fchmod(stream.fileno(), _MODE)
            _take_owner_of_folder(path, stream.fileno())
            stream.write(profile.to_json().encode())
    except OSError as error:
        raise _cannot_write(path, error) from None


def _take_owner_of_folder(path: Path, descriptor: int) -> None:
    """Give a file that root writes to the owner of its folder: the service must be able to read its own profile."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)


def _cannot_write(path: Path, error: OSError | ValueError) -> ProfileError:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    fix = "free some space, and learn again" if full else "choose another place with --output"
    found = cannot_use(path, error, ProfileError, fix=fix)
    return ProfileError(f"{found.message}; nothing was learnt", fix=found.fix or fix)


def _identity(table: dict[str, Any]) -> Identity:
    labels = tuple(_text(label) for label in _list(table["labels"]))
    if not 2 <= len(labels) == len(set(labels)) or any(map(label_problem, labels)):
        raise ValueError("labels")
    features = table["features"]
    if type(features) is not int or not 1 <= features <= _MOST_NUMBERS:
        raise ValueError("features")
    model = displayable(_text(table["model"]))
    return Identity(_digest(table["bundle_sha256"]), _digest(table["features_sha256"]), model, labels, features)


def _example(table: Any, identity: Identity) -> Example:
    label, source = _text(table["label"]), _text(table["source"])
    if label not in identity.labels or source not in SOURCES:
        raise ValueError("label or source")
    day = date.fromisoformat(_text(table["day"])).isoformat()
    features, logits = _numbers(table["features"], identity.features), _numbers(table["logits"], len(identity.labels))
    return Example(label, Utterance(features, logits), source, day)


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]


def _numbers(values: Any, count: int) -> Floats:
    numbers = _list(values)
    if len(numbers) != count or not all(type(number) in (int, float) for number in numbers):
        raise TypeError("not numbers")
    if not all(math.isfinite(number) and abs(number) <= _LARGEST_NUMBER for number in numbers):
        raise ValueError("not finite")
    return np.array(numbers, np.float64)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _digest(value: Any) -> str:
    text = _text(value)
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError("not a digest")
    return text
