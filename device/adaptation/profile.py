"""The voice profile: what a device has learnt about the voices of its owner, as one small JSON file.

It holds a few numbers for each example, its class and the day. Neither audio nor words are in it, see docs/privacy.md.
The file is replaced atomically, and only its owner can read it. Its keys are

    edge_mcnn_profile   version of the format
    bundle_sha256       SHA-256 of the model that it was learnt with
    features_sha256     SHA-256 of what the features are computed with
    model               name of the model, for people
    labels              classes of the model
    features            number of features of an utterance
    examples            the examples, oldest first; of each:
        label           its class
        source          "session", "recording" or "correction"
        day             when it was learnt, as 2026-01-31
        features        features of the voice
        logits          logarithms of the probabilities without adaptation
"""

import contextlib
import errno
import fcntl
import glob
import json
import math
import os
import stat
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.adaptation.profile_path import PROFILE_NAME
from device.adaptation.speaker_variation import MOST_FEATURES
from device.errors import ProfileError
from device.events import UtteranceFeatures
from device.system.atomic_write import atomic_write, remove_partial_files
from device.system.display import as_json, displayable, shell_quoted
from device.system.paths import cannot_use, open_file
from device.system.text_files import read_text

FORMAT_VERSION = 1
MOST_EXAMPLES = 300
"""With more, the oldest example of the commonest class is forgotten."""
SOURCES = SESSION, RECORDING, CORRECTION = "session", "recording", "correction"
"""Where an example comes from: the guided session, a file, or a correction of a prediction."""
_LARGEST = 2 << 20
_LARGEST_NUMBER = 1e6
_DECIMALS = 4
_MODE = 0o600
_START = b'{"edge_mcnn_profile"'
_NOT_DAMAGED = "give a file that `edge-mcnn learn` wrote"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Example:
    """An utterance whose class a person named."""

    label: str
    """The class."""
    utterance: UtteranceFeatures
    """The utterance."""
    source: str
    """One of `SOURCES`."""
    day: str
    """When it was learnt, as 2026-01-31."""

    @classmethod
    def now(cls, label: str, utterance: UtteranceFeatures, source: str) -> "Example":
        """Return an example that is learnt today, with the numbers as they are stored."""
        stored = replace(
            utterance,
            features=np.array(_rounded(utterance.features)),
            logits=np.array(_rounded(utterance.logits)),
        )
        return cls(label, stored, source, datetime.now().astimezone().date().isoformat())

    def equals(self, other: "Example") -> bool:
        """Whether both are stored as the same."""
        own, others = self.utterance, other.utterance
        return (
            (self.label, self.source, self.day) == (other.label, other.source, other.day)
            and _rounded(own.features) == _rounded(others.features)
            and _rounded(own.logits) == _rounded(others.logits)
        )


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
        """Return the profile with further examples; beyond `MOST_EXAMPLES`, the oldest of the commonest class go.

        If several classes are the commonest, the oldest example of them goes.
        """
        all_of_them = (*self.examples, *examples)
        places: dict[str, deque[int]] = defaultdict(deque)
        for place, example in enumerate(all_of_them):
            places[example.label].append(place)
        for _ in range(len(all_of_them) - MOST_EXAMPLES):
            max(places.values(), key=lambda own: (len(own), -own[0])).popleft()
        remaining = sorted(place for own in places.values() for place in own)
        return replace(self, examples=tuple(all_of_them[place] for place in remaining))

    def without_example(self, example: Example) -> "Profile":
        """Return the profile without the last example that is stored as the same; all of them if there is none."""
        for place in range(len(self.examples) - 1, -1, -1):
            if self.examples[place].equals(example):
                return replace(self, examples=self.examples[:place] + self.examples[place + 1 :])
        return self

    def without(self, *, last: int | None = None, label: str | None = None) -> "Profile":
        """Return the profile without its last examples, or without those of a class.

        Args:
            last: how many of the last examples are left out, 0 or more; all of them if there are fewer.
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
            np.array([example.utterance.features for example in self.examples]).reshape(-1, self.identity.features),
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
            table = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ProfileError("not a voice profile, or damaged") from None
        if not isinstance(table, dict) or "edge_mcnn_profile" not in table:
            raise ProfileError("not a voice profile", fix=_NOT_DAMAGED)
        version = table["edge_mcnn_profile"]
        if type(version) is not int or version < 1:
            raise ProfileError("a damaged voice profile: its version is not a number above 0")
        if version != FORMAT_VERSION:
            shown = f"version {version}" if version < 1000 else "an unknown version"
            raise ProfileError(
                f"a voice profile of {shown}, which this edge-mcnn does not support", fix="update edge-mcnn"
            )
        try:
            identity = _identity(table)
            examples = [_example(each, identity) for each in _list(table["examples"])]
        except (ValueError, KeyError, TypeError, OverflowError):
            raise ProfileError("a damaged voice profile") from None
        return cls(identity).with_examples(examples)


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        ProfileError: it is missing, cannot be read, or is not a profile.
    """
    remove = f"{removal(path)}, then learn again"
    text = read_text(path, ProfileError, fix=_NOT_DAMAGED, not_text_fix=remove, largest=_LARGEST)
    try:
        return Profile.from_json(text)
    except ProfileError as error:
        raise ProfileError(f"{displayable(path)}: {error.message}", fix=error.fix or remove) from None


def removal(path: Path | None) -> str:
    """Return the fix for a profile that is of no use: how to remove it."""
    if path is None:
        return "remove it: edge-mcnn learn --forget --all"
    if looks_like_profile(path):
        return f"remove it: edge-mcnn learn --forget --all --output {shell_quoted(path)}"
    return "if it was a voice profile, remove it by hand"


def looks_like_profile(path: Path) -> bool:
    """Whether a file has the usual name, is empty, or begins as a profile does, which one that was cut short does, too.

    Any other file may be something else, which a user has named by mistake.
    """
    try:
        with open_file(path) as stream:
            start = stream.read(len(_START))
    except (OSError, ValueError):
        return True  # it is missing, or why it cannot be used is reported then
    return path.name == PROFILE_NAME or start == _START[: len(start)]


def present_profile(path: Path) -> Profile | None:
    """Read a profile; None if nothing is there.

    Raises:
        ProfileError: it cannot be read, or is not a profile.
    """
    if file_stamp(path) is None:
        return None
    try:
        return read_profile(path)
    except ProfileError:
        if file_stamp(path) is None:  # removed a moment ago
            return None
        raise


def file_stamp(path: Path) -> object:
    """Return a value that changes whenever a file is replaced, or can be read again; None if nothing is there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "a link to nothing" if os.path.islink(path) else None  # noqa: PTH114  # Path.is_symlink may raise
    except (OSError, ValueError) as error:
        return str(error)
    return status.st_ino, status.st_ctime_ns, status.st_size


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
        changed = change(present_profile(path))
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
        descriptor = _lock_file(path)
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:  # some network file systems have no locks
            raise _cannot_write(path, error) from None
        yield
    finally:
        os.close(descriptor)


def replace_profile(path: Path, profile: Profile) -> None:
    """Write a profile while `locked`; errors as for `write_profile`."""
    content = profile.to_json().encode()
    try:
        # What could not be read again would lose everything that was learnt before.
        Profile.from_json(content.decode())
    except ProfileError:
        raise ProfileError(
            f"{displayable(path)}: cannot be written, because an example has numbers or a class that a profile cannot "
            "contain; nothing was changed",
            fix="use another recording",
        ) from None
    if len(content) > _LARGEST:
        raise ProfileError(
            f"{displayable(path)}: would be larger than {_LARGEST >> 20} MB; nothing was changed",
            fix="train the model with shorter names of classes",
        )
    try:
        remove_partial_files(path.parent, glob.escape(path.name))
        with atomic_write(path, mode=_MODE) as stream:
            _take_owner_of_folder(path, stream.fileno())
            stream.write(content)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _lock_file(path: Path) -> int:
    """Open the file that processes lock, and return its descriptor; errors as for `locked`, and those of the system."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, _MODE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES, errno.EISDIR) and os.path.lexists(lock):
            raise _no_lock(lock, error) from None
        raise
    found = os.fstat(descriptor)
    # As root, never change a file that someone else has put or linked here.
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise _no_lock(lock)
    if found.st_uid == os.geteuid():
        try:
            os.fchmod(descriptor, _MODE)  # whatever the umask
            _take_owner_of_folder(path, descriptor)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor


def _no_lock(lock: Path, error: OSError | None = None) -> ProfileError:
    reason = "permission denied" if error is not None and error.errno == errno.EACCES else "is not a regular file"
    return ProfileError(
        f"{displayable(lock)}: {reason}, so the profile cannot be changed; nothing was changed",
        fix=f"remove it: rm {shell_quoted(lock)}",
    )


def _take_owner_of_folder(path: Path, descriptor: int) -> None:
    """Give a file that root writes to the owner of its folder: the service must be able to read its own profile."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)


def _cannot_write(path: Path, error: OSError | ValueError) -> ProfileError:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    fix = "free some space, and try again" if full else "choose another place for the profile"
    found = cannot_use(path, error, ProfileError, fix=fix)
    return ProfileError(f"{found.message}; nothing was changed", fix=fix if full else found.fix or fix)


def _identity(table: dict[str, Any]) -> Identity:
    labels = tuple(_text(label) for label in _list(table["labels"]))
    # What a bundle may have; those of earlier versions have labels that `label_problem` refuses.
    if not 2 <= len(labels) == len(set(labels)) or any(not label or label != label.strip() for label in labels):
        raise ValueError("labels")
    features = table["features"]
    if type(features) is not int or not 1 <= features <= MOST_FEATURES:
        raise ValueError("features")
    model = displayable(_text(table["model"]))
    return Identity(_digest(table["bundle_sha256"]), _digest(table["features_sha256"]), model, labels, features)


def _example(table: Any, identity: Identity) -> Example:
    label, source = _text(table["label"]), _text(table["source"])
    if label not in identity.labels or source not in SOURCES:
        raise ValueError("label or source")
    day = date.fromisoformat(_text(table["day"])).isoformat()
    features, logits = _numbers(table["features"], identity.features), _numbers(table["logits"], len(identity.labels))
    return Example(label, UtteranceFeatures(features, logits), source, day)


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]


def _numbers(values: Any, count: int) -> Floats:
    numbers = _list(values)
    if len(numbers) != count or not all(type(number) in (int, float) for number in numbers):
        raise TypeError("not numbers")
    if not all(math.isfinite(number) and abs(number) <= _LARGEST_NUMBER for number in numbers):
        raise ValueError("not finite")
    return np.array(numbers, np.float64)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; Python would ignore all but the last of several equal keys."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a repeated key")
    return found


def _no_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads although JSON does not have them."""
    raise ValueError(name)


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
